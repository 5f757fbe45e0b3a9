"""What gateways log, read and put into the call log: `auditlog.gateway_log` but for its sockets."""

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from auditlog.gateway_log import collector
from auditlog.gateway_log.collector import Collector
from auditlog.gateway_log.completions import Completions, Outcome
from auditlog.gateway_log.lines import LONGEST_US, BadLineError, Completion, completion
from auditlog.models import Call, CallsByCaller, CallsByRoute
from tests.factories import CallFactory

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
ID = UUID("0198c1f0-0000-8000-8000-000000000007")
TOLD = Completion(ID, NOW.timestamp(), 200, 12_000, 512)


def own(**changes: Any) -> dict[str, Any]:
    return {"request_id": str(ID), "status": 200, "seconds": 0.012, "bytes": 512, "time": NOW.timestamp()} | changes


def read(said: Any) -> Completion | None:
    return completion(said if isinstance(said, bytes) else json.dumps(said).encode(), now=NOW)


# --- Lines --------------------------------------------------------------------------------------------------------
CADDY = {
    "level": "info", "ts": NOW.timestamp(), "logger": "http.log.access", "msg": "handled request", "bytes_read": 0,
    "duration": 0.012, "size": 512, "status": 200, "resp_headers": {"X-Request-Id": [str(ID), str(uuid4())]},
}  # fmt: skip
TRAEFIK = {
    "DownstreamStatus": 200, "Duration": 12_000_000, "DownstreamContentSize": 512, "request_X-Request-Id": str(ID),
    "time": "2026-05-04T12:00:00Z", "level": "info", "msg": "",
}  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        own(),
        b"<190>May  4 12:00:00 nginx: " + json.dumps(own()).encode(),
        own(seconds=None, milliseconds=12),  # Envoy
        own(time="2026-05-04T12:00:00.000Z"),
        own(time=None, started="2026-05-04T11:59:59.988Z"),
        own(time="2026-05-04T14:00:00+02:00"),
        own(time="2026-05-04T12:00:00"),
        {name: value for name, value in own().items() if name != "time"},
        own(uri="/things?hapikey=" + "x" * 20),  # more than is asked for
        CADDY,
        TRAEFIK,
    ],
)
def test_each_gateways_line_tells_the_same(said: Any) -> None:
    assert read(said) == TOLD


@pytest.mark.parametrize(
    "said",
    [own(request_id=""), own(request_id="-"), own(request_id=None), CADDY | {"resp_headers": {}}, {"status": 200}],
)
def test_a_line_without_request_id_is_of_no_call(said: Any) -> None:
    assert read(said) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "json"),
        (b"\xff", "json"),
        (b"GET / 200", "json"),
        (b"<190>May 4 12:00:00 nginx: GET / 200", "json"),
        (b"[" * 60_000, "json"),
        (b'{"status": ' + b"9" * 5_000 + b"}", "json"),
        (b"[1]", "json"),
        (b"null", "json"),
        (own(request_id="7"), "request_id"),
        (own(request_id=str(ID) + "\n"), "request_id"),
        (own(request_id=7), "request_id"),
        (own(status=0), "status"),
        (own(status=1000), "status"),
        (own(status="200"), "status"),
        (own(status=True), "status"),
        (own(status=None), "status"),
        (own(seconds=-1), "duration"),
        (own(seconds=float("nan")), "duration"),
        (own(seconds=float("inf")), "duration"),
        (own(seconds="0.1"), "duration"),
        (own(seconds=None), "duration"),
        (own(bytes=-1), "size"),
        (own(bytes=2**63), "size"),
        (own(bytes=None), "size"),
        (own(started="yesterday"), "time"),
        (own(time=0), "time"),
        (own(time=1e300), "time"),
        (own(time="yesterday"), "time"),
        (own(time="0001-01-01T00:00:00"), "time"),
        (own(time=(NOW + timedelta(hours=1)).timestamp()), "time"),
        (own(time=(NOW - timedelta(days=8)).timestamp()), "time"),
        (CADDY | {"resp_headers": {"X-Request-Id": "7"}, "status": 200}, None),
    ],
)
def test_any_other_line_is_refused_in_a_word(said: Any, why: str | None) -> None:
    if why is None:
        assert read(said) is None
        return
    with pytest.raises(BadLineError) as refusal:
        read(said)

    assert str(refusal.value) == why


