"""Burst and daily limits in one process: never more than they say, right days, right headers."""

from collections import deque
from dataclasses import replace
from datetime import UTC, date, datetime, time
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.gate.limits import Mode, Window, day_of
from apikeys.gate.reasons import Reason
from apikeys.gate.store import Credential
from apikeys.gate.windows import Windows
from apikeys.secrets import Kind

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()
SOON = 0.001


def credential(*, burst: int = 100, daily: int = 250_000, zone: str = "UTC") -> Credential:
    return Credential(
        digest=b"d", id=uuid4(), kind=Kind.API_KEY, end="", account_id=1, account_number=2519445, account_slug="acme",
        account_state="open", burst_limit=burst, daily_limit=daily, time_zone=zone, scopes=None,
    )  # fmt: skip


class NoOthers:
    """Shared limits of which nobody ever answers: what a window holds is what the test gives it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Window, bool]] = []

    def ask(self, window: Window, *, wants: bool = True) -> None:
        self.asked.append((window, wants))


def window_of(one: Credential, *, sharing: NoOthers | None = None) -> Window:
    """Without others it has all of each limit."""
    return Windows(sharing).of(one, boot=0.0, wall=NOON)


@given(
    limit=st.integers(1, 8),
    gaps=st.lists(st.floats(0, 4, allow_nan=False), min_size=1, max_size=80),
    start=st.floats(0, 1e6, allow_nan=False),
)
def test_in_any_ten_seconds_no_more_than_the_limit_pass_and_none_is_refused_much_too_early(
    limit: int, gaps: list[float], start: float
) -> None:
    window = window_of(credential(burst=limit))
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
    window = window_of(credential(burst=1))
    window.take(100.0, NOON)

    refused = [window.take(100.0 + n / 10, NOON) for n in range(1, 100)]

    assert set(refused) == {Reason.BURST_LIMIT}
    assert window.used_today == 1
    assert window.take(110.1, NOON) is Reason.ACCEPTED


def test_retry_after_is_when_a_call_passes_again() -> None:
    window = window_of(credential(burst=2))
    window.take(100.05, NOON)
    window.take(103.0, NOON)

    wait = window.retry_after(Reason.BURST_LIMIT, boot=104.0, wall=NOON)

    assert window.take(104.0 + wait - 1, NOON) is Reason.BURST_LIMIT
    assert window.take(104.0 + wait, NOON) is Reason.ACCEPTED


def test_the_day_ends_at_the_accounts_own_midnight() -> None:
    window = window_of(credential(daily=1, zone="America/New_York"))
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


def test_the_days_usage_is_what_is_stored_and_what_will_be() -> None:
    window = window_of(credential(daily=10))
    window.take(0.0, NOON)
    window.take(0.0, NOON)

    window.learn(day=window.day, stored=5, settled=1)
    window.learn(day="2026-05-03", stored=5_000)

    assert window.used_today == 6


@given(
    limit=st.integers(1, 12),
    steps=st.lists(st.tuples(st.integers(0, 2), st.floats(0, 3, allow_nan=False), st.integers(0, 3)), max_size=120),
)
def test_parts_that_wander_between_processes_never_let_more_through_than_the_whole(
    limit: int, steps: list[tuple[int, float, int]]
) -> None:
    """Three windows of one limit: at each step one calls, after a pause, and another may give it some before."""
    windows = [window_of(credential(burst=limit), sharing=NoOthers()) for _ in range(3)]
    for one in windows:
        one.lend(1000)
    windows[0].keep(limit)
    accepted: list[float] = []
    now = 100.0
    for caller, pause, giver in steps:
        now += pause
        if giver < 3 and giver != caller:
            part = windows[giver].give(int(now * 10))
            windows[caller].keep(windows[caller].allotted + part)
        if windows[caller].take(now, NOON) is Reason.ACCEPTED:
            accepted.append(now)
        assert sum(1 for at in accepted if at > now - 10) <= limit
        assert sum(one.allotted for one in windows) == limit


@given(
    lent=st.integers(0, 50),
    by_others=st.integers(0, 50),
    here=st.integers(0, 20),
    part=st.integers(0, 10),
)
def test_what_is_said_to_remain_of_the_day_is_never_more_than_there_is(
    lent: int, by_others: int, here: int, part: int
) -> None:
    """Others were lent some calls of the day, and since then accepted what their part of the burst limit allows."""
    window = window_of(credential(burst=10, daily=100), sharing=NoOthers())
    window.keep(part)
    window.lend(20)
    window.know_beyond(20 + lent, 1000)
    accepted = sum(1 for _ in range(here) if window.take(100.0, NOON) is Reason.ACCEPTED)
    since = min(by_others, 10 - part)

    said, _, _ = window.left_now()

    assert said <= 100 - accepted - lent - since
    assert said >= 100 - accepted - lent - (10 - part)


def test_what_is_said_to_remain_is_less_once_nothing_was_heard_for_long() -> None:
    window = window_of(credential(burst=10, daily=100), sharing=NoOthers())
    window.keep(5)
    window.lend(20)
    window.know_beyond(20, 1000)

    window.take(100.0 + 10.0, NOON)

    assert window.left_now()[0] == 19


def test_a_window_asks_ahead_of_need_and_not_at_every_call() -> None:
    sharing = NoOthers()
    window = window_of(credential(burst=1000, daily=100_000), sharing=sharing)
    window.keep(1000)
    window.lend(100)

    for number in range(80):
        window.take(100.0 + number / 100, NOON)

    assert len(sharing.asked) == 1
    assert window.left_today == 20


def test_after_others_have_declared_this_process_dead_nothing_it_held_counts() -> None:
    window = window_of(credential(burst=10), sharing=NoOthers())
    window.keep(10)
    window.lend(5)
    window.take(100.0, NOON)

    window.windows.mode = Mode(life=1)

    assert window.take(100.1, NOON) is Reason.BURST_LIMIT
    assert (window.allotted, window.left) == (0, 0)


def test_an_equal_share_is_taken_at_once_where_it_is_less_and_later_where_it_is_more() -> None:
    more, less = (window_of(credential(burst=10), sharing=NoOthers()) for _ in range(2))
    more.keep(10)
    for one in (more, less):
        one.lend(100)
        one.windows.mode = Mode(equal_shares=2, raise_tick=1120)

    before = [[one.take(at, NOON) for at in [100.0] * 6] for one in (more, less)]
    after = [less.take(112.0, NOON) for _ in range(6)]

    assert before == [[Reason.ACCEPTED] * 5 + [Reason.BURST_LIMIT], [Reason.BURST_LIMIT] * 6]
    assert after == [Reason.ACCEPTED] * 5 + [Reason.BURST_LIMIT]


def test_a_wall_clock_that_is_set_neither_begins_nor_ends_the_day() -> None:
    windows = Windows()
    windows.wall_ahead = NOON - 100.0
    window = windows.of(credential(daily=1), boot=100.0, wall=NOON)
    window.take(100.0, NOON)

    for hours in (13, -13):
        assert window.take(101.0, NOON + hours * 3600) is Reason.DAILY_LIMIT
    window.take(100.0 + 12 * 3600, NOON)  # midnight, by the clock that counts
    windows.mode = Mode()
    window.take(100.1 + 12 * 3600, NOON)

    assert window.day == "2026-05-05"


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
    window = window_of(credential(burst=100, daily=250_000))
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
