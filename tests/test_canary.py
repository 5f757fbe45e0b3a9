"""A secret appears nowhere but in the answer that shows it (G10).

A canary is sent by every way there is, rightly and by mistake, while errors are provoked. Then it is looked for in all
that remains: what the processes printed, the database, its files, mails, counts, metrics, and every answer but the one.
"""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.actors import SHELL
from apikeys import secrets
from apikeys.models import ApiKey
from apikeys.operations import api_keys
from auditlog.models import Call
from tests.canary_ways import (
    Caller,
    break_the_store,
    call_by_every_way,
    fill_forms_by_mistake,
    paths_with,
    queries_with,
    show,
    use_pages_by_mistake,
)
from tests.clients import server
from tests.factories import ApiKeyFactory, SuperAdminFactory

pytestmark = pytest.mark.django_db(transaction=True)

CORE = 20  # characters after the prefix that tell the canary, cut short or not, from every other secret


@pytest.fixture
def key() -> ApiKey:
    return ApiKeyFactory.create()


@pytest.fixture
def canary(key: ApiKey) -> str:
    return key.secret()


@pytest.fixture(params=["", "hapikey"], ids=["query refused", "query let in"])
def query_param(request: pytest.FixtureRequest) -> str:
    param: str = request.param
    return param


@pytest.fixture
def web(tmp_path: Path, query_param: str) -> Iterator[server.Server]:
    yield from running(server.web(tmp_path / "web.log", API_KEY_QUERY_PARAM=query_param, LOG_LEVEL="DEBUG"))


@pytest.fixture
def unmasked_web(tmp_path: Path) -> Iterator[server.Server]:
    yield from running(server.web(tmp_path / "web.log", application="tests.unmasked:application", LOG_LEVEL="DEBUG"))


@pytest.fixture
def gate(tmp_path: Path, query_param: str) -> Iterator[server.Server]:
    yield from running(server.gate(tmp_path / "gate.log", API_KEY_QUERY_PARAM=query_param, LOG_LEVEL="DEBUG"))


def running(process: server.Server) -> Iterator[server.Server]:
    process.start()
    yield process
    process.stop()


# --- All that remains ---------------------------------------------------------------------------------------------
def spellings(canary: str) -> list[bytes]:
    """The canary's core as it is, in hexadecimal, and in base64 wherever in a text it begins; all in small letters."""
    core = canary.partition("_")[2][:CORE].encode()
    encoded = []
    for before in range(3):
        whole = base64.b64encode(b"-" * before + core)
        encoded.append(whole[4 if before else 0 : -4])
    return [text.lower() for text in (core, core.hex().encode(), core[::-1], *encoded)]


def hits(places: dict[str, bytes], canary: str) -> list[str]:
    looked_for = spellings(canary)
    return [name for name, content in places.items() if any(one in content.lower() for one in looked_for)]


def what_remains(*logs: Path) -> dict[str, bytes]:
    """Everything on disk and in the database, by where it lies."""
    files = [*logs, *write_ahead_log(), *(path for path in Path(settings.DATA_DIR).rglob("*") if path.is_file())]
    return {str(path): content(path) for path in files} | database_dump()


def content(path: Path) -> bytes:
    """Read by another process: whoever closes a file lets go of all that they hold locked in it, as SQLite does."""
    return subprocess.run(["/bin/cat", path], check=True, stdout=subprocess.PIPE).stdout


