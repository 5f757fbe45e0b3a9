"""Chromium on the portal as it runs, a real web process on the tests' database. Whatever the browser complains about,
a refused inline script or an error in one of ours, fails the test.
"""

import shutil
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from pytest_django import DjangoDbBlocker

from accounts.models import Member
from tests.clients import server
from tests.visitors import signed_in, signed_in_by

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
STATUS_OF_THE_PAGE = "Failed to load resource: the server responded with a status of 4"  # 403, 404: tests ask for them


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For one module only: while Playwright runs, its event loop occupies the thread, and Django refuses the store."""
    if CHROMIUM is None:
        pytest.skip("browser: no Chromium found on the PATH")
    expect.set_options(timeout=20_000)  # a machine under load is slow
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def portal(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[server.Server]:
    process = server.web(tmp_path_factory.mktemp("web") / "log")
    with server.kept(process, django_db_blocker) as running:
        yield running


class Visitors:
    """Opens browser windows and listens to what they complain about."""

    def __init__(self, chromium: Browser, address: str) -> None:
        self.chromium = chromium
        self.address = address
        self.contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def page(
        self,
        member: Member | None = None,
        *,
        width: int = 1280,
        script: bool = True,
        theme: str = "light",
        proved_by: str = "",
    ) -> Page:
        """A window of its own; with `member`, one who signed in just now.

        :param proved_by: what else than a password showed who they are.
        """
        context = self.chromium.new_context(
            base_url=self.address,
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            color_scheme="dark" if theme == "dark" else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        if member is not None:
            client = signed_in_by(member, proved_by) if proved_by else signed_in(member)
            session = client.cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": session, "url": self.address}])
        context.set_default_timeout(20_000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(STATUS_OF_THE_PAGE):
            self.complaints.append(message.text)


@pytest.fixture
def visitors(chromium: Browser, portal: server.Server, transactional_db: None) -> Iterator[Visitors]:
    found = Visitors(chromium, portal.address)
    yield found
    for context in found.contexts:
        context.close()
    assert not found.complaints


@pytest.fixture
def gate(transactional_db: None, tmp_path: Path) -> Iterator[server.Server]:
    process = server.gate(tmp_path / "gate.log")
    process.start()
    yield process
    process.stop()


def verdict(gate: server.Server, secret: str) -> int:
    """The gate's status for a call with this secret."""
    connection = HTTPConnection("127.0.0.1", gate.port, timeout=20)
    connection.request("GET", "/check", headers={"Authorization": f"Bearer {secret}", "User-Agent": "nightly/2"})
    status = connection.getresponse().status
    connection.close()
    return status
