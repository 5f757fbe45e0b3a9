"""Limits of one account: calls in any 10 seconds, and calls in a day of its own time zone (G8).

A `Window` counts in this process and holds what this process may let through: a part of the burst limit, which comes
back to it ten seconds after each use, and a lease of the day's calls, which is spent. On the way of a call these are
numbers of its own. More is asked for elsewhere and ahead of need (`apikeys.gate.sharing`, where the proof stands); a
process that shares with nobody has all of both. All accounts' windows: `apikeys.gate.windows`.

Times are counted in ticks of 0.1 s, so that a call may be refused up to 0.1 s early. Refused calls count toward
nothing. Windows belong to one thread, or to whoever holds the lock (`apikeys.gate.direct`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from math import ceil
from sys import intern
from typing import TYPE_CHECKING, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from apikeys.gate.reasons import Reason

if TYPE_CHECKING:
    from apikeys.gate.store import Credential
    from apikeys.gate.windows import Windows

TICKS_PER_SECOND = 10
WINDOW_SECONDS = 10
WINDOW_TICKS = WINDOW_SECONDS * TICKS_PER_SECOND
NEVER = 1 << 62  # a tick
REFRESH_TICKS = 5 * TICKS_PER_SECOND  # how often the others' calls of the day are heard of, while there are others
STALE_TICKS = WINDOW_TICKS - 1  # what others did since is bounded by the burst limit for so long
LEASE_BURSTS = 6  # a lease of the day's calls is at most so many times the burst limit: a minute at full speed
REMAINING = (
    b'X-HubSpot-RateLimit-Daily-Remaining: %d\r\nX-HubSpot-RateLimit-Remaining: %d\r\nRateLimit: "burst";r=%d;t=%d\r\n'
)


def day_of(wall: float, zone: ZoneInfo) -> tuple[date, float]:
    """The account's day at a moment of Unix time, and the moment when it ends: 23 or 25 h long where clocks change."""
    day = datetime.fromtimestamp(wall, zone).date()
    midnight = datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone)
    return day, midnight.astimezone(UTC).timestamp()


def shared_day(wall_ahead: float | None, zone: ZoneInfo, boot: float, wall: float) -> tuple[str, float]:
    """The day by the clock that all share, as ISO date, and when it ends by this machine's."""
    shared = wall if wall_ahead is None else boot + wall_ahead
    day, ends = day_of(shared, zone)
    return intern(day.isoformat()), wall + ends - shared


@lru_cache(maxsize=4_096)
def limit_headers(burst: int, daily: int) -> bytes:
    """What an answer says of the limits themselves; one object for all accounts of a plan."""
    return (
        f"X-HubSpot-RateLimit-Daily: {daily}\r\n"
        f"X-HubSpot-RateLimit-Interval-Milliseconds: {WINDOW_SECONDS * 1000}\r\n"
        f"X-HubSpot-RateLimit-Max: {burst}\r\n"
        f'RateLimit-Policy: "burst";q={burst};w={WINDOW_SECONDS}\r\n'
    ).encode()


class Mode(NamedTuple):
    """How this process shares. Windows compare it by identity, so a new one makes each look at its clock again, too."""

    life: int = 0  # raised when what was held must not be used any more
    equal_shares: int = 0  # of so many processes each has an equal part; 0: what the counter allots
    raise_tick: int = 0  # from when on a part may be larger than what was held before

    @property
    def is_asking(self) -> bool:
        """Whether the counter is asked for parts, or will be once all have told it what they hold."""
        return not self.equal_shares or self.is_frozen

    @property
    def is_frozen(self) -> bool:
        """Whether an equal share is raised no more, since the counter is being told of it."""
        return self.equal_shares > 0 and self.raise_tick == NEVER


class Sharing(Protocol):
    """Who asks the shared counter; see `apikeys.gate.sharing.process`."""

    def ask(self, window: Window, *, wants: bool = True) -> None: ...


