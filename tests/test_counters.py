"""The two shared counters of burst limits, Redis and the store's table, and from one to the other (G8)."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from apikeys.gate.sharing import members, redis_counter
from apikeys.gate.sharing.bursts import (
    Counter,
    CounterEmptyError,
    CounterGoneError,
    EndedError,
    Wanted,
)
from apikeys.models import BurstShare, BurstTotal, CountingProcess
from tests.counting import LIMIT, burst, look_at, new_process, new_redis_counter, new_table
from tests.redis_server import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)


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
