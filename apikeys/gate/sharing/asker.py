"""The thread that asks: the counter for parts of burst limits, the store for calls of the day, both for wants."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerError
from contextlib import suppress
from queue import Empty
from threading import Event, Thread, main_thread
from typing import TYPE_CHECKING, TypeVar

import structlog
from django.conf import settings
from django.db import connection
from django.db.utils import Error as StoreError

from accounts.revisions import LEASE_SECONDS
from apikeys.gate.clock import boot_seconds
from apikeys.gate.limits import TICKS_PER_SECOND
from apikeys.gate.sharing import days, members
from apikeys.gate.sharing.bursts import Counter, CounterEmptyError, CounterGoneError, EndedError
from apikeys.gate.sharing.redis_counter import RedisCounter
from apikeys.gate.sharing.table import TableCounter
from apikeys.gate.sharing.undertaker import Undertaker
from auditlog.connections import take_private_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from apikeys.gate.sharing.bursts import Wanted
    from apikeys.gate.sharing.process import Question, Sharing

IDLE_SECONDS = 0.25
POLL_SECONDS = 0.1  # how often it is looked whether others want something
RETRY_SECONDS = 0.05  # the same while a call waits
PATIENCE_SECONDS = 0.8  # how long a call waits for others who have not said that they have nothing left
TOGETHER = 500  # questions in one transaction
DAYS_SECONDS = 0.5  # how often wants of the day's calls are looked at
LOOK_SECONDS = 0.3
GONE_SECONDS = 1.0  # a counter that cannot be asked for so long is gone
INCOMPLETE_SECONDS = 3.0  # and so is one that not everybody has come back to for so long
CLOCK_SECONDS = 0.05  # a shared clock that is so far from what was thought is taken over
OWNER_SECONDS = 1.0
STOP_SECONDS = 3.0
LEAVE_SECONDS = 2.0  # how long an ending process gives back what it holds

T = TypeVar("T")

logger = structlog.get_logger(__name__)


class Asker:
    """Everything but `start` and `stop` is of its thread; `look` of any."""

    def __init__(self, sharing: Sharing, *, at_once: bool = False) -> None:
        """:param at_once: register before there is a call to count, so that the first one need not wait for that."""
        self._sharing = sharing
        self._at_once = at_once
        self._redis_url: str = settings.REDIS_URL
        self._pending: list[Question] = []
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="limits")  # no daemon: what is held is given back at the end
        self._undertaker = Undertaker()
        self._terms: members.Terms | None = None
        self._counter: Counter | None = None
        self._opened_epoch = self._checked_in_epoch = -1
        self._looked_at = self._days_at = self._tried_at = 0.0
        self._gone_since = self._incomplete_since = 0.0  # 0: it is neither
        self._counter_gone_since = 0.0  # the same of the counter alone: the store may be gone, too
        self._is_troubled = False  # this turn had no answer
        self._has_left = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Give back what is held."""
        self._stopping.set()
        self._sharing.wake.set()
        self._thread.join(timeout=STOP_SECONDS)

    @property
    def is_shared(self) -> bool:
        """Whether limits are shared by the counter; else each process keeps to what it holds, or to an equal share."""
        return not self._gone_since and not self._sharing.windows.mode.equal_shares

    @property
    def is_fresh(self) -> bool:
        """Whether what is held counts: it was made sure of lately that nobody has declared this process dead."""
        return not self._sharing.is_registered or boot_seconds() < self._looked_at + LEASE_SECONDS

    # --- Life ---------------------------------------------------------------------------------------------------------
    def look(self) -> None:
        """Make sure that this process may still use what it holds, and show that it lives.

        :raises django.db.Error: if the store cannot be asked.
        """
        sharing, process = self._sharing, self._sharing.id
        if not sharing.is_registered:
            return
        looked_at = boot_seconds()
        seen = members.look(process)
        if self._has_left:  # polls go on while a process ends
            return
        if seen is None or not seen.lives:
            sharing.hand_over(lambda: sharing.begin_anew(process))
            return
        if seen.is_suspected:
            members.answer(process)
        ahead = sharing.windows.wall_ahead
        if ahead is None or abs(seen.wall_ahead - ahead) > CLOCK_SECONDS:
            sharing.hand_over(lambda: sharing.set_clock(seen.wall_ahead))
        if seen.terms != self._terms:
            sharing.hand_over(lambda: sharing.follow(seen.terms))
        if looked_at >= self._looked_at:  # others may have looked meanwhile
            self._terms, self._looked_at = seen.terms, looked_at

    def _run(self) -> None:
        take_private_connection()
        while not self._stopping.is_set() and main_thread().is_alive():
            waits = RETRY_SECONDS if self._pending else POLL_SECONDS if self._sharing.is_registered else IDLE_SECONDS
            self._sharing.wake.wait(waits)
            self._sharing.wake.clear()
            self._turn()
        with suppress(StoreError, CounterGoneError, CounterEmptyError, EndedError):
            self._leave()
        self._close()
        connection.close()

    def _turn(self) -> None:
        self._drain()
        if not self._sharing.is_registered and not self._pending and not self._at_once:
            return
        self._is_troubled = False
        try:
            self._be_registered()
            self._keep_in_touch()
            for start in range(0, len(self._pending), TOGETHER):
                self._ask(self._pending[start : start + TOGETHER])
        except StoreError as failure:
            connection.close()
            self._lost(failure)
        if self._gone_since and not self._is_troubled:
            logger.warning("limits_counter_back")
            self._gone_since = self._counter_gone_since = 0.0
        self._resolve()

    def _drain(self) -> None:
        with suppress(Empty):
            while True:
                self._pending.append(self._sharing.questions.get_nowait())
        life = self._sharing.windows.mode.life
        self._pending = [one for one in self._pending if one.life == life]  # nobody waits for those of an earlier one

    def _be_registered(self) -> None:
        sharing = self._sharing
        if not sharing.is_registered:
            self._looked_at = boot_seconds()
            members.register(sharing.id, by_table=not self._redis_url)
            self._close()
            self._terms, sharing.is_registered = None, True  # from here on polls look, too
        if self._counter is None:
            self.look()
            self._counter = self._open()
            self._undertaker.suspect_all(sharing.id)  # whoever ended before this one began is found out at once
        elif boot_seconds() - self._looked_at > LOOK_SECONDS:
            self.look()

    def _leave(self) -> None:
        sharing = self._sharing
        if not sharing.is_registered:
            return
        self._pending.clear()
        until, more = boot_seconds() + LEAVE_SECONDS, True
        self._from_owner(sharing.give_all)
        while more:  # after that, what is left counts as spent
            self._drain()
            while self._pending and boot_seconds() < until:
                self._ask(self._pending[:TOGETHER])
                del self._pending[:TOGETHER]
            self._pending.clear()
            more = boot_seconds() < until and self._from_owner(lambda: sharing.give_packed(TOGETHER)) is not False
        self._has_left = True
        members.leave(sharing.id)

    def _from_owner(self, what: Callable[[], T]) -> T | None:
        """Have something done by the windows' owner; None if that takes too long: it may yet be done."""
        result: Future[T] = Future()
        self._sharing.hand_over(lambda: result.set_result(what()))
        with suppress(NoAnswerError):
            return result.result(timeout=OWNER_SECONDS)
        return None

    # --- Questions ----------------------------------------------------------------------------------------------------
    def _ask(self, questions: list[Question]) -> None:
        tick = int(boot_seconds() * TICKS_PER_SECOND)
        for one in questions:
            one.prepare()
        self._with_counter(lambda counter: self._ask_counter(counter, questions))
        asked = [one for one in questions if one.day.want or one.day.back or one.burst.keep < one.burst.limit]
        if not asked:
            return
        for one, granted in zip(asked, days.grant([one.day for one in asked]), strict=True):
            one.calls += granted.calls
            one.lent, one.at_tick = granted.total, tick
            one.day = one.day._replace(back=0, want=0 if one.calls else one.day.want)

    def _ask_counter(self, counter: Counter, questions: list[Question]) -> None:
        asked = [one for one in questions if one.burst.want or one.burst.answers or one.burst.keep != one.window.told]
        if self._sharing.windows.mode.equal_shares or not asked:
            return
        for one, granted in zip(asked, counter.exchange(self._sharing.id, [q.burst for q in asked]), strict=True):
            one.is_complete = counter.is_complete
            one.allotted, one.heard_at = granted.allotted, one.heard_at or boot_seconds()
            one.others = [other for other in granted.others if other not in self._undertaker.ended]
            one.burst = one.burst._replace(number=granted.number)
        self._undertaker.suspect({other for one in asked if one.lacks_burst for other in one.others})

    def _resolve(self) -> None:
        """Answer those questions that have an answer, or have waited long enough for one."""
        done: list[Question] = []
        waiting: list[Question] = []
        for one in self._pending:
            patient = boot_seconds() - (one.heard_at or one.since) < PATIENCE_SECONDS
            (waiting if patient and self._may_yet_get(one) else done).append(one)
        self._pending = waiting
        if done:
            self._sharing.hand_over(lambda: self._sharing.answered(done))

    def _may_yet_get(self, one: Question) -> bool:
        lacks_burst, lacks_day = one.judged
        if lacks_burst and not one.has_more and one.is_waited_for:
            return True
        return lacks_day and not one.calls and (one.lent is None or not self._undertaker.is_alone)

    # --- Others -------------------------------------------------------------------------------------------------------
    def _keep_in_touch(self) -> None:
        """Give what others want, find out who has died, and come back to the counter after it was gone."""
        wants = self._with_counter(self._wanted) or []
        wanted_days: list[tuple[int, str]] = []
        if boot_seconds() - self._days_at > DAYS_SECONDS:
            self._days_at = boot_seconds()
            wanted_days = days.wanted()
        if wants or wanted_days:
            self._sharing.hand_over(lambda: self._sharing.give(wants, wanted_days))

    def _wanted(self, counter: Counter) -> list[Wanted]:
        self._undertaker.tidy(self._sharing.id, counter)
        if not self._has_told:
            self._come_back(counter)
            return []
        wants = counter.wanted(self._sharing.id)
        self._see_to_completeness(counter)
        return [] if self._sharing.windows.mode.equal_shares else wants

    def _close(self) -> None:
        if self._counter is not None:
            self._counter.close()
        self._counter = None

    def _open(self) -> Counter | None:
        self._close()
        if self._terms is None:  # this process was declared dead before it began
            return None
        self._opened_epoch = self._terms.epoch
        return RedisCounter(self._redis_url, self._terms) if self._redis_url else TableCounter(self._terms)

    def _with_counter(self, what: Callable[[Counter], T]) -> T | None:
        """Ask the counter something; None if it has no answer."""
        if self._counter is None:
            return None
        try:
            return what(self._counter)
        except CounterGoneError as failure:
            self._lost(failure)
        except EndedError:
            self.look()
        except CounterEmptyError:
            with suppress(CounterGoneError, CounterEmptyError, EndedError):
                self._check_in()
        return None

    def _lost(self, failure: Exception) -> None:
        """The counter cannot be asked. After a while every process gets an equal share of what it counted."""
        now, self._is_troubled = boot_seconds(), True
        if not self._gone_since:
            self._gone_since = now
            logger.warning("limits_counter_gone", error=type(failure).__name__, hint="each process keeps to its share")
        if isinstance(failure, CounterGoneError):
            self._counter_gone_since = self._counter_gone_since or now
            if self._has_told and now - self._counter_gone_since > GONE_SECONDS:
                self._declare_equal_shares()

    # --- Equal shares, once Redis is gone -----------------------------------------------------------------------------
    @property
    def _has_told(self) -> bool:
        """Whether the counter knows what is held, or is being told: there are no equal shares, or they end."""
        terms = self._terms
        is_equal = self._sharing.windows.mode.equal_shares or (terms is not None and terms.equal_shares)
        return not is_equal or (terms is not None and terms.epoch == self._checked_in_epoch)

    def _declare_equal_shares(self) -> None:
        members.declare_equal_shares()
        self._incomplete_since = 0.0
        self.look()

    def _come_back(self, counter: Counter) -> None:
        """Go back to the counter once everybody reaches it, whoever is alive."""
        now, terms = boot_seconds(), self._terms
        self._is_troubled = self._gone_since > 0  # until it is asked, it is as it was
        if terms is None or now - self._tried_at < DAYS_SECONDS:
            return
        self._tried_at = now
        self._undertaker.suspect_all(self._sharing.id)
        if self._undertaker.living < terms.equal_shares:
            self._declare_equal_shares()
        elif terms.epoch != self._opened_epoch:
            self._counter = self._open()
        else:
            is_ready = counter.is_ready(self._sharing.id)
            self._is_troubled = False
            if is_ready:
                self._check_in(is_ready=True)

    def _check_in(self, *, is_ready: bool = False) -> None:
        """Tell the counter, which was emptied or begun anew, what is held.

        Whoever has an equal share may leave that only when everybody can.
        """
        looked_at = boot_seconds()
        self.look()
        terms, process = self._terms, self._sharing.id
        if terms is None or not self._sharing.is_registered:
            return
        if terms.equal_shares and not is_ready and terms.epoch != self._checked_in_epoch:
            return
        if terms.epoch != self._opened_epoch:
            self._counter = self._open()
        self._checked_in_epoch = terms.epoch  # from here on: whatever becomes of it, nothing is raised any more
        held = self._from_owner(lambda: self._sharing.freeze(terms.epoch))
        if held is None or self._counter is None or boot_seconds() - looked_at > LEASE_SECONDS:
            return
        self._counter.check_in(process, held)

    def _see_to_completeness(self, counter: Counter) -> None:
        now, terms = boot_seconds(), self._terms
        if not counter.is_complete:
            self._incomplete_since = self._incomplete_since or now
            if now - self._incomplete_since > INCOMPLETE_SECONDS:
                self._declare_equal_shares()
            return
        self._incomplete_since = 0.0
        if terms is not None and terms.equal_shares and terms.epoch == self._checked_in_epoch:
            members.end_equal_shares(terms.epoch)
            self.look()