@given(st.one_of(st.binary(max_size=200), st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.dictionaries(
        st.sampled_from(["request_id", "status", "seconds", "bytes", "time", "resp_headers", "X-Request-Id"]), inner
    ),
    max_leaves=8,
)))  # fmt: skip
def test_no_line_does_more_than_be_refused(said: Any) -> None:
    with suppress(BadLineError):
        assert isinstance(read(said), Completion | None)


@pytest.mark.parametrize("when", ["time", "started"])
def test_a_call_longer_than_the_column_holds_is_shown_as_the_longest(when: str) -> None:
    told = read(own(seconds=1e300, **{when: NOW.timestamp()}))

    assert told is not None
    assert told.duration_us == LONGEST_US


# --- Rows ---------------------------------------------------------------------------------------------------------
def told_of(call: Call, *, status: int = 200, took: float = 0.012, later: float = 0.0) -> Completion:
    ended_at = call.at.timestamp() + took + later
    return Completion(call.request_id, ended_at, status, int(took * 1e6), 512)


def incomplete(**facts: Any) -> Call:
    call: Call = CallFactory.create(**{"at": NOW, "status": 204, "duration_us": None, "request_id": uuid4()} | facts)
    return call


def seen(call: Call) -> tuple[int, int | None, int | None]:
    row = Call.objects.get(request_id=call.request_id)
    return row.status, row.duration_us, row.size


@pytest.mark.django_db
@pytest.mark.parametrize("later", [0, 20, -20])  # clocks that differ
def test_a_call_gets_what_the_api_answered(later: float) -> None:
    call, other = incomplete(), incomplete()

    outcome = Completions().complete([told_of(call, status=404, later=later)])

    assert outcome == Outcome(frozenset({call.request_id}), frozenset())
    assert seen(call) == (404, 12_000, 512)
    assert seen(other) == (204, None, None)


@pytest.mark.django_db
def test_a_call_that_took_minutes_is_found_where_it_began() -> None:
    call = incomplete()

    Completions().complete([told_of(call, took=600.0)])

    assert seen(call) == (200, 600_000_000, 512)


@pytest.mark.django_db
def test_a_refused_call_keeps_the_gates_verdict() -> None:
    call = incomplete(status=429, reason="burst_limit")

    Completions().complete([told_of(call, status=503)])

    assert seen(call) == (429, 12_000, 512)


@pytest.mark.django_db
def test_the_first_to_tell_is_believed() -> None:
    call = incomplete()
    Completions().complete([told_of(call)])

    outcome = Completions().complete([told_of(call, status=500)])

    assert outcome == Outcome(frozenset(), frozenset({call.request_id}))
    assert seen(call) == (200, 12_000, 512)


@pytest.mark.django_db
def test_failures_that_only_the_gateway_knew_of_are_in_the_roll_ups() -> None:
    """Usage is counted when calls are stored, before the API has answered."""
    who = {"account_id": 7, "credential_id": uuid4(), "path": "/contacts/7"}
    calls = [incomplete(**who) for _ in range(4)]
    refused = incomplete(**who, status=429, reason="burst_limit")

    told = [told_of(call, status=status) for call, status in zip(calls, (200, 404, 500, 302), strict=True)]
    for _ in range(2):
        Completions().complete([*told, told_of(refused, status=429)])

    by_reason = dict(CallsByCaller.objects.values_list("reason", "failed"))
    assert by_reason == {"": 2, "burst_limit": 1}
    assert list(CallsByCaller.objects.filter(reason="").values_list("calls", flat=True)) == [4]
    assert list(CallsByRoute.objects.values_list("route", "calls", "failed")) == [("/contacts/{id}", 5, 3)]


@pytest.mark.django_db
def test_what_has_no_row_is_in_neither() -> None:
    assert Completions().complete([TOLD]) == Outcome(frozenset(), frozenset())


