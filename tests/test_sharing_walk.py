"""G8 by random walks: whatever order things happen in, all processes together accept no more than the burst limit.

Processes live in this one, by a clock of the test's own. Between any two questions to the counter anything may happen:
calls, other processes' turns, a Redis that forgets, or that some cannot reach; and processes may be started anew, with
Redis or without. A walk is repeatable by its seed; the variable WALKS says how many are taken.
"""

from __future__ import annotations

import os
import random
from collections import deque
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from accounts.revisions import LEASE_SECONDS
from apikeys.gate import known, windows
from apikeys.gate.known import Known
from apikeys.gate.limits import Window
from apikeys.gate.protected_api import ProtectedApi
from apikeys.gate.reasons import Reason
from apikeys.gate.sharing import asker, members, process, undertaker
from apikeys.gate.sharing.asker import Asker
from apikeys.gate.sharing.bursts import CounterEmptyError, CounterGoneError, EndedError
from apikeys.gate.sharing.process import Sharing
from apikeys.gate.sharing.redis_counter import RedisCounter
from apikeys.gate.sharing.table import TableCounter
from apikeys.gate.windows import Windows
from apikeys.models import BurstShare, BurstTotal, CountingProcess, SharingTerms
from tests.redis_server import RedisServer
from tests.test_limits import NOON, credential

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from uuid import UUID

    from pytest_django import Settings

    from apikeys.gate.sharing.bursts import BurstAsk, BurstGranted, Wanted

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 12
KEY = replace(credential(burst=LIMIT, daily=10**9), digest=b"d" * 32)
WINDOW = 10.0
STEPS = 1_500
WALKS = int(os.environ.get("WALKS", "8"))
DEEPEST = 2  # turns within each other's questions
RESTARTS = 0.006  # of each step

T = TypeVar("T")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


class Walk:
    """Some processes, what they accepted, and chance."""

    def __init__(self, seed: int, server: RedisServer, settings: Settings) -> None:
        self.chance = random.Random(seed)  # noqa: S311 -- to be repeatable
        self.server = server
        self.settings = settings
        settings.REDIS_URL = server.url
        self.now = 1_000.0
        self.accepted: deque[float] = deque()
        self.most = self.total = 0
        self.depth = 0
        self.processes = [Process(self) for _ in range(3)]

    def go(self, monkeypatch: pytest.MonkeyPatch, *, restarts: bool) -> None:
        """:param restarts: processes are started anew now and then, with Redis or without."""
        for module in (asker, process, undertaker, members, known, windows):
            monkeypatch.setattr(module, "boot_seconds", lambda: self.now)
        monkeypatch.setattr(known, "time", lambda: NOON)
        monkeypatch.setattr(asker, "RedisCounter", partial(Reached, self))
        monkeypatch.setattr(asker, "TableCounter", partial(Watched, self))
        for _ in range(STEPS):
            if restarts and self.chance.random() < RESTARTS:
                self.restart(self.chance.choice(("", self.server.url)))
            self.step()

    def step(self) -> None:
        one = self.chance.choice(self.processes)
        what = self.chance.random()
        if what < 0.44:
            one.turn()
        elif what < 0.66:
            one.call(self.chance.choice((1, 1, LIMIT)))
        elif what < 0.95:
            self.pass_time(self.chance.choice((0.02, 0.05, 0.1, 0.1)))
        elif what < 0.955:
            self.pass_time(self.chance.uniform(1, 12))
        elif what < 0.97:
            self.server.flush()
        elif what < 0.975:
            one.is_cut_off = True
        elif what < 0.983:
            for each in self.processes:
                each.is_cut_off = True
        else:
            for each in self.processes:
                each.is_cut_off = False

    def restart(self, redis_url: str) -> None:
        """Have another process in the place of one, in order or not."""
        self.settings.REDIS_URL = redis_url
        one = self.chance.choice(self.processes)
        if one.end(in_order=self.chance.random() < 0.7):
            self.processes[self.processes.index(one)] = Process(self)

    def come_to_the_table(self) -> None:
        """All are started anew without Redis, while things happen, and some time passes."""
        while any(each.uses_redis for each in self.processes):
            self.restart("")
            self.step()
        for _ in range(STEPS):
            self.step()

    def meanwhile(self) -> None:
        """What happens while somebody asks the counter."""
        if self.depth < DEEPEST and self.chance.random() < 0.3:
            self.depth += 1
            self.step()
            self.depth -= 1

    def pass_time(self, seconds: float) -> None:
        """Nobody's poll of the store takes longer than a lease; all others may."""
        while seconds > 0:
            self.now += min(seconds, 0.5)
            seconds -= 0.5
            for one in self.processes:
                one.poll()

    def accept(self) -> None:
        self.total += 1
        self.accepted.append(self.now)
        while self.accepted[0] < self.now - WINDOW:
            self.accepted.popleft()
        self.most = max(self.most, len(self.accepted))


