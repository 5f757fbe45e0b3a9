"""What watchers of the web process are told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

ROOT = Path(__file__).parent.parent


def test_a_living_process_says_so_without_session_or_database(client: Client) -> None:
    answer = client.get("/livez")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert not answer.cookies


@pytest.mark.django_db
def test_a_migrated_database_is_ready(client: Client) -> None:
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "parts": {"database": "ok", "migrations": "ok", "limits": "ok"}}


@pytest.mark.django_db
def test_a_missing_migration_is_named_as_what_is_not_ready(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'apikeys' AND name LIKE '0001%%'")

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"] == {
        "database": "ok",
        "migrations": "1 not applied; run ./portal manage migrate",
        "limits": "ok",
    }


def test_a_database_that_cannot_be_asked_is_named_as_what_is_not_ready(tmp_path: Path) -> None:
    program = (
        "import django; django.setup()\nfrom django.test import Client\na = Client(headers={'host': 'testserver'})"
    )
    program += ".get('/readyz')\nprint(a.status_code, a.content.decode())"
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/nowhere/at.sqlite3"}

    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )

    assert answer.stdout.startswith('503 {"status": "unavailable"')
    assert '"database": "cannot be asked (OperationalError)"' in answer.stdout


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
@pytest.mark.django_db
def test_watchers_are_not_sent_to_https(client: Client, settings: Settings, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_watchers_may_only_read(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.1.2.3"])
def test_metrics_are_for_loopback_and_the_allowed_networks(client: Client, settings: Settings, address: str) -> None:
    settings.METRICS_ALLOW = ["10.1.0.0/16"]

    answer = client.get("/metrics", REMOTE_ADDR=address)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")


@pytest.mark.parametrize("address", ["192.0.2.1", "10.2.0.1", "2001:db8::1", "", "localhost"])
def test_metrics_are_for_nobody_else(client: Client, settings: Settings, address: str) -> None:
    settings.METRICS_ALLOW = ["10.1.0.0/16"]

    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 403


@pytest.mark.parametrize(
    "header", ["Forwarded", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"]
)
def test_metrics_never_leave_through_a_proxy(client: Client, header: str) -> None:
    assert client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 403