def write_ahead_log() -> list[Path]:
    """PostgreSQL's newest two segments, where its files can be reached from here; SQLite's lies in DATA_DIR."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        directory = Path(cursor.fetchone()[0]) / "pg_wal"
    if not os.access(directory, os.R_OK | os.X_OK):
        return []
    segments = [path for path in directory.iterdir() if path.is_file()]
    return sorted(segments, key=lambda path: path.stat().st_mtime)[-2:]


def database_dump() -> dict[str, bytes]:
    dump = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 -- names of our own tables
            rows = (bytes(cell) if isinstance(cell, memoryview) else cell for row in cursor.fetchall() for cell in row)
            dump[f"table {table}"] = b"\n".join(
                cell if isinstance(cell, bytes) else str(cell).encode() for cell in rows
            )
    return dump


def wait_for_the_call_log() -> None:
    """Until the batches have been written: nothing new for a second."""
    before = -1
    while before != (before := Call.objects.count()):
        time.sleep(1)


# --- The tests ----------------------------------------------------------------------------------------------------
def test_the_web_process_keeps_and_repeats_no_secret(web: server.Server, key: ApiKey, canary: str) -> None:
    admin = SuperAdminFactory.create(account=key.account)
    slug, stranger, browser = key.account.slug, Caller(web.port), Caller(web.port)
    paths = ["/integrations/v1/me", "/account-info/2026-09/details", "/", "/docs", "/auth/login/", "/livez", "/nowhere"]
    call_by_every_way(stranger, canary, paths)
    fill_forms_by_mistake(stranger, canary)
    browser.sign_in(admin.user.email)
    shown = show(browser, slug, user_agent=f"browser {canary}")
    use_pages_by_mistake(browser, canary, slug)
    break_the_store(browser, canary, slug)
    api_keys.rotate_api_key(account=key.account, generation=1, by=SHELL, now=timezone.now())
    call_by_every_way(stranger, canary, paths[:1])
    browser.send("GET", f"/accounts/{slug}/calls/")
    browser.send("GET", f"/accounts/{slug}/audit-log/")
    Caller(web.port).send("GET", "/metrics")
    wait_for_the_call_log()

    web.stop()

    assert shown == canary
    assert hits(what_remains(web.log), canary) == []
    assert hits(stranger.answers | browser.answers, canary) == []


def test_the_gate_keeps_and_repeats_no_secret(gate: server.Server, key: ApiKey, canary: str) -> None:
    caller = Caller(gate.port)
    call_by_every_way(caller, canary, ["/check", "/check/v1/contacts", "/livez", "/nowhere"])
    for query in queries_with(canary):
        caller.send("GET", "/check", {"X-Original-Method": "GET", "X-Original-URI": f"/v1/contacts?{query}"})
        caller.send("GET", "/check", {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": f"/v1/contacts?{query}"})
    for path in paths_with(canary):
        caller.send("GET", "/check", {"X-Original-Method": canary, "X-Original-URI": path, "X-API-Key": canary})
    api_keys.rotate_api_key(account=key.account, generation=1, by=SHELL, now=timezone.now())
    call_by_every_way(caller, canary, ["/check"])
    caller.send("GET", "/metrics")
    wait_for_the_call_log()

    gate.stop()

    assert Call.objects.filter(account_id=key.account_id).exists()
    assert hits(what_remains(gate.log), canary) == []
    assert hits(caller.answers, canary) == []


def test_without_masking_the_search_finds_the_secret(unmasked_web: server.Server, canary: str) -> None:
    call_by_every_way(Caller(unmasked_web.port), canary, ["/integrations/v1/me"])
    wait_for_the_call_log()
    unmasked_web.stop()

    found = hits(what_remains(unmasked_web.log), canary)

    assert str(unmasked_web.log) in found
    assert "table auditlog_call" in found


@pytest.mark.parametrize("before", ["", "x", "key:", "a longer text before "])
def test_the_search_knows_the_secret_in_disguise(before: str) -> None:
    canary = secrets.generate(secrets.Kind.API_KEY)
    disguises = [
        f"{before}{canary}",
        f"{before}{canary[:-4]}",
        (before + canary).upper(),
        (before + canary).encode().hex(),
        base64.b64encode(f"{before}{canary}".encode()).decode(),
        quote(f"{before}{canary}"),
    ]

    assert [text for text in disguises if not hits({"here": text.encode()}, canary)] == []


@pytest.mark.once("PostgreSQL's locks are not in files")
def test_the_search_lets_go_of_no_lock_in_the_store() -> None:
    begin = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"

    with transaction.atomic():
        what_remains()
        other = subprocess.run(
            [sys.executable, "-c", begin, connection.settings_dict["NAME"]], check=False, capture_output=True, text=True
        )

    assert "database is locked" in other.stderr