class Process:
    """A gate's two threads: the owner of the windows, who takes calls, and the one that asks."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.is_cut_off = False  # from Redis
        self.is_turning = False
        self.fresh_until = 0.0
        self.handed_over: deque[Callable[[], None]] = deque()
        self.windows = Windows()
        self.sharing = Sharing(self.windows, self.handed_over.append)
        self.known = Known(self.windows, ProtectedApi(), look=lambda: None)
        self.asker = Asker(self.sharing)
        self.uses_redis = bool(walk.settings.REDIS_URL)
        self.asker._from_owner = self._from_owner  # type: ignore[method-assign]  # noqa: SLF001 -- two threads in one

    def turn(self) -> None:
        if not self.is_turning:
            self.is_turning = True
            self.asker._turn()  # noqa: SLF001 -- one turn of its thread
            self.is_turning = False

    def end(self, *, in_order: bool) -> bool:
        if self.is_turning:
            return False
        if in_order:
            with suppress(CounterGoneError, CounterEmptyError, EndedError):
                self.asker._leave()  # noqa: SLF001 -- what its thread does at the end
        return True

    def poll(self) -> None:
        polled_at = self.walk.now
        self.asker.look()
        self.handed_over.append(lambda: self._polled(polled_at))

    def _polled(self, at: float) -> None:
        self.fresh_until = at + LEASE_SECONDS

    def call(self, times: int) -> None:
        self._own()
        if self.walk.chance.random() < 0.2:
            self.windows.pack_some(1)  # it changes nothing
        for _ in range(times):
            self._call()

    def _call(self) -> None:
        walk = self.walk
        if walk.now >= self.fresh_until:
            return
        kept = self.known.kept.get(KEY.digest) or self.known.packed_call(KEY.digest)
        if kept is None:
            self.known.keep(KEY)
            kept = self.known.kept[KEY.digest]
        reason = kept.window.take(walk.now, NOON)
        if reason is Reason.ACCEPTED:
            walk.accept()
            return
        window = self.windows.get(KEY.account_id)
        if window is not None and window.may_get(reason):
            self.sharing.wait(window, lambda: self._again(window))

    def _again(self, window: Window) -> None:
        window = self.windows.current(window)
        if self.walk.now < self.fresh_until and window.take(self.walk.now, NOON) is Reason.ACCEPTED:
            self.walk.accept()

    def _own(self) -> None:
        while self.handed_over:
            self.handed_over.popleft()()

    def _from_owner(self, what: Callable[[], Any]) -> Any:
        self._own()
        return what()


class Reached(RedisCounter):
    """Redis, unless the process that asks is cut off from it; while it is asked, things happen."""

    def __init__(self, walk: Walk, url: str, terms: members.Terms) -> None:
        super().__init__(url, terms)
        self._walk = walk

    def _ask(self, question: str, process: UUID, arguments: Iterable[Any]) -> list[Any]:
        self._walk.meanwhile()
        if any(each.is_cut_off for each in self._walk.processes if each.sharing.id == process):
            raise CounterGoneError
        answer = super()._ask(question, process, arguments)
        self._walk.meanwhile()
        return answer


class Watched(TableCounter):
    """The store's table; while it is asked, things happen."""

    def __init__(self, walk: Walk, terms: members.Terms) -> None:
        super().__init__(terms)
        self._walk = walk

    def exchange(self, process: UUID, asks: Sequence[BurstAsk]) -> list[BurstGranted]:
        return self._meanwhile(lambda: super(Watched, self).exchange(process, asks))

    def wanted(self, process: UUID) -> list[Wanted]:
        return self._meanwhile(lambda: super(Watched, self).wanted(process))

    def check_in(self, process: UUID, held: Mapping[str, int]) -> None:
        self._meanwhile(lambda: super(Watched, self).check_in(process, held))

    def is_ready(self, process: UUID) -> bool:
        return self._meanwhile(lambda: super(Watched, self).is_ready(process))

    def close(self) -> None:
        """All share one connection."""

    def _meanwhile(self, ask: Callable[[], T]) -> T:
        self._walk.meanwhile()
        answer = ask()
        self._walk.meanwhile()
        return answer


