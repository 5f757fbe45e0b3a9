"""Variables of single sign-on: what is missing or cannot be ends the start in one line."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from keyportal import variables
from tests.clients.server import ROOT

pytestmark = pytest.mark.once("reads variables, not the store")

WHOLE = {"OIDC_ISSUER": "https://login.example.com", "OIDC_CLIENT_ID": "portal", "OIDC_CLIENT_SECRET": "hush"}


@pytest.mark.parametrize("text", ["", "https://login.example.com", "https://x.example/realms/acme/", "http://[::1]:9"])
def test_an_issuer_is_https_or_on_loopback_and_ends_in_no_slash(text: str) -> None:
    assert variables.issuer("OIDC_ISSUER", text) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        "login.example.com",
        "http://login.example.com",
        "https://",
        "https://login.example.com?tenant=1",
        "https://login.example.com#x",
        "https://ada:pw@login.example.com",
        "https://[",
        f"https://login.example.com/{'x' * 200}",
    ],
)
def test_what_is_no_issuer_is_refused_by_name(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="OIDC_ISSUER"):
        variables.issuer("OIDC_ISSUER", text)


@pytest.mark.parametrize("named", [WHOLE, dict.fromkeys(WHOLE, "")])
def test_all_of_what_belongs_together_or_none(named: dict[str, str]) -> None:
    variables.all_or_none(**named)


@pytest.mark.parametrize("missing", WHOLE)
def test_what_is_missing_is_named_and_no_secret_is(missing: str) -> None:
    environment = {**os.environ, **WHOLE, missing: ""}

    check = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert check.returncode != 0
    last = check.stderr.strip().splitlines()[-1]
    assert f"not {missing}: they belong together." in last
    assert "hush" not in check.stderr
