"""Burst and daily limits: never more than they say, right days, right headers."""

from collections import deque
from dataclasses import replace
from datetime import UTC, date, datetime, time
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.gate.limits import Window, Windows, day_of
from apikeys.gate.reasons import Reason
from apikeys.gate.store import Credential
from apikeys.secrets import Kind

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()
SOON = 0.001


def credential(*, burst: int = 100, daily: int = 250_000, zone: str = "UTC") -> Credential:
    return Credential(
        digest=b"d", id=uuid4(), kind=Kind.API_KEY, end="", account_id=1, account_number=2519445, account_slug="acme",
        account_state="open", burst_limit=burst, daily_limit=daily, time_zone=zone, scopes=None,
    )  # fmt: skip


@given(
    limit=st.integers(1, 8),
    gaps=st.lists(st.floats(0, 4, allow_nan=False), min_size=1, max_size=80),
    start=st.floats(0, 1e6, allow_nan=False),
)
def test_in_any_ten_seconds_no_more_than_the_limit_pass_and_none_is_refused_much_too_early(
    limit: int, gaps: list[float], start: float
) -> None:
    window = Window(credential(burst=limit), wall=NOON)
    accepted: deque[float] = deque()
    now = start
    for gap in gaps:
        now += gap
        reason = window.take(now, NOON)
        if reason is Reason.ACCEPTED:
            accepted.append(now)
            assert sum(1 for at in accepted if at > now - 10) <= limit
        else:
            assert sum(1 for at in accepted if at > now - 10.1 - SOON) >= limit


def test_a_refused_call_counts_toward_nothing() -> None:
    window = Window(credential(burst=1), wall=NOON)
    window.take(100.0, NOON)

    refused = [window.take(100.0 + n / 10, NOON) for n in range(1, 100)]

    assert set(refused) == {Reason.BURST_LIMIT}
    assert window.used_today == 1
    assert window.take(110.1, NOON) is Reason.ACCEPTED


def test_retry_after_is_when_a_call_passes_again() -> None:
    window = Window(credential(burst=2), wall=NOON)
    window.take(100.05, NOON)
    window.take(103.0, NOON)

    wait = window.retry_after(Reason.BURST_LIMIT, boot=104.0, wall=NOON)

    assert window.take(104.0 + wait - 1, NOON) is Reason.BURST_LIMIT
    assert window.take(104.0 + wait, NOON) is Reason.ACCEPTED


def test_the_day_ends_at_the_accounts_own_midnight() -> None:
    window = Window(credential(daily=1, zone="America/New_York"), wall=NOON)
    midnight = datetime(2026, 5, 5, 0, 0, tzinfo=ZoneInfo("America/New_York")).timestamp()
    window.take(0.0, NOON)

    assert window.take(20.0, midnight - 1) is Reason.DAILY_LIMIT
    assert window.retry_after(Reason.DAILY_LIMIT, boot=20.0, wall=midnight - 90) == 90
    assert window.take(21.0, midnight) is Reason.ACCEPTED


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Africa/Cairo", date(2026, 4, 24), 23),  # the clocks skip midnight itself
        ("America/New_York", date(2026, 5, 4), 24),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(zone: str, day: date, hours: int) -> None:
    noon = datetime.combine(day, time(12), tzinfo=ZoneInfo(zone)).timestamp()

    its_day, ends = day_of(noon, ZoneInfo(zone))
    _, begins = day_of(noon - 86_400, ZoneInfo(zone))

    assert its_day == day
    assert ends - begins == hours * 3600
    assert day_of(begins, ZoneInfo(zone))[0] == day


def test_the_days_total_of_all_processes_counts() -> None:
    window = Window(credential(daily=10), wall=NOON)
    window.take(0.0, NOON)
    window.take(0.0, NOON)

    window.learn(day=window.day, stored=9, settled=1)

    assert window.used_today == 10
    assert window.take(1.0, NOON) is Reason.DAILY_LIMIT


def test_what_the_store_says_of_another_day_is_not_todays() -> None:
    window = Window(credential(), wall=NOON)

    window.learn(day="2026-05-03", stored=5_000)

    assert window.used_today == 0


def test_a_changed_plan_holds_at_once_and_forgets_nothing() -> None:
    windows = Windows()
    first = credential(burst=3)
    window = windows.of(first, boot=0.0, wall=NOON)
    window.take(0.0, NOON)
    window.take(0.0, NOON)

    same = windows.of(replace(first, burst_limit=2), boot=0.0, wall=NOON)

    assert same is window
    assert window.take(1.0, NOON) is Reason.BURST_LIMIT
    assert b"X-HubSpot-RateLimit-Max: 2\r\n" in window.headers
    assert b"X-HubSpot-RateLimit-Remaining: 0\r\n" in window.remaining()


def test_the_headers_say_what_is_left() -> None:
    window = Window(credential(burst=100, daily=250_000), wall=NOON)
    for at in (50.0, 50.0, 56.05):
        window.take(at, NOON)

    lines = (window.headers + window.remaining()).decode().splitlines()

    assert lines == [
        "X-HubSpot-RateLimit-Daily: 250000",
        "X-HubSpot-RateLimit-Interval-Milliseconds: 10000",
        "X-HubSpot-RateLimit-Max: 100",
        'RateLimit-Policy: "burst";q=100;w=10',
        "X-HubSpot-RateLimit-Daily-Remaining: 249997",
        "X-HubSpot-RateLimit-Remaining: 97",
        'RateLimit: "burst";r=97;t=5',
    ]