@pytest.mark.django_db
def test_the_right_id_at_the_wrong_time_is_no_call() -> None:
    """The time bounds the search: that is what makes it cheap, and what it costs."""
    call = incomplete()

    assert Completions().complete([told_of(call, later=3_600)]).completed == frozenset()


@pytest.mark.django_db
def test_hundreds_of_calls_take_a_few_statements() -> None:
    calls = [incomplete(at=NOW + timedelta(milliseconds=number)) for number in range(600)]

    with CaptureQueriesContext(connection) as queries:
        outcome = Completions().complete([told_of(call) for call in calls])

    assert len(outcome.completed) == 600
    of_calls = [one for one in queries.captured_queries if Call._meta.db_table in one["sql"]]
    assert len(of_calls) == 4  # one to find them, three of 250 to fill them in


@pytest.mark.once("PostgreSQL's plan depends on how much there is")
@pytest.mark.django_db
def test_rows_are_found_by_their_time() -> None:
    """Without an index of times, each second of calls would cost a look at seven days of them."""
    rows = Call.objects.filter(at__gte=NOW, at__lte=NOW, request_id__in=[ID])

    assert "call_at" in rows.explain()


# --- Waiting ------------------------------------------------------------------------------------------------------
def take(into: Collector, *said: Any, clock: float = 0.0) -> list[bool]:
    return [into.take(json.dumps(one).encode(), now=NOW, clock=clock) for one in said]


def settled(of: Collector, outcome: Outcome, clock: float) -> None:
    of.settle(of.due(clock), outcome, clock=clock)


NOTHING = Outcome(frozenset(), frozenset())


def counted(of: Collector) -> dict[str, int]:
    return {outcome: number for outcome, number in of.counts.items() if number}


def test_a_line_waits_a_moment_for_its_call() -> None:
    waiting = Collector()
    take(waiting, own())

    assert (waiting.due(0.9), waiting.due(1.0)) == ([], [TOLD])
    settled(waiting, Outcome(frozenset({ID}), frozenset()), 1.0)
    assert (len(waiting), counted(waiting)) == (0, {"completed": 1})


def test_what_finds_no_call_is_tried_again_for_about_a_minute_and_then_let_go() -> None:
    waiting, tries, clock = Collector(), 0, 0.0
    take(waiting, own())

    while len(waiting):
        clock += 0.5
        tries += bool(waiting.due(clock))
        settled(waiting, NOTHING, clock)

    assert tries == len(collector.WAITS)
    assert 55 < clock < 75
    assert counted(waiting) == {"unknown": 1}


def test_a_call_told_of_twice_is_held_once() -> None:
    waiting = Collector()

    assert take(waiting, own(), own(status=500)) == [True, False]
    assert waiting.due(1.0) == [TOLD]
    assert counted(waiting) == {"repeated": 1}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Collector:
    monkeypatch.setattr(collector, "HELD_LIMIT", 3)
    return Collector()


def lines(number: int) -> Iterable[dict[str, Any]]:
    return (own(request_id=str(uuid4())) for _ in range(number))


def test_more_than_can_be_held_is_dropped_and_counted(narrow: Collector) -> None:
    assert take(narrow, *lines(5)) == [True, True, True, False, False]

    assert counted(narrow) == {"dropped": 2}


def test_lines_of_no_call_make_room_for_others(narrow: Collector) -> None:
    take(narrow, *lines(3))
    settled(narrow, NOTHING, 1.0)

    assert take(narrow, own(), clock=1.0) == [True]

    assert counted(narrow) == {"unknown": 1}
    assert TOLD in narrow.due(2.0)


def test_each_line_is_counted_by_what_became_of_it() -> None:
    waiting = Collector()
    waiting.take(b"nonsense", now=NOW, clock=0.0)
    waiting.take(b" " * 70_000, now=NOW, clock=0.0)
    take(waiting, own(request_id=""), own())
    waiting.give_up()

    assert counted(waiting) == {"bad": 1, "oversize": 1, "not_asked": 1, "unknown": 1}
