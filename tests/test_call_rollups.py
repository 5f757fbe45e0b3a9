"""Roll-ups of the call log: counted with the batch, and the same as counting the calls themselves."""

from collections import Counter
from datetime import timedelta
from string import ascii_lowercase
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apikeys import secrets
from auditlog import call_rollups, usage
from auditlog.call_kinds import by_kind
from auditlog.call_rows import Call as QueuedCall
from auditlog.call_rows import Cleaner
from auditlog.callers import route_of
from auditlog.models import Call, CallsByCaller, CallsByRoute
from tests.factories import NOW, CallFactory

pytestmark = pytest.mark.django_db

KEY, NEXT_KEY = uuid4(), uuid4()
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


def queued(
    minutes: float,
    *,
    path: bytes = b"/contacts",
    status: int = 204,
    reason: str = "",
    agent: bytes = b"curl/8",
    key: UUID | None = KEY,
) -> QueuedCall:
    """A call so many minutes after NOW, which is half past an hour."""
    who = (7, "api_key", key.hex) if key else (None, "", None)
    at = NOW.timestamp() + minutes * 60
    return (who, at, b"GET", path, status, None, reason, agent, "203.0.113.9", uuid4().int, None if reason else "day")


def add(*batches: list[QueuedCall]) -> None:
    roll_ups = call_rollups.RollUps()
    for batch in batches:
        roll_ups.count(by_kind(Cleaner(secrets.mask).batch(batch))).store()


def test_batches_add_up_by_hour_caller_and_reason() -> None:
    add(
        [queued(0), queued(1, status=404), queued(2, agent=b"Zapier"), queued(40)],
        [queued(3), queued(4, status=429, reason="burst_limit")],
    )

    rows = CallsByCaller.objects.order_by("hour", "agent", "reason")
    assert [(row.hour.hour, row.agent, row.reason, row.calls, row.failed) for row in rows] == [
        (9, "Zapier", "", 1, 0), (9, "curl", "", 3, 1), (9, "curl", "burst_limit", 1, 1), (10, "curl", "", 1, 0),
    ]  # fmt: skip
    assert (rows[1].first_at, rows[1].last_at) == (NOW, NOW + 3 * MINUTE)


def test_batches_add_up_by_day_and_route() -> None:
    add([queued(0, path=b"/contacts/17"), queued(1, path=b"/contacts/18", status=404)], [queued(2, path=b"/deals")])

    rows = CallsByRoute.objects.order_by("route").values_list("method", "route", "calls", "failed")
    assert list(rows) == [("GET", "/contacts/{id}", 2, 1), ("GET", "/deals", 1, 0)]


def test_calls_of_nobody_are_in_no_roll_up() -> None:
    add([queued(0, key=None, status=401, reason="unknown")])

    assert not CallsByCaller.objects.exists()
    assert not CallsByRoute.objects.exists()


def test_a_caller_that_makes_up_paths_gets_no_more_routes_than_are_named() -> None:
    words = [a + b for a in ascii_lowercase for b in ascii_lowercase]

    add([queued(0, path=f"/{word}".encode()) for word in words])

    assert CallsByRoute.objects.count() == call_rollups.ROUTES_A_CALLER + 1
    assert CallsByRoute.objects.get(route="").calls == len(words) - call_rollups.ROUTES_A_CALLER


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/crm/v3/objects/contacts/17", "/crm/v3/objects/contacts/{id}"),
        ("/contacts/17/", "/contacts/{id}/"),
        ("/1/2", "/{id}/{id}"),
        ("/oauth/2026-03/token", "/oauth/2026-03/token"),
        ("/contacts/0190c3a2-77c1-7d0e-9f1b-2f3a4b5c6d7e/notes", "/contacts/{id}/notes"),
        ("/contacts/ada@acme.example", "/contacts/{id}"),
        ("/contacts/ada%40acme.example", "/contacts/{id}"),
        ("/custom-objects/" + "a" * 41, "/custom-objects/{id}"),
        ("/engagements-associations/list", "/engagements-associations/list"),
    ],
)
def test_a_route_is_a_path_without_the_names_of_things(path: str, route: str) -> None:
    assert route_of(path) == route


@pytest.mark.parametrize("minutes", [-45, -0.5, 0, 0.7, 20, 45])
def test_what_came_since_an_instant_is_counted_to_the_call(minutes: float) -> None:
    """Whichever side of the instant the log itself is read on."""
    since = NOW + minutes * MINUTE
    for n in range(-80, 80, 3):
        reason = "rotated" if n > 0 else ""
        CallFactory.create(
            account_id=7, credential_id=KEY, at=NOW + n * MINUTE, reason=reason, status=401 if reason else 200
        )

    tally = usage.tally(KEY, account_id=7, since=since, now=NOW + 2 * HOUR)

    younger = Call.objects.filter(at__gte=since)
    assert tally == usage.Tally(accepted=younger.filter(reason="").count(), refused=younger.exclude(reason="").count())


def test_callers_since_an_instant_are_those_that_counting_the_calls_finds() -> None:
    for n, agent in enumerate("abcabdabeab"):
        CallFactory.create(account_id=7, credential_id=KEY, agent=agent, at=NOW + n * MINUTE)
    since = NOW + 5 * MINUTE

    found = usage.still_presenting(KEY, since=since, successor_id=NEXT_KEY, account_id=7, now=NOW + HOUR)

    counted = Counter(Call.objects.filter(at__gte=since).values_list("agent", flat=True))
    assert {caller.agent: caller.calls for caller in found} == counted
    assert "c" not in counted


def test_a_caller_in_the_hour_in_which_the_week_begins_is_left_out_only_if_all_its_calls_are_too_old() -> None:
    """Nobody who will break is missing (the hour counts whole), and nobody older than a week is shown (G9)."""
    now = timezone.now().replace(minute=30)
    for agent, minutes in (("older", -20), ("younger", 20), ("both", -10), ("both", 10)):
        CallFactory.create(account_id=7, credential_id=KEY, agent=agent, at=now - WEEK + minutes * MINUTE)

    found = usage.callers(KEY, account_id=7, now=now)

    assert {caller.agent: caller.calls for caller in found} == {"younger": 1, "both": 2}
    assert min(caller.last_at for caller in found) >= now - WEEK


@pytest.mark.once("the number of queries is the same on any store")
def test_callers_are_read_without_the_calls(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    CallFactory.create(account_id=7, credential_id=KEY)

    with django_assert_num_queries(2) as asked:
        usage.callers(KEY, account_id=7, now=timezone.now())

    assert not any(f'"{Call._meta.db_table}"' in query["sql"] for query in asked.captured_queries)
