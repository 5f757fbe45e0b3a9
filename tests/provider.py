"""The provider of single sign-on as tests use it: started, set up, and walked through as by a person with a browser."""

import html
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from django.conf import settings
from django.test import Client

from tests.clients.server import ROOT, free_port

CLIENT_ID, CLIENT_SECRET = "portal", "the portal's secret"
PASSWORD = "at the provider"
CALLBACK = "/auth/single-sign-on/callback/"


class Provider:
    """A process; `issuer` is its address."""

    def __init__(self, store: Path) -> None:
        port = free_port()
        command = [sys.executable, "-m", "tests.identity_provider", str(port), str(store)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        self.issuer = f"http://127.0.0.1:{port}"
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise RuntimeError("The provider did not start.")

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)

    def register(self, portal: str) -> None:
        """Let this portal send people here."""
        self._put(f"clients/{CLIENT_ID}", {"secret": CLIENT_SECRET, "redirect_uri": f"{portal}{CALLBACK}"})

    def person(self, name: str, **claims: Any) -> str:
        """Somebody who signs in here; their subject."""
        return self._put(f"people/{name}", claims)

    def misbehave(self, **mischief: Any) -> None:
        self._put("mischief", mischief)

    def _put(self, what: str, facts: dict[str, Any]) -> str:
        answer = requests.put(f"{self.issuer}/test/{what}", json=facts, timeout=10)
        answer.raise_for_status()
        return answer.text


class Browser:
    """One person's: it has cookies of the portal, and of the provider."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.portal = Client()
        self.at_provider = requests.Session()

    def sign_in(self, *, back: str = "", agree: bool = True) -> Any:
        """All the way; what the portal answers in the end."""
        return self.portal.get(self.return_from(self.leave(back=back), agree=agree))

    def prove(self, *, back: str = "") -> Any:
        return self.portal.get(self.return_from(self.leave("/auth/single-sign-on/proof/", back=back)))

    def leave(self, address: str = "/auth/single-sign-on/", *, back: str = "") -> str:
        """Click the button; where it leads."""
        page = self.portal.post(address, {"next": back} if back else {})
        found = re.fullmatch(r"0; url=(\S+)", page.headers["Refresh"])
        assert found is not None
        return found[1]

    def return_from(self, address: str, *, agree: bool = True) -> str:
        """Sign in at the provider where it asks, and agree or not; the path that it sends the browser back to."""
        answer = self.at_provider.get(address, timeout=10, allow_redirects=False)
        for _page in range(9):
            where = urljoin(answer.url, answer.headers.get("Location", ""))
            if urlsplit(where).path == CALLBACK:
                return where.removeprefix(settings.SITE_ORIGIN)
            if "Location" in answer.headers:
                answer = self.at_provider.get(where, timeout=10, allow_redirects=False)
            else:
                answer = self._fill_in(answer, agree=agree)
        raise AssertionError(answer.url)

    def _fill_in(self, page: requests.Response, *, agree: bool) -> requests.Response:
        inputs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
        hidden = {name: html.unescape(value) for name, value in inputs}
        typed = {"username": self.name, "password": PASSWORD} | ({"allow": "Authorize"} if agree else {})
        return self.at_provider.post(page.url, hidden | typed, timeout=10, allow_redirects=False)
