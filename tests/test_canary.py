"""A secret appears nowhere but in the answer that shows it (G10).

A canary is sent by every way there is, rightly and by mistake, while errors are provoked. Then it is looked for in all
that remains: what the processes printed, the database, its files, mails, counts, metrics, and every answer but the one.
"""

import base64
import http.client
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.actors import SHELL
from apikeys import secrets
from apikeys.models import ApiKey
from apikeys.operations import api_keys
from auditlog.models import Call
from tests.clients import server
from tests.factories import PASSWORD, ApiKeyFactory, SuperAdminFactory

pytestmark = pytest.mark.django_db(transaction=True)

CORE = 20  # characters after the prefix that tell the canary, cut short or not, from every other secret
Headers = dict[str, str]


class Caller:
    """Sends requests as they are, keeps a browser's cookies, and remembers every answer."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, bytes] = {}  # by what was asked
        self.cookies: dict[str, str] = {}

    def send(self, method: str, target: str, headers: Headers | None = None, body: str = "") -> tuple[int, str]:
        connected = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        connected.request(method, target, body.encode() or None, cookies | (headers or {}))
        answer = connected.getresponse()
        text = answer.read().decode()
        connected.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        self.answers[f"{len(self.answers)}: {method} {target} {headers} {body}"] = f"{answer.headers}\n{text}".encode()
        return answer.status, text

    def post(self, target: str, **fields: str) -> tuple[int, str]:
        fields["csrfmiddlewaretoken"] = self.cookies.get("csrftoken", "")
        form = {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"http://127.0.0.1:{self.port}/"}
        return self.send("POST", target, form, urlencode(fields))

    def sign_in(self, email: str) -> None:
        self.send("GET", "/auth/login/")
        status, page = self.post("/auth/login/", login=email, password=PASSWORD)
        assert status == 302, page


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


# --- Every way there is -------------------------------------------------------------------------------------------
def headers_with(canary: str) -> list[Headers]:
    malformed = [f"{canary}x", canary[:-1], canary.upper(), f"{canary} {canary}", f" {canary}\t", f"{canary}%0a"]
    basic = [base64.b64encode(text.encode()).decode() for text in (canary, f"{canary}:", f"api:{canary}")]
    return [
        {"Authorization": f"Bearer {canary}"},
        {"X-API-Key": canary},
        {"Authorization": f"Bearer {canary}", "X-API-Key": secrets.generate(secrets.Kind.API_KEY)},
        *({"Authorization": f"Bearer {text}"} for text in malformed),
        *({"X-API-Key": text} for text in malformed),
        *({"Authorization": f"Basic {text}"} for text in basic),
        {"Authorization": canary},
        {"Authorization": f"Token {canary}"},
        {"User-Agent": f"curl/8 ({canary})"},
        {"User-Agent": canary},
        {"Referer": f"http://127.0.0.1/?hapikey={canary}"},
        {"Origin": f"http://{canary}.example"},
        {"Host": canary},
        {"Cookie": f"hapikey={canary}; sessionid={canary}; csrftoken={canary}"},
        {"X-Request-Id": canary},
        {"X-Forwarded-For": canary},
        {"Forwarded": f"for={canary}"},
        {"Content-Encoding": canary},
        {"Accept-Language": canary},
        {"HX-Request": "true", "HX-Current-URL": f"/?next={canary}"},
    ]


def queries_with(canary: str) -> list[str]:
    hidden = "".join(f"%{ord(letter):02x}" for letter in canary)
    return [
        f"hapikey={canary}",
        f"HAPIKEY={canary}",
        f"%68apikey={hidden}",
        f"hapikey={canary}&hapikey={canary}x",
        f"api_key={canary}",
        f"next=/accounts/?hapikey={canary}",
        f"next={quote(f'//evil.example/{canary}', safe='')}",
        f"path={canary}&agent={hidden}&cursor={canary}",
        f"{canary}",
        f"{canary}={canary}",
    ]


def paths_with(canary: str) -> list[str]:
    hidden = "".join(f"%{ord(letter):02x}" for letter in canary)
    return [
        f"/{canary}",
        f"/{hidden}",
        f"/integrations/v1/me/{canary}",
        f"/integrations/v1/{hidden}",
        f"/account-info/v3/{canary}/details",
        f"/accounts/{canary}/api-key/",
        f"/set-up/{canary}/",
        f"/static/{canary}.js",
        f"/auth/password/reset/key/1-{canary}/",
        f"/admin/{canary}/",
    ]


def call_by_every_way(caller: Caller, canary: str, paths: list[str]) -> None:
    """The API or the gate, or any page of the portal, signed in or not."""
    for path in paths:
        for headers in headers_with(canary):
            caller.send("GET", path, headers)
        for query in queries_with(canary):
            caller.send("GET", f"{path}?{query}")
    for path in paths_with(canary):
        caller.send("GET", path)
        caller.send("GET", path, {"Authorization": f"Bearer {canary}"})
        caller.send("POST", path, {"X-API-Key": canary})
    for method in ("POST", "DELETE", "TRACE", canary):
        caller.send(method, paths[0], {"X-API-Key": canary})
    as_json = json.dumps({"api_key": canary, "hapikey": canary})
    caller.send("POST", paths[0], {"Content-Type": "application/json"}, as_json)
    caller.send("POST", paths[0], {"Content-Type": "application/json", "X-API-Key": canary}, as_json)
    caller.post(paths[0], hapikey=canary)


def use_pages_by_mistake(caller: Caller, canary: str, slug: str) -> None:
    below = f"/accounts/{slug}"
    for page in ("api-key", "calls", "audit-log", "members"):
        for query in queries_with(canary):
            caller.send("GET", f"{below}/{page}/?{query}")
    caller.send("GET", f"{below}/audit-log/", {"User-Agent": f"browser {canary}"})
    caller.post(f"{below}/api-key/deactivate/", generation=canary)
    caller.post(f"{below}/api-key/rotate/", generation=canary, next=f"/{canary}")
    caller.post("/profile/", name=canary, time_zone=canary)
    caller.post("/theme/", theme=canary, next=f"/?hapikey={canary}")


def fill_forms_by_mistake(caller: Caller, canary: str) -> None:
    caller.send("GET", "/auth/login/")
    caller.post("/auth/login/", login=canary, password=canary, next=f"/?hapikey={canary}")
    caller.post("/auth/login/", login=f"{canary}@acme.example", password=PASSWORD)
    caller.post("/auth/password/reset/", email=f"{canary}@acme.example")
    caller.post("/auth/reauthenticate/", password=canary)


def show(caller: Caller, slug: str, user_agent: str) -> str:
    """Click "show", as script does; this answer alone may hold the secret and is not searched."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "Referer": f"http://127.0.0.1:{caller.port}/",
        "User-Agent": user_agent,
    }
    form = urlencode({"csrfmiddlewaretoken": caller.cookies["csrftoken"]})
    status, text = caller.send("POST", f"/accounts/{slug}/api-key/show/", headers, form)
    caller.answers.popitem()
    assert status == 200, text
    secret: str = json.loads(text)["secret"]
    return secret


def break_the_store(caller: Caller, canary: str, slug: str) -> None:
    """Provoke failures, with the canary under way."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE apikeys_apikey RENAME TO apikeys_apikey_gone")
    try:
        caller.send("GET", "/integrations/v1/me", {"Authorization": f"Bearer {canary}"})
        caller.send("GET", f"/integrations/v1/{canary}?hapikey={canary}")
        status, _ = caller.send("GET", f"/accounts/{slug}/api-key/?hapikey={canary}", {"User-Agent": canary})
        assert status == 500  # what is wanted here: a traceback in the log
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE apikeys_apikey_gone RENAME TO apikeys_apikey")


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
    return {str(path): path.read_bytes() for path in files} | database_dump()


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
