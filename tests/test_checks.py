"""An installation that would leak its secrets on the way does not pass the checks."""

import pytest
from pytest_django import Settings

from apikeys.checks import origin_is_https_or_loopback


@pytest.mark.parametrize(
    "origin", ["https://portal.acme.example", "http://127.0.0.1:8000", "http://localhost", "http://[::1]:8000"]
)
def test_https_and_loopback_pass(origin: str, settings: Settings) -> None:
    settings.SITE_ORIGIN = origin

    assert origin_is_https_or_loopback() == []


@pytest.mark.parametrize(
    "origin", ["http://portal.acme.example", "http://192.0.2.1:8000", "http://localhost.acme.example"]
)
def test_plain_http_beyond_loopback_is_an_error(origin: str, settings: Settings) -> None:
    settings.SITE_ORIGIN = origin

    assert [message.id for message in origin_is_https_or_loopback()] == ["apikeys.E001"]
