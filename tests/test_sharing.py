"""What processes share of limits beside the counters: the calls of the day, who lives, and each one's part (G8)."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from apikeys.gate.clock import boot_seconds
from apikeys.gate.limits import NEVER, TICKS_PER_SECOND, Mode, Window
from apikeys.gate.reasons import Reason
from apikeys.gate.sharing import days, members, undertaker
from apikeys.gate.sharing.asker import Asker
from apikeys.gate.sharing.bursts import SPENT_SECONDS
from apikeys.gate.sharing.days import DayAsk
from apikeys.gate.sharing.members import Terms
from apikeys.gate.sharing.process import Sharing
from apikeys.gate.sharing.undertaker import Undertaker
from apikeys.gate.windows import Windows
from apikeys.models import BurstTotal, CountingProcess, DayGrant
from auditlog.models import DailyUsage
from tests.counting import burst, look_at, new_process, new_table
from tests.test_limits import NOON, credential

pytestmark = pytest.mark.django_db(transaction=True)


# --- The day ------------------------------------------------------------------------------------------------------
def day(want: int, *, back: int = 0, limit: int = 100, urgent: bool = False) -> DayAsk:
    return DayAsk(7, "2026-05-04", limit, back, want, is_urgent=urgent)


@given(asks=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 120)), max_size=25))
@example_settings(max_examples=25, deadline=None)
def test_never_more_of_the_day_is_lent_than_its_limit(asks: list[tuple[int, int, int]]) -> None:
    DayGrant.objects.all().delete()
    out = 0
    for want, unused, limit in asks:
        before, back = out, min(unused, out)
        granted = days.grant([day(want, back=back, limit=limit)])[0]
        out += granted.calls - back
        assert out <= max(limit, before)
        assert granted.total == out


def test_leases_are_small_near_the_limit_and_the_last_call_is_lent_too() -> None:
    lent = [days.grant([day(60)])[0].calls for _ in range(60)]

    assert lent[:3] == [12, 11, 9]
    assert sum(lent) == 100
    assert days.wanted() == []


def test_who_has_none_left_asks_the_others() -> None:
    days.grant([day(60, limit=1)])

    days.grant([day(60, limit=1, urgent=True)])
    wanted = days.wanted()
    days.grant([day(0, back=1, limit=1)])
    got = days.grant([day(60, limit=1, urgent=True)])[0].calls

    assert wanted == [(7, "2026-05-04")]
    assert (got, days.wanted()) == (1, [])


def test_calls_that_were_stored_before_any_were_lent_count() -> None:
    DailyUsage.objects.create(account_id=7, day="2026-05-04", calls=99)

    assert days.grant([day(60)])[0] == (1, 100)


def test_days_that_are_over_everywhere_are_deleted() -> None:
    days.grant([day(1), DayAsk(7, "2026-05-01", 100, 0, 1, is_urgent=False)])

    removed = days.prune(now=datetime(2026, 5, 5, tzinfo=UTC))

    assert (removed, DayGrant.objects.count()) == (1, 1)


# --- Who lives ----------------------------------------------------------------------------------------------------
class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(undertaker, "boot_seconds", one)
    return one


def state(process: UUID) -> tuple[bool, bool] | None:
    row = CountingProcess.objects.filter(id=process).first()
    return (row.is_suspected, row.has_ended) if row else None


def test_who_does_not_answer_is_declared_dead_and_what_it_held_is_freed_when_it_must_be_spent(clock: Clock) -> None:
    counter = new_table()
    me, dead = new_process(counter), new_process(counter)
    counter.exchange(dead, [burst(0, 10)])
    mine = Undertaker()
    states, held = [], []
    mine.suspect({dead})
    for seconds in (0.0, 1.9, 2.1, 1.0, SPENT_SECONDS - 1, 2.0):
        clock.now += seconds
        mine.tidy(me, counter)
        states.append(state(dead))
        held.append(BurstTotal.objects.get().allotted)

    assert states == [(True, False), (True, False), (True, True), (True, True), (True, True), None]
    assert held == [10, 10, 10, 10, 10, 0]
    assert mine.is_alone is False


def test_who_answers_lives(clock: Clock) -> None:
    counter = new_table()
    me, other = new_process(counter), new_process(counter)
    mine = Undertaker()
    for _ in range(4):
        mine.suspect({other})
        mine.tidy(me, counter)
        members.answer(other)
        clock.now += undertaker.SUSPECT_SECONDS
        mine.suspect({other})  # a new suspicion, not one that was never answered
        mine.tidy(me, counter)
        clock.now += 1.5

    assert state(other) == (True, False)


def test_a_suspicion_that_was_answered_since_buries_nobody() -> None:
    process = new_process(new_table())
    members.suspect([process])
    members.answer(process)
    members.suspect([process])

    members.bury(process, suspicions=1)

    assert state(process) == (True, False)


def test_equal_shares_are_cut_anew_when_one_more_begins_to_count() -> None:
    one, other = uuid4(), uuid4()
    members.register(one, by_table=True)
    members.declare_equal_shares()
    members.register(other, by_table=True)

    cut = look_at(other)
    members.end_equal_shares(1)  # too late: they were cut again since
    after = look_at(other)
    members.end_equal_shares(2)

    assert (cut.terms.equal_shares, cut.terms.epoch, cut.lives) == (2, 2, True)
    assert after.terms == cut.terms
    assert look_at(other).terms.equal_shares == 0


def test_the_shared_clock_is_the_stores() -> None:
    process = uuid4()
    members.register(process, by_table=True)

    wall = look_at(process).wall_ahead + boot_seconds()

    assert abs(wall - timezone.now().timestamp()) < 60


# --- One process's part -------------------------------------------------------------------------------------------
def at_once(what: Callable[[], None]) -> None:
    what()


def holding(part: int, *, used: int = 0) -> tuple[Sharing, Window, float]:
    """A process that holds a part of a burst limit of 10 and just used so much of it; its window, and when that was."""
    windows, now = Windows(), boot_seconds()
    one = Sharing(windows, at_once)
    window = windows.of(credential(burst=10), boot=0.0, wall=NOON)
    window.keep(part)
    window.lend(100)
    for _ in range(used):
        window.take(now, NOON)
    return one, window, now


def test_what_is_told_to_a_counter_that_forgot_covers_what_was_used_beyond_an_equal_share() -> None:
    one, window, now = holding(10, used=8)
    one.windows.mode = Mode(equal_shares=5, raise_tick=NEVER)
    window.take(now + 0.1, NOON)

    held = one.freeze(0)

    assert held == {"account:1": 8}
    assert (window.allotted, window.left) == (2, -6)  # it stays an equal share for now


def test_an_equal_share_counts_at_once_in_the_tick_in_which_it_is_heard_of() -> None:
    """A process that was stopped for long gives, hears of it and takes calls again within one tick."""
    one, window, now = holding(10)
    window.move_to(int(now * TICKS_PER_SECOND))

    one.follow(Terms(uuid4(), epoch=1, equal_shares=5))
    taken = [window.take(now, NOON) for _ in range(3)]

    assert taken == [Reason.ACCEPTED, Reason.ACCEPTED, Reason.BURST_LIMIT]


def test_a_question_that_was_on_its_way_when_the_counter_forgot_speaks_of_what_is_held_then() -> None:
    """It said what an equal share is, of which more was used: others were given the rest, beyond the limit."""
    one, window, now = holding(10, used=8)
    one.ask(window)
    asked = one.questions.get_nowait()
    asked.allotted = 10  # by the counter that forgot
    one.windows.mode = Mode(equal_shares=5, raise_tick=NEVER)
    window.take(now + 0.1, NOON)

    one.freeze(0)

    assert asked.burst.keep == 8
    assert not asked.has_more


def test_an_answer_is_applied_before_anything_else_is_asked() -> None:
    """A question that said what was held before had the counter give the rest to others, while it was used here."""
    one, window, _ = holding(4)
    one.ask(window)
    asked = one.questions.get_nowait()
    asked.allotted = 10
    window.attend = 0  # it is time to ask

    one.answered([asked])
    next_one = None if one.questions.empty() else one.questions.get_nowait()

    assert window.allotted == 10
    assert next_one is None or next_one.burst.keep == 10


def test_an_equal_share_is_raised_no_more_once_the_counter_was_told_and_ends_when_all_have() -> None:
    one, window, now = holding(0)
    name, parts = uuid4(), []
    one.follow(members.Terms(name, 1, 2))
    one.freeze(1)
    for seconds, terms in ((SPENT_SECONDS + 1, None), (1, members.Terms(name, 1, 0)), (1, members.Terms(name, 1, 2))):
        now += seconds
        if terms:
            one.follow(terms)
        window.take(now, NOON)
        parts.append((window.allotted, window.mode.equal_shares))

    assert parts == [(0, 2), (0, 0), (0, 0)]  # who heard late of what is over does not begin it again


def test_a_window_that_nobody_used_lately_is_given_up_where_a_counter_forgot() -> None:
    one, _, _ = holding(10)

    assert one.freeze(0) == {}


def test_a_freeze_for_terms_that_are_over_changes_nothing() -> None:
    one, window, now = holding(0)
    for epoch in (1, 2):
        one.follow(members.Terms(uuid4(), epoch, 2))

    held = one.freeze(1)
    window.take(now + SPENT_SECONDS + 1, NOON)

    assert held is None
    assert window.allotted == 5  # it takes its share in time, whatever becomes of the counter


def test_what_a_process_held_that_was_declared_dead_is_nothing_within_the_same_moment() -> None:
    one, window, now = holding(10)
    before = window.take(now, NOON)

    one.begin_anew(one.id)

    assert (before, window.take(now, NOON)) == (Reason.ACCEPTED, Reason.BURST_LIMIT)


def test_a_call_waits_for_others_where_the_counter_says_only_what_was_used_beyond_a_share() -> None:
    one, window, _ = holding(10, used=8)
    window.keep(2)  # its equal share, which is over

    one.wait(window, lambda: None)
    asked = one.questions.get_nowait()
    asked.allotted = 8

    assert not asked.has_more


# --- The end of a process -----------------------------------------------------------------------------------------
def test_a_process_that_has_left_does_not_find_itself_declared_dead() -> None:
    """Polls go on for a moment after what was held has been given back."""
    sharing = Sharing(Windows(), lambda what: what())
    asker = Asker(sharing, at_once=True)
    asker.start()
    while not sharing.is_registered:
        threading.Event().wait(0.02)
    process = sharing.id
    asker.stop()

    with capture_logs() as said:
        asker.look()

    assert (state(process), said) == ((False, True), [])
    assert sharing.id == process
