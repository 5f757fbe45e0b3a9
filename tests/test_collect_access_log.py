"""`./portal manage collect_access_log`, as a process: its sockets, what they refuse, and how it ends."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from apikeys import secrets
from apikeys.secrets import Kind
from auditlog.gateway_log.lines import LINE_LIMIT
from auditlog.models import Call
from tests.collecting import NEXT_TOKEN, TOKEN, Collecting
from tests.factories import CallFactory
from tests.gates import HOST

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def collecting(tmp_path: Path) -> Iterator[Collecting]:
    with Collecting(tmp_path) as running:
        yield running


def incomplete(**facts: Any) -> Call:
    call: Call = CallFactory.create(**{"status": 204, "duration_us": None, "request_id": uuid4()} | facts)
    return call


def line(call: Call, **changes: Any) -> bytes:
    told = {"request_id": str(call.request_id), "status": 201, "seconds": 0.25, "bytes": 77, "time": time.time()}
    return json.dumps(told | changes).encode()


def until_complete(*calls: Call) -> None:
    ids = [call.request_id for call in calls]
    while Call.objects.filter(request_id__in=ids, duration_us=None).exists():
        time.sleep(0.05)


WAYS = (
    Collecting.by_udp,
    Collecting.by_unix,
    Collecting.by_tcp,
    Collecting.by_tcp_without_end,
    Collecting.by_http,
)


def test_calls_are_completed_by_every_way_in(collecting: Collecting) -> None:
    calls = [incomplete() for _ in WAYS]

    for way, call in zip(WAYS, calls, strict=True):
        way(collecting, line(call))

    until_complete(*calls)
    assert set(Call.objects.values_list("status", "duration_us", "size")) == {(201, 250_000, 77)}
    assert collecting.end() == {"completed": 5}


def test_a_line_that_is_earlier_than_its_call_waits_for_it(collecting: Collecting) -> None:
    call = CallFactory.build(status=204, duration_us=None)
    collecting.by_tcp(line(call))
    time.sleep(1.2)  # it was looked for once by now

    call.save()

    until_complete(call)
    assert collecting.end() == {"completed": 1}


def test_a_store_that_is_away_costs_no_line(collecting: Collecting) -> None:
    call = incomplete()
    with transaction.atomic():  # which on SQLite keeps all other writers out
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {Call._meta.db_table}")
        collecting.by_tcp(line(call))
        while "access_log_waits" not in collecting.said.read_text():
            time.sleep(0.05)

    until_complete(call)
    assert collecting.end() == {"completed": 1}


REFUSED = 599  # the status of what the store of this test refuses
REFUSING = {
    "sqlite": [
        (
            f"CREATE TRIGGER refusing BEFORE UPDATE ON auditlog_call WHEN NEW.status = {REFUSED} "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    ],
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
        (
            f"CREATE TRIGGER refusing BEFORE UPDATE ON auditlog_call FOR EACH ROW WHEN (NEW.status = {REFUSED}) "
            "EXECUTE FUNCTION refuse()"
        ),
    ],
}
TAKING = {
    "sqlite": ["DROP TRIGGER refusing"],
    "postgresql": ["DROP TRIGGER refusing ON auditlog_call", "DROP FUNCTION refuse"],
}


@contextmanager
def store_that_refuses() -> Iterator[None]:
    with connection.cursor() as cursor:
        for statement in REFUSING[connection.vendor]:
            cursor.execute(statement)
        try:
            yield
        finally:
            for statement in TAKING[connection.vendor]:
                cursor.execute(statement)


def test_what_the_store_refuses_keeps_no_other_line_from_its_call(collecting: Collecting) -> None:
    bad, *good = [incomplete() for _ in range(200)]
    with store_that_refuses():
        collecting.by_http(*(line(call) for call in good[:77]), line(bad, status=REFUSED), *map(line, good[77:]))

        until_complete(*good)

        assert collecting.end() == {"completed": 199, "unknown": 1}
    bad.refresh_from_db()
    assert (bad.status, bad.duration_us) == (204, None)
    said = [json.loads(text) for text in collecting.said.read_text().splitlines() if "access_log_refused" in text]
    assert {one["lines"] for one in said} == {1}
    assert not any(str(bad.request_id) in str(one) for one in said)


def test_a_store_that_refuses_everything_is_not_pressed_and_takes_the_lines_later(collecting: Collecting) -> None:
    calls = [incomplete() for _ in range(200)]
    with store_that_refuses():
        collecting.by_http(*(line(call, status=REFUSED) for call in calls))
        while '"access_log_refused"' not in collecting.said.read_text():
            time.sleep(0.05)

    until_complete(*calls)
    assert collecting.end() == {"completed": 200}


@pytest.mark.once("what comes in by sockets knows nothing of the store")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_completes_what_came_before_it(tmp_path: Path, number: signal.Signals) -> None:
    calls = [incomplete() for _ in range(50)]
    with Collecting(tmp_path) as collecting:
        collecting.by_http(*map(line, calls))
        collecting._process.send_signal(number)  # noqa: SLF001 -- of this file

        assert collecting.end() == {"completed": 50}

    assert not collecting.path.exists()
    assert not Call.objects.filter(duration_us=None).exists()


def test_ten_thousand_lines_at_once_are_all_told(collecting: Collecting) -> None:
    now = timezone.now()
    calls = Call.objects.bulk_create(CallFactory.build(at=now, duration_us=None) for _ in range(10_000))

    threads = [
        threading.Thread(target=collecting.by_tcp, args=[line(call) for call in calls[start::4]]) for start in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    until_complete(*calls[:1], *calls[-1:])
    assert collecting.end() == {"completed": 10_000}


@pytest.mark.once("what comes in by sockets knows nothing of the store")
def test_what_is_no_line_is_counted_and_keeps_none_after_it(collecting: Collecting) -> None:
    call = incomplete()
    oversize = b'{"uri": "' + b"x" * LINE_LIMIT * 3 + b'"}'

    collecting.by_tcp(b"nonsense", oversize, line(call), line(call, request_id=""))
    collecting.by_udp(b"\xff" * 60_000, b"")

    until_complete(call)
    time.sleep(0.3)  # datagrams may come after the stream
    assert collecting.end() == {"completed": 1, "bad": 3, "oversize": 1, "not_asked": 1}


@pytest.mark.once("what comes in by sockets knows nothing of the store")
def test_no_part_of_a_line_that_is_too_long_counts_as_one(collecting: Collecting) -> None:
    call = incomplete()
    hidden = b"x" * LINE_LIMIT + line(call, status=500)

    collecting.by_tcp(hidden, b"x" * (LINE_LIMIT * 2 - 1) + line(call, status=500), line(call))

    until_complete(call)
    assert Call.objects.get().status == 201
    assert collecting.end() == {"completed": 1, "oversize": 2}


@pytest.mark.once("what comes in by sockets knows nothing of the store")
def test_lines_are_taken_from_trusted_addresses_alone(tmp_path: Path) -> None:
    call = incomplete()
    with Collecting(tmp_path, TRUSTED_PROXIES="192.0.2.1") as collecting:
        collecting.by_udp(line(call))
        collecting.by_tcp(line(call))
        collecting.by_unix(line(call, status=202))

        until_complete(call)

        assert Call.objects.get().status == 202
        assert collecting.end() == {"completed": 1, "untrusted": 2}


@pytest.mark.once("is refused before the store is asked")
def test_over_http_each_mistake_is_told(collecting: Collecting) -> None:
    post = collecting.post

    assert post(b"", Authorization="")[0] == 401
    assert post(b"", Authorization=f"Bearer {TOKEN[1:]}")[0] == 401
    assert post(b"", Authorization=f"Basic {TOKEN}")[0] == 401
    assert post(b"", Authorization=f"Bearer {NEXT_TOKEN}") == (200, {"taken": 0, "left": 0})
    assert post(b"", method="GET")[0] == 405
    assert post(b"", path="/")[0] == 404
    assert post(b"", Content_Type="text/html")[0] == 415
    assert post(b"", Content_Encoding="gzip")[0] == 415
    assert post(b"x" * 1_048_577)[0] == 413
    assert post(iter([b"x" * 65_536] * 17))[0] == 413  # chunked: no length to go by
    assert post(b"nonsense\n\n{}\n") == (200, {"taken": 0, "left": 2})
    assert b'keyportal_access_log_lines_total{outcome="bad"} 1.0' in post(b"", method="GET", path="/metrics")[1]
    assert post(b"", method="GET", path="/metrics", X_Forwarded_For="127.0.0.1")[0] == 403


@pytest.mark.once("what comes in by sockets knows nothing of the store")
def test_no_line_leaves_a_trace_of_a_secret(collecting: Collecting) -> None:
    """A gateway that is set up carelessly logs keys; here they come to nothing."""
    call, canary = incomplete(), secrets.generate(Kind.API_KEY)

    collecting.by_tcp(f"GET /?hapikey={canary} 200".encode(), line(call, uri=f"/?hapikey={canary}"))
    collecting.by_udp(f"<190>nginx: {canary}".encode(), line(call, request_id=canary))
    collecting.post(canary.encode(), path=f"/access-log?hapikey={canary}")
    collecting.post(b"", path=f"/{canary}", Authorization=f"Bearer {canary}")

    until_complete(call)
    time.sleep(0.3)
    counted = collecting.end()
    assert counted["bad"] >= 3
    assert canary not in str(list(Call.objects.values()))
    assert canary not in collecting.said.read_text()


# --- What it does not start with ----------------------------------------------------------------------------------
def refusal(listen: str) -> str:
    with pytest.raises(CommandError) as refused:
        call_command("collect_access_log", listen=[listen])
    return str(refused.value)


@pytest.mark.once("ends before it asks the store")
@pytest.mark.parametrize(
    ("listen", "tokens", "why"),
    [
        ("tcp://127.0.0.1", [], "is not an address to listen on, such as udp://127.0.0.1:8002."),
        ("ftp://127.0.0.1:1", [], "is not an address to listen on"),
        ("unix://calls.sock", [], "such as unix:///run/keyportal/calls.sock."),
        ("tcp://127.0.0.1:99999", [], "is not an address to listen on"),
        ("unix:///nowhere/calls.sock", [], "cannot be listened on: "),
        ("http://127.0.0.1:1", [], "http:// needs ACCESS_LOG_TOKENS"),
        ("http://127.0.0.1:1", [TOKEN, "short"], "of at least 32 characters"),
    ],
)
def test_what_cannot_be_listened_on_is_refused(listen: str, tokens: list[str], why: str, settings: Settings) -> None:
    settings.ACCESS_LOG_TOKENS = tokens

    assert why in refusal(listen)


@pytest.mark.once("ends before it asks the store")
def test_a_busy_port_and_a_file_in_the_way_are_refused(tmp_path: Path, settings: Settings) -> None:
    settings.ACCESS_LOG_TOKENS = [TOKEN]
    (tmp_path / "file").write_text("somebody's")

    with socket.create_server((HOST, 0)) as other:
        busy = other.getsockname()[1]
        refusals = [
            refusal(f"http://{HOST}:{busy}"),
            refusal(f"tcp://{HOST}:{busy}"),
            refusal(f"unix://{tmp_path}/file"),
        ]

    assert all("cannot be listened on: " in one for one in refusals)
    assert (tmp_path / "file").read_text() == "somebody's"
