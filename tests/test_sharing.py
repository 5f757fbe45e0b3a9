"""What processes share of limits: the two counters, the calls of the day, and who lives (G8)."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from apikeys.gate.clock import boot_seconds
from apikeys.gate.limits import NEVER, Mode, Window, Windows
from apikeys.gate.reasons import Reason
from apikeys.gate.sharing import days, members, redis_counter, undertaker
from apikeys.gate.sharing.asker import Asker
from apikeys.gate.sharing.bursts import (
    SPENT_SECONDS,
    BurstAsk,
    Counter,
    CounterEmptyError,
    CounterGoneError,
    EndedError,
    Wanted,
)
from apikeys.gate.sharing.days import DayAsk
from apikeys.gate.sharing.process import Sharing
from apikeys.gate.sharing.redis_counter import RedisCounter
from apikeys.gate.sharing.table import TableCounter
from apikeys.gate.sharing.undertaker import Undertaker
from apikeys.models import BurstShare, BurstTotal, CountingProcess, DayGrant
from auditlog.models import DailyUsage
from tests.redis_server import RedisServer
from tests.test_limits import NOON, credential

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 10


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture(params=["table", "redis"])
def counter(request: pytest.FixtureRequest) -> Iterator[Counter]:
    if request.param == "table":
        yield new_table()
        return
    one = new_redis_counter(request.getfixturevalue("server"))
    yield one
    one.close()


def new_redis_counter(server: RedisServer, *, name: UUID | None = None, epoch: int = 0) -> RedisCounter:
    return RedisCounter(server.url, members.Terms(name or uuid4(), epoch, 0))


def new_table(*, epoch: int = 0, equal_shares: int = 0) -> TableCounter:
    return TableCounter(members.Terms(uuid4(), epoch, equal_shares))


def new_process(counter: Counter, **held: int) -> UUID:
    process = uuid4()
    members.register(process, by_table=isinstance(counter, TableCounter))
    counter.check_in(process, held)
    return process


def burst(
    keep: int,
    want: int,
    *,
    key: str = "account:1",
    limit: int = LIMIT,
    urgent: bool = True,
    number: int = 0,
    answers: int = 0,
) -> BurstAsk:
    return BurstAsk(key, limit, keep, want, is_urgent=urgent, number=number, answers=answers)


def settled(counter: Counter, process: UUID) -> None:
    """Redis hands out nothing before it knows that everybody has said what they hold."""
    counter.wanted(process)
    counter.wanted(process)
    assert counter.is_complete


def test_parts_never_add_up_to_more_than_the_limit(counter: Counter) -> None:
    one, other = new_process(counter), new_process(counter)
    settled(counter, one)

    first = counter.exchange(one, [burst(0, 7)])[0]
    second = counter.exchange(other, [burst(0, 10)])[0]
    third = counter.exchange(other, [burst(3, 7)])[0]

    assert (first.allotted, second.allotted, third.allotted) == (7, 3, 3)
    assert list(third.others) == [one]


def test_what_one_gives_back_another_gets_once_it_has_said_that_it_wants_it(counter: Counter) -> None:
    one, other = new_process(counter), new_process(counter)
    settled(counter, one)
    counter.exchange(one, [burst(0, 10)])
    counter.exchange(other, [burst(0, 10)])

    wanted = [counter.wanted(one), counter.wanted(other)]
    counter.exchange(one, [burst(4, 0)])
    ahead = counter.exchange(one, [burst(4, 6, urgent=False)])[0]  # a call waits elsewhere: that comes first
    got = counter.exchange(other, [burst(0, 10)])[0]

    assert wanted == [[Wanted("account:1", 1)], []]
    assert (ahead.allotted, got.allotted) == (4, 6)
    assert counter.wanted(one) == []


def test_a_question_that_is_asked_again_because_nobody_heard_the_answer_changes_nothing(counter: Counter) -> None:
    one = new_process(counter)
    settled(counter, one)

    answers = [counter.exchange(one, [burst(0, 4), burst(0, 2, key="account:2")]) for _ in range(2)]

    assert [[each.allotted for each in answer] for answer in answers] == [[4, 2], [4, 2]]


def test_nobody_waits_for_who_has_said_that_nothing_is_left(counter: Counter) -> None:
    one, other, third = (new_process(counter) for _ in range(3))
    settled(counter, one)
    counter.exchange(one, [burst(0, 6)])
    counter.exchange(other, [burst(0, 4)])

    asked = counter.exchange(third, [burst(0, 10)])[0]
    counter.exchange(one, [burst(6, 0, answers=asked.number)])
    again = counter.exchange(third, [burst(0, 10, number=asked.number)])[0]
    counter.exchange(other, [burst(4, 6)])  # it has none left either
    last = counter.exchange(third, [burst(0, 10, number=asked.number)])[0]
    new = counter.exchange(third, [burst(0, 10)])[0]

    assert set(asked.others) == {one, other}
    assert list(again.others) == [other]
    assert list(last.others) == []
    assert new.number > asked.number
    assert set(new.others) == {one, other}


def test_two_questions_about_one_limit_are_answered_one_after_the_other(counter: Counter) -> None:
    one, other = new_process(counter), new_process(counter)
    settled(counter, one)

    answers = counter.exchange(one, [burst(0, 4), burst(4, 2)])
    rest = counter.exchange(other, [burst(0, 10)])[0]

    assert [each.allotted for each in answers] == [4, 6]
    assert rest.allotted == 4


def test_under_a_lowered_limit_nobody_gets_any_before_less_is_held(counter: Counter) -> None:
    one, other = new_process(counter), new_process(counter)
    settled(counter, one)
    counter.exchange(one, [burst(0, 10)])

    got = counter.exchange(other, [burst(0, 5, limit=5)])[0].allotted
    kept = counter.exchange(one, [burst(4, 1, limit=5)])[0].allotted

    assert (got, kept) == (0, 5)


def test_what_a_dead_process_held_is_others_once_it_is_freed(counter: Counter) -> None:
    one, other = new_process(counter), new_process(counter)
    settled(counter, one)
    counter.exchange(one, [burst(0, 10), burst(0, 3, key="account:2")])
    members.leave(one)

    before = counter.exchange(other, [burst(0, 10)])[0].allotted
    counter.free(one)
    counter.free(one)
    after = counter.exchange(other, [burst(0, 10), burst(0, 10, key="account:2")])

    assert before == 0
    assert [each.allotted for each in after] == [10, 10]


def test_a_process_that_is_declared_dead_gets_nothing_any_more() -> None:
    counter = new_table()
    one = new_process(counter)
    members.leave(one)

    with pytest.raises(EndedError):
        counter.exchange(one, [burst(0, 1)])

    assert not BurstShare.objects.exists()


@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 12), st.booleans()), max_size=25),
)
@example_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_counters_answer_the_same(server: RedisServer, steps: list[tuple[int, int, int, bool]]) -> None:
    table, in_redis = new_table(), new_redis_counter(server)
    CountingProcess.objects.all().delete()
    BurstTotal.objects.all().delete()
    BurstShare.objects.all().delete()
    processes = [new_process(in_redis) for _ in range(3)]
    settled(in_redis, processes[0])
    held = [0, 0, 0]
    for who, keep, want, urgent in steps:
        asked = [burst(min(keep, held[who]), want, urgent=urgent)]
        answers = [counter.exchange(processes[who], asked)[0] for counter in (table, in_redis)]
        held[who] = answers[0].allotted
        assert answers[0][::2] == answers[1][::2]
        assert set(answers[0].others) == set(answers[1].others)
        assert sum(held) <= LIMIT
        assert [table.wanted(one) for one in processes] == [in_redis.wanted(one) for one in processes]
    in_redis.close()


# --- Redis forgets ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("fault", ["flush", "restart", "epoch"])
def test_a_redis_that_knows_nothing_gives_nobody_any_before_everybody_has_said_what_they_hold(fault: str) -> None:
    with RedisServer() as server:
        name = uuid4()
        counter = new_redis_counter(server, name=name)
        one, other = new_process(counter), new_process(counter)
        settled(counter, one)
        counter.exchange(one, [burst(0, 8)])
        if fault == "flush":
            server.flush()
        elif fault == "restart":
            server.stop()
            with pytest.raises(CounterGoneError):
                counter.exchange(one, [burst(8, 2)])
            server.start()
        else:
            counter = new_redis_counter(server, name=name, epoch=1)

        with pytest.raises(CounterEmptyError):
            counter.exchange(other, [burst(0, 10)])
        counter.check_in(other, {})
        before = [counter.exchange(other, [burst(0, 10)])[0].allotted for _ in range(3)]
        counter.check_in(one, {"account:1": 8})
        settled(counter, other)
        after = counter.exchange(other, [burst(0, 10)])[0].allotted

    assert before == [0, 0, 0]
    assert after == 2


def test_who_knows_an_older_epoch_only_changes_nothing(server: RedisServer) -> None:
    name = uuid4()
    old, new = (new_redis_counter(server, name=name, epoch=epoch) for epoch in (1, 2))
    one = new_process(new)

    with pytest.raises(CounterEmptyError):
        old.check_in(one, {"account:1": 5})

    settled(new, one)
    assert new.exchange(one, [burst(0, 10)])[0].allotted == 10


def test_a_question_that_comes_after_a_newer_one_was_answered_changes_nothing(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network may keep it back for longer than its process waits for the answer."""
    counter = new_redis_counter(server)
    one, other = new_process(counter), new_process(counter)
    settled(counter, one)
    numbers = redis_counter._NUMBERS  # noqa: SLF001 -- to send one late
    late = next(numbers)
    granted = counter.exchange(one, [burst(0, 10)])[0].allotted

    monkeypatch.setattr(redis_counter, "_NUMBERS", iter([late]))
    with pytest.raises(CounterEmptyError):
        counter.exchange(one, [burst(2, 0)])
    monkeypatch.setattr(redis_counter, "_NUMBERS", numbers)
    got = counter.exchange(other, [burst(0, 10)])[0].allotted

    assert (granted, got) == (10, 0)


