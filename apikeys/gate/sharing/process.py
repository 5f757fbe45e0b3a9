"""What a process holds of the limits, on the side of those who decide on calls.

All of this belongs to the windows' owner: the event loop's thread, or whoever has the lock. The thread that asks
(`apikeys.gate.sharing.asker`) hands over what it learnt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import structlog

from apikeys.gate.clock import boot_seconds
from apikeys.gate.limits import LEASE_BURSTS, NEVER, TICKS_PER_SECOND, Mode, Window
from apikeys.gate.sharing.bursts import SPENT_SECONDS, BurstAsk
from apikeys.gate.sharing.days import DayAsk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apikeys.gate.sharing.bursts import Wanted
    from apikeys.gate.sharing.members import Terms
    from apikeys.gate.windows import Windows

BARRED_TODAY_TICKS = TICKS_PER_SECOND // 2  # after the day's calls have run out, others are asked so often

Waiter = Callable[[], None]  # called once there is more, or none to be had
HandOver = Callable[[Callable[[], None]], None]  # runs something as the windows' owner, in the order of handing over

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Question:
    """What one window asks for, and what has come of it so far."""

    window: Window
    life: int
    plan: int
    since: float  # boot seconds
    burst: BurstAsk
    day: DayAsk
    held: int  # of the burst limit, when it was put
    lacks_burst: bool  # a call waits, for want of this
    lacks_day: bool
    judged: tuple[bool, bool] = (False, False)  # what of this it was asked for: a call may begin to wait any moment
    heard_at: float = 0.0  # boot seconds of the counter's first answer
    at_tick: int = 0  # before it was asked
    allotted: int | None = None  # what the counter says; None: not heard
    is_complete: bool = True  # the counter knew what everybody holds
    others: Sequence[UUID] = ()  # who holds what it lacks
    calls: int = 0  # of the day, received
    lent: int | None = None  # of the day, to all; None: not heard

    def prepare(self) -> None:
        """Before it is asked, and asked again: want what calls wait for by now."""
        self.judged = lacks_burst, lacks_day = self.lacks_burst, self.lacks_day
        keep = self.burst.keep if self.allotted is None else self.allotted
        if lacks_burst:
            self.burst = self.burst._replace(keep=keep, want=max(self.burst.limit - keep, 0), is_urgent=True)
        if lacks_day and not self.calls:
            want = self.day.want or self.burst.limit * LEASE_BURSTS
            self.day = self.day._replace(want=want, is_urgent=True)

    def restate(self) -> None:
        """Forget what a counter answered that forgot it, too, and speak of what is held by now."""
        self.since, self.heard_at = boot_seconds(), 0.0
        self.held, self.allotted, self.others, self.is_complete = self.window.held, None, (), True
        self.burst = self.burst._replace(keep=self.window.held, number=0, answers=0)

    @property
    def has_more(self) -> bool:
        return self.allotted is not None and self.allotted > self.held

    @property
    def is_waited_for(self) -> bool:
        """Whether the counter has not answered, or somebody who holds what is lacking."""
        return self.allotted is None or bool(self.others) or not self.is_complete


class Sharing:
    """This process among those that count."""

    def __init__(self, windows: Windows, hand_over: HandOver) -> None:
        self.id = uuid4()
        self.is_registered = False  # it holds nothing before
        self.hand_over = hand_over
        self.windows = windows
        windows.sharing = self
        self.questions: SimpleQueue[Question] = SimpleQueue()
        self.wake = Event()  # there are questions
        self._asked: dict[Window, Question] = {}
        self._waiters: dict[Window, list[Waiter]] = {}
        self.epoch = 0  # of the terms that are followed

    def ask(self, window: Window, *, wants: bool = True, answers: int = 0) -> None:
        """Have the counter and the store told what the window gives back, and asked for what it may need.

        :param answers: the number of a want to which it says that nothing is left.
        """
        if window.is_asked_for:
            return
        window.is_asked_for = True
        back, window.back = window.back, 0
        is_urgent = window in self._waiters
        part = max(window.burst - window.held, 0) if wants else 0
        lease = max(window.burst * LEASE_BURSTS - window.left_today, 0) if wants else 0
        question = self._asked[window] = Question(
            window,
            self.windows.mode.life,
            window.plan,
            boot_seconds(),
            BurstAsk(_key(window), window.burst, window.held, part, is_urgent=is_urgent, answers=answers),
            DayAsk(
                window.account_id,
                window.day,
                window.daily,
                back,
                lease if window.left_today <= window.low_today else 0,
                is_urgent=is_urgent,
            ),
            held=window.held,
            lacks_burst=is_urgent and window.left <= 0,
            lacks_day=is_urgent and window.left_today <= 0,
        )
        self.questions.put(question)
        if (
            is_urgent or not wants
        ):  # else it is asked with others, within POLL_SECONDS: one alone costs as much as fifty
            self.wake.set()

    def wait(self, window: Window, waiter: Waiter) -> None:
        """Call the waiter once there is more for the window, or it is known that there is none."""
        self._waiters.setdefault(window, []).append(waiter)
        question = self._asked.get(window)
        if question is None:
            self.ask(window)
        else:
            question.lacks_burst, question.lacks_day = window.left <= 0, window.left_today <= 0
            self.wake.set()

    # --- What the asking thread hands over ----------------------------------------------------------------------------
    def answered(self, questions: Iterable[Question]) -> None:
        for question in questions:
            window = question.window
            if self._asked.get(window) is question:
                window.move_to(_now_tick())  # while it asks nothing: that would speak of what it held before
            if self._asked.get(window) is question:
                del self._asked[window]
                window.is_asked_for = False
                self._apply(question)
            for waiter in self._waiters.pop(window, ()):
                waiter()

    def _apply(self, question: Question) -> None:
        window, tick = question.window, _now_tick()
        if question.allotted is not None and not window.mode.equal_shares:
            window.keep(question.allotted)
            window.told = question.allotted
        if question.day.day == window.day:
            if question.calls:
                window.lend(question.calls)
            if question.lent is not None:
                window.know_beyond(question.lent, question.at_tick)
        lacked_burst, lacked_day = question.judged
        in_vain = lacked_burst and not question.has_more and question.is_waited_for and window.mode.is_asking
        window.is_unheard = in_vain or (lacked_day and question.lent is None)
        if question.plan != window.plan:
            window.begin_plan()
            return
        if lacked_burst and window.left <= 0:
            window.barred = tick + 1
        if lacked_day and window.left_today <= 0 and question.day.day == window.day:
            window.low_today, window.barred_today = 0, tick + BARRED_TODAY_TICKS

    def give(self, wants: Iterable[Wanted], days: Iterable[tuple[int, str]]) -> None:
        """Part with some of what others have run out of, and say so where nothing is left."""
        tick = _now_tick()
        for key, number in wants:
            window = self.windows.get(_account(key))
            if window is not None and not window.is_asked_for:
                window.give(tick)
                self.ask(window, wants=False, answers=0 if window.left > 0 else number)
        for account_id, day in days:
            window = self.windows.get(account_id)
            if window is not None and window.day == day and not window.is_asked_for and window.give_today():
                self.ask(window, wants=False)

    def give_all(self) -> None:
        """At the end: keep what is used, and that only until it is not counted any more."""
        self._give_all(self.windows.unpacked())

    def give_packed(self, most: int) -> bool:
        """The same of so many windows that are packed; whether there were any."""
        windows = self.windows.some_packed(most)
        self._give_all(windows)
        return bool(windows)

    def _give_all(self, windows: Iterable[Window]) -> None:
        for window in windows:
            window.move_to(_now_tick())
            window.drop()
            window.is_asked_for = False
            self.ask(window, wants=False)

    def freeze(self, epoch: int) -> dict[str, int] | None:
        """Keep to what is held by now, which the counter is told then: by limit, how much.

        An equal share is raised no more, but stays one until everybody has told the counter. None if other terms than
        those of this epoch are followed by now: then nothing changes.
        """
        if epoch != self.epoch:
            return None
        tick, held = _now_tick(), {}
        mode = self.windows.mode
        for window in self.windows.freeze(Mode(mode.life, mode.equal_shares, NEVER), tick):
            window.move_to(tick)
            if not window.slots:
                window.keep(0)
            window.told = window.held
            if window.told > 0:
                held[_key(window)] = window.told
        self._restate_questions()
        return held

    def _restate_questions(self) -> None:
        for question in self._asked.values():
            question.restate()

    def follow(self, terms: Terms) -> None:
        """Keep to an equal share; to one that is larger than what is held only when all others keep to theirs, too.

        Or end that: then everybody has told the counter what they hold, this process by `freeze`.
        """
        if terms.epoch < self.epoch:
            return
        mode = self.windows.mode
        if mode.equal_shares and not terms.equal_shares:
            self._restate_questions()
            self.windows.mode = Mode(mode.life)
        elif terms.equal_shares and terms.epoch > self.epoch:
            raise_at = _now_tick() + ceil(SPENT_SECONDS * TICKS_PER_SECOND) + 1
            self.windows.keep_to_shares(Mode(mode.life, terms.equal_shares, raise_at))
        self.epoch = terms.epoch

    def set_clock(self, wall_ahead: float) -> None:
        self.windows.set_clock(wall_ahead)

    def begin_anew(self, process: UUID) -> None:
        """Hold nothing: others have declared this process dead, which was stopped or cut off for long."""
        if process != self.id:
            return
        logger.warning("limits_begun_anew", process=str(process))
        self.id, self.is_registered = uuid4(), False
        self.windows.mode = Mode(self.windows.mode.life + 1)
        self._asked.clear()
        for window in self.windows.unpacked():
            window.adapt()  # at once: in this tick, too, nothing of what was held may be used
        waiting, self._waiters = self._waiters, {}
        for waiters in waiting.values():
            for waiter in waiters:
                waiter()


def _key(window: Window) -> str:
    return f"account:{window.account_id}"


def _account(key: str) -> int:
    return int(key.removeprefix("account:"))


def _now_tick() -> int:
    return int(boot_seconds() * TICKS_PER_SECOND)
