"""What every test has at hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from pytest_django import Settings

from accounts import revisions
from tests import removal
from tests.clients.server import free_port
from tests.mail_server import MailServer


def pytest_configure() -> None:
    """Passwords at no cost. Static files by their own names, from where they lie: nothing is collected for a run."""
    settings.PASSWORD_HASHERS = ["tests.hashers.QuickArgon2PasswordHasher"]
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """SQLite as a file, as in production: threads and other processes must see it."""
    if connection.vendor == "sqlite":
        data_dir = Path(connection.settings_dict["NAME"]).parent
        connection.settings_dict["TEST"]["NAME"] = str(data_dir / "test.sqlite3")
    else:
        connection.settings_dict["TEST"]["NAME"] = f"test_{connection.settings_dict['NAME']}"


@pytest.fixture(scope="session", autouse=True)
def _cheap_removal() -> Iterator[None]:
    with removal.in_use():
        yield


@pytest.fixture(autouse=True)
def _nothing_from_the_last_test() -> Iterator[None]:
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _no_wait(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotations answer at once, except where the wait is what is tested: `@pytest.mark.settles`."""
    if "settles" not in request.keywords:
        monkeypatch.setattr(revisions, "SETTLE_SECONDS", 0)


@pytest.fixture
def mail_server(settings: Settings) -> Iterator[MailServer]:
    server = MailServer(free_port())
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    yield server
    controller.stop()