def test_what_comes_of_a_process_that_was_freed_is_not_heard(server: RedisServer) -> None:
    counter = new_redis_counter(server)
    one = new_process(counter)
    counter.free(one)

    with pytest.raises(CounterEmptyError):
        counter.check_in(one, {"account:1": 5})


def test_equal_shares_may_end_when_all_who_live_reach_redis(server: RedisServer) -> None:
    counter = new_redis_counter(server)
    one, other = uuid4(), uuid4()
    for process in (one, other):
        members.register(process, by_table=False)

    ready = [counter.is_ready(one), counter.is_ready(other), counter.is_ready(one)]

    assert ready == [False, True, True]


# --- From Redis to the table, and back ----------------------------------------------------------------------------
def test_the_table_gives_nobody_any_before_all_who_kept_to_equal_shares_have_said_what_they_hold() -> None:
    one, other = uuid4(), uuid4()
    for process in (one, other):
        members.register(process, by_table=True)
    members.declare_equal_shares()
    counter, others_counter = (new_table(epoch=1, equal_shares=2) for _ in range(2))

    ready = counter.is_ready(one)
    with pytest.raises(CounterEmptyError):
        counter.wanted(one)
    counter.check_in(one, {"account:1": 8})
    before = counter.exchange(one, [burst(8, 2)])[0].allotted, counter.wanted(one), counter.is_complete
    others_counter.check_in(other, {"account:1": 1})
    after = counter.wanted(one), counter.is_complete
    granted = others_counter.exchange(other, [burst(1, 9)])[0].allotted

    assert ready
    assert before == (8, [], False)
    assert after == ([], True)
    assert granted == 2
    assert BurstTotal.objects.get().allotted == LIMIT