class Window:
    """One account's counts in this process.

    What is left is kept, not what was used: each call then touches few numbers, which for many accounts is what counts.
    """

    __slots__ = (
        "account_id", "allotted", "attend", "back", "barred", "barred_today", "beyond", "beyond_until",
        "burst", "daily", "day", "day_ends", "headers", "here", "is_asked_for", "is_unheard", "left", "left_today",
        "lent_today", "low_today", "mode", "plan", "room", "settled", "slots", "stored", "tick", "told", "windows",
        "zone",
    )  # fmt: skip

    def __init__(self, credential: Credential, windows: Windows, *, boot: float, wall: float) -> None:
        self.windows, self.mode = windows, windows.mode
        self.account_id = credential.account_id
        self.slots: list[tuple[int, int]] = []  # tick, calls in it; oldest first; a deque has ten times the size
        self.tick, self.here = -1, 0  # the newest tick, and the calls in it, which are not in a slot yet
        self.room = 0  # whole seconds from this tick until the oldest counted calls leave the window
        self.burst, self.daily = credential.burst_limit, credential.daily_limit
        self.allotted = self.left = 0  # this process's part of the burst limit, and what of it is not used
        self.told = 0  # what the counter was last heard to have allotted
        self.left_today = 0  # what is not used of the calls of the day that were lent to this process
        self.back = 0  # calls of the day that are to be given back with the next question
        self.beyond = 0  # calls of the day that are lent to nobody, less what others may have done since; for headers
        self.beyond_until = NEVER  # the tick from which on that is not known any more
        self.attend = 0  # the tick from which on it looks whether there is something to ask for
        self.low_today = 0  # fewer left today than that: ask ahead of need
        self.barred = self.barred_today = 0  # ticks: before these nobody had any, so nobody is asked
        self.is_asked_for = False  # the counter is being asked
        self.is_unheard = False  # the counter did not answer
        self.plan = 0  # raised with each change of a limit
        self.day = ""
        self.zone = ZoneInfo(credential.time_zone)
        self._begin_day(boot, wall)
        self._say_limits()
        if windows.sharing is None:
            self.allotted = self.left = self.burst
            self.attend = NEVER

    def follow(self, credential: Credential, *, boot: float, wall: float) -> None:
        """Take on the account's plan and zone; what was counted stays counted."""
        if credential.time_zone != self.zone.key:
            self.zone = ZoneInfo(credential.time_zone)
            self._begin_day(boot, wall)
        if (credential.burst_limit, credential.daily_limit) == (self.burst, self.daily):
            return
        if self.windows.sharing is None:
            self.allotted += credential.burst_limit - self.burst
            self.left += credential.burst_limit - self.burst
            self.left_today += credential.daily_limit - self.daily
            self.lent_today += credential.daily_limit - self.daily
        self.burst, self.daily = credential.burst_limit, credential.daily_limit
        self.plan += 1
        self._say_limits()
        if self.windows.sharing is not None:
            self.begin_plan()

    def begin_plan(self) -> None:
        """Give back and ask anew: what processes hold is of other limits than those that count now."""
        self.drop()
        if self.windows.sharing is not None:
            self.windows.sharing.ask(self)

    def drop(self) -> None:
        """Keep no more than what is used."""
        self.keep(self.allotted - max(self.left, 0))
        self._return_today(self.left_today)
        self.beyond = self.attend = self.barred = self.barred_today = 0

    def take(self, boot: float, wall: float) -> Reason:
        """Count one call, unless it is over a limit or more than this process holds.

        :param boot: seconds of a clock that never goes back; `wall`: Unix time.
        """
        tick = int(boot * TICKS_PER_SECOND)
        if tick != self.tick:
            self.move_to(tick)
        if wall >= self.day_ends:
            self._begin_day(boot, wall)
        if self.left <= 0 or self.left_today <= 0:
            return Reason.DAILY_LIMIT if self.left_today <= 0 else Reason.BURST_LIMIT
        self.left -= 1
        self.left_today -= 1
        self.here += 1
        return Reason.ACCEPTED

    def move_to(self, tick: int) -> None:
        """Let the calls go that left the window since the last tick; a slot leaves when its last moment has."""
        slots = self.slots
        if self.here:
            slots.append((self.tick, self.here))
            self.here = 0
        while slots and slots[0][0] < tick - WINDOW_TICKS:
            self.left += slots.pop(0)[1]
        self.tick = tick
        oldest = slots[0][0] if slots else tick
        self.room = min(-(-(oldest + WINDOW_TICKS + 1 - tick) // TICKS_PER_SECOND), WINDOW_SECONDS)
        if self.mode is not self.windows.mode:
            self.adapt()
        if tick >= self.attend or self.left_today < self.low_today:
            self._attend()

    # --- What this process holds --------------------------------------------------------------------------------------
    def keep(self, allotted: int) -> None:
        """Hold so much of the burst limit, less or more than before; what was used of it stays used."""
        self.left += allotted - self.allotted
        self.allotted = allotted

    @property
    def held(self) -> int:
        """What of the burst limit others cannot have: the part, or what was used, before that was lowered."""
        return self.allotted - min(self.left, 0)

    def know_beyond(self, lent: int, tick: int) -> None:
        """Hear how many of the day's calls are lent to processes, this one's included; asked for at that tick.

        What the others accept from then on is at most what they hold of the burst limit, for as long as a window is.
        """
        self.beyond = max(self.daily - lent - max(self.burst - self.allotted, 0), 0)
        self.beyond_until = NEVER if self.allotted >= self.burst else tick + STALE_TICKS

    def give(self, tick: int) -> int:
        """Part with half of what is not used, or all if nothing was lately; how much."""
        self.move_to(tick)
        part = max(self.left, 0)
        if self.slots:
            part = ceil(part / 2)
        if part:
            self.beyond = max(self.beyond - part, 0)
            self.beyond_until = min(self.beyond_until, tick + STALE_TICKS)
            self.keep(self.allotted - part)
        return part

    def give_today(self) -> int:
        """The same of the calls that were lent for the day; they are not spent then."""
        part = max(self.left_today, 0)
        if self.slots:
            part = ceil(part / 2)
        self._return_today(part)
        return part

    def _return_today(self, calls: int) -> None:
        self.left_today -= calls
        self.lent_today -= calls
        self.back += calls
        self.low_today = min(self.low_today, self.left_today // 2)

    def lend(self, calls: int) -> None:
        """Receive calls of the day."""
        self.left_today += calls
        self.lent_today += calls
        self.low_today, self.barred_today = self.left_today // 2, 0

    def rest(self) -> None:
        """Let the calls go, all of which have left the window; asks for nothing, as `move_to` may."""
        self.slots, self.here, self.left = [], 0, self.allotted

    def give_up(self) -> None:
        """Keep nothing of a burst limit of which nothing is in use."""
        self.rest()
        self.allotted = self.left = self.told = 0

    def forget(self) -> None:
        """Hold nothing of the burst limit, and know of no calls."""
        self.give_up()
        self.tick, self.beyond, self.is_asked_for = -1, 0, False

    def begin_anew(self) -> None:
        """Hold nothing at all."""
        self.forget()
        self.left_today = self.lent_today = self.back = self.low_today = 0

    def adapt(self) -> None:
        """Follow a new mode: at the latest with the next tick."""
        mode = self.windows.mode
        if mode.life != self.mode.life:  # others count what was held until then as spent
            self.forget()
        if mode.equal_shares:
            self.keep(min(self.allotted, self.burst // mode.equal_shares))
        self.mode, self.day_ends, self.attend = mode, 0.0, 0
        self.barred = self.barred_today = 0

    def _attend(self) -> None:
        mode, tick = self.mode, self.tick
        if tick >= self.beyond_until:
            self.beyond = 0
        if mode.equal_shares and tick >= mode.raise_tick:
            self.keep(self.burst // mode.equal_shares)
            self.beyond = 0
        self.attend = tick + (TICKS_PER_SECOND if mode.equal_shares else REFRESH_TICKS)
        if self.windows.sharing is not None and not self.is_asked_for and tick >= self.barred_today:
            if self.left_today < self.low_today:
                self.barred_today = tick + TICKS_PER_SECOND  # ahead of need: once a second is enough
            elif self.allotted >= self.burst:
                return  # nobody else has any, so there is nothing to hear
            self.windows.sharing.ask(self)

    def may_get(self, reason: Reason) -> bool:
        """Whether a call that was refused for want of what this process holds may pass once others were asked."""
        if self.windows.sharing is None:
            return False
        if reason is Reason.DAILY_LIMIT:
            return self.is_asked_for or self.tick >= self.barred_today or self.left_today < self.low_today
        return self.allotted < self.burst and self.tick >= self.barred and self.mode.is_asking

    @property
    def is_cut_off(self) -> bool:
        """Whether it is refused for want of an answer, not for a limit."""
        return self.is_unheard or (self.mode.equal_shares > 0 and self.allotted <= 0)

    @property
    def newest_tick(self) -> int:
        """Of the calls that are still of interest; -1 if there are none."""
        return self.tick if self.here else self.slots[-1][0] if self.slots else -1

    # --- The day ------------------------------------------------------------------------------------------------------
    def _begin_day(self, boot: float, wall: float) -> None:
        """Begin the day that it is by the clock that all share, unless it is today's still."""
        day, self.day_ends = shared_day(self.windows.wall_ahead, self.zone, boot, wall)
        if day != self.day:
            self.day = day
            self.left_today = self.lent_today = self.stored = self.settled = self.back = self.beyond = 0
            self.low_today = self.barred_today = 0
            if self.windows.sharing is None:
                self.lend(self.daily)
                self.low_today = 0

    def learn(self, *, day: str, stored: int, settled: int = 0) -> None:
        """Hear what the call log holds: the day's total of all processes, and how many of a batch were this one's."""
        if day == self.day:
            self.settled += settled
            self.stored = max(stored, self.stored)

    @property
    def used_today(self) -> int:
        """The day's calls: those of all processes that are in the call log, and this one's that will be."""
        return self.stored + max(self.lent_today - self.left_today - self.settled, 0)

    # --- What callers are told ----------------------------------------------------------------------------------------
    def _say_limits(self) -> None:
        self.headers = limit_headers(self.burst, self.daily)

    def left_now(self) -> tuple[int, int, int]:
        """As of the last call: what is left of the day, what of the window, and whole seconds until that is more."""
        left, left_today = self.left, self.left_today + self.beyond
        if left < 0 or left_today < 0:  # only after the plan was lowered
            left, left_today = max(left, 0), max(left_today, 0)
        return left_today, left, 0 if left == self.allotted else self.room

    def remaining(self) -> bytes:
        """The headers that change with each call; with `headers` all of them."""
        left_today, left, seconds = self.left_now()
        return REMAINING % (left_today, left, left, seconds)

    def retry_after(self, reason: Reason, *, boot: float, wall: float) -> int:
        """Whole seconds until a refused call may pass."""
        if reason is Reason.DAILY_LIMIT:
            return max(ceil(self.day_ends - wall), 1)
        self.move_to(int(boot * TICKS_PER_SECOND))
        return max(self.room, 1)