@pytest.mark.parametrize("seed", range(WALKS))
@pytest.mark.once("the numbers are in Redis, whatever the store")
def test_no_order_of_events_lets_more_than_the_limit_pass(
    seed: int, server: RedisServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = _walked(seed, server, settings, monkeypatch)

    assert walk.most <= LIMIT
    assert walk.total > LIMIT
    assert SharingTerms.objects.get().epoch > 0  # equal shares came and went


@pytest.mark.parametrize("seed", range(WALKS))
def test_nor_does_one_with_restarts_that_turn_to_the_table_or_to_redis(
    seed: int, server: RedisServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = _walked(seed, server, settings, monkeypatch, restarts=True)
    before = walk.total

    walk.come_to_the_table()

    assert walk.most <= LIMIT
    assert walk.total > before
    assert SharingTerms.objects.get().equal_shares == 0  # they end there, too
    assert BurstTotal.objects.get().allotted == sum(BurstShare.objects.values_list("allotted", flat=True))


def _complete_at_once(self: RedisCounter, question: str, process: UUID, arguments: Sequence[Any]) -> Sequence[Any]:
    """Whoever has told nothing yet holds nothing."""
    status, birth, answer = self._ask(question, process, arguments)
    self.is_complete = status == "ok"
    if not self.is_complete:
        self._ask("complete", process, [birth])
    found: Sequence[Any] = answer
    return found


@pytest.mark.once("the numbers are in Redis, whatever the store")
@pytest.mark.parametrize(
    ("where", "name", "mistake"),
    [
        pytest.param(Window, "held", property(lambda window: window.allotted), id="what was used is forgotten"),
        pytest.param(RedisCounter, "_counted", _complete_at_once, id="gives before all have told"),
    ],
)
def test_a_walk_finds_mistakes(
    where: type, name: str, mistake: object, server: RedisServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, mistake)

    assert any(_walked(seed, server, settings, monkeypatch).most > LIMIT for seed in range(20))


def _knows_all(self: TableCounter, process: UUID) -> None:
    del process
    self.is_complete = True


def _tells_nobody(process: UUID, *, by_table: bool, register: Callable[..., None] = members.register) -> None:
    """Which counter it uses, so that nobody keeps to equal shares for it."""
    del by_table
    register(process, by_table=True)


@pytest.mark.once("the numbers are in Redis, whatever the store")
@pytest.mark.parametrize(
    "mistakes",
    [
        pytest.param(
            [(TableCounter, "_see_who_has_told", _knows_all), (TableCounter, "is_ready", lambda *_: True)],
            id="the table gives before all have told",
        ),
        pytest.param([(members, "register", _tells_nobody)], id="who uses another counter is not known"),
    ],
)
def test_a_walk_with_restarts_finds_mistakes(
    mistakes: list[tuple[object, str, object]],
    server: RedisServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for where, name, mistake in mistakes:
        monkeypatch.setattr(where, name, mistake)

    assert any(_walked(seed, server, settings, monkeypatch, restarts=True).most > LIMIT for seed in range(20))


def _walked(
    seed: int, server: RedisServer, settings: Settings, monkeypatch: pytest.MonkeyPatch, *, restarts: bool = False
) -> Walk:
    for model in (CountingProcess, SharingTerms, BurstShare, BurstTotal):
        model.objects.all().delete()
    walk = Walk(seed, server, settings)
    walk.go(monkeypatch, restarts=restarts)
    return walk