def test_what_is_told_the_table_twice_is_as_if_it_was_told_once() -> None:
    counter = new_table(epoch=1, equal_shares=1)
    one = uuid4()
    members.register(one, by_table=True)
    for held in ({"account:1": 8, "account:2": 1}, {"account:1": 3}):
        counter.check_in(one, held)

    assert dict(BurstShare.objects.values_list("key", "allotted")) == {"account:1": 3}
    assert dict(BurstTotal.objects.values_list("key", "allotted")) == {"account:1": 3, "account:2": 0}


@pytest.mark.parametrize("has_ended", [False, True])
def test_equal_shares_do_not_end_at_the_table_before_what_was_counted_by_redis_is_spent(*, has_ended: bool) -> None:
    old, new = uuid4(), uuid4()
    members.register(old, by_table=False)
    members.declare_equal_shares()
    members.register(new, by_table=True)
    if has_ended:
        members.leave(old)
    counter = new_table(epoch=2, equal_shares=2)
    counter.check_in(new, {})

    before = counter.is_ready(new), counter.wanted(new), counter.is_complete
    members.leave(old)
    members.forget(old)
    after = counter.is_ready(new), counter.wanted(new), counter.is_complete

    assert before == (False, [], False)
    assert after == (True, [], True)


@pytest.mark.parametrize("by_table", [False, True])
def test_who_begins_to_count_by_another_counter_than_others_has_all_keep_to_equal_shares(*, by_table: bool) -> None:
    for _ in range(2):
        members.register(uuid4(), by_table=not by_table)
    last = uuid4()

    members.register(last, by_table=by_table)

    assert look_at(last).terms.equal_shares == 3


def test_a_process_that_is_declared_dead_cannot_tell_the_table_what_it_holds() -> None:
    counter = new_table(epoch=1, equal_shares=1)
    one = new_process(counter)
    members.leave(one)

    with pytest.raises(EndedError):
        counter.check_in(one, {"account:1": 8})


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


def look_at(process: UUID) -> members.Look:
    look = members.look(process)
    assert look is not None
    return look


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
