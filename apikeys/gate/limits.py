"""Limits of one account: calls in any 10 seconds, and calls in a day of its own time zone (G8).

What holds now. The burst limit is exact within a process: never more than N calls in any 10 seconds; counted in slots
of 0.1 s, so that it may refuse up to 0.1 s early. Several processes (gates, and the web process, which serves the
account API) each count their own. The daily count is shared: `auditlog.calls` raises `DailyUsage` with each batch it
stores and tells the process the total, so that between processes it is behind by what they have not stored yet, about
a second of calls. Refused calls count toward nothing.
"""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from apikeys.gate.reasons import Reason
from apikeys.gate.store import Credential

TICKS_PER_SECOND = 10
WINDOW_SECONDS = 10
WINDOW_TICKS = WINDOW_SECONDS * TICKS_PER_SECOND
REMAINING = (
    b'X-HubSpot-RateLimit-Daily-Remaining: %d\r\nX-HubSpot-RateLimit-Remaining: %d\r\nRateLimit: "burst";r=%d;t=%d\r\n'
)
WINDOWS_KEPT = 100_000  # accounts; more than that and idle ones make room


def day_of(wall: float, zone: ZoneInfo) -> tuple[date, float]:
    """The account's day at a moment of Unix time, and the moment when it ends: 23 or 25 h long where clocks change."""
    day = datetime.fromtimestamp(wall, zone).date()
    midnight = datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone)
    return day, midnight.astimezone(UTC).timestamp()


class Window:
    """One account's counts in this process.

    What is left is kept, not what was used: each call then touches few numbers, which for many accounts is what counts.
    """

    __slots__ = (
        "burst", "daily", "day", "day_ends", "headers", "here", "left", "left_today", "room", "slots", "stored", "tick",
        "zone",
    )  # fmt: skip

    def __init__(self, credential: Credential, *, wall: float) -> None:
        self.slots: deque[tuple[int, int]] = deque()  # tick, calls in it; oldest first
        self.tick, self.here = -1, 0  # the newest tick, and the calls in it, which are not in a slot yet
        self.room = 0  # whole seconds from this tick until the oldest counted calls leave the window
        self.burst = self.left = credential.burst_limit
        self.daily = self.left_today = credential.daily_limit
        self.stored = 0  # the day's calls of all processes, as far as the store was heard of
        self.day = ""
        self.follow(credential, wall=wall)

    def follow(self, credential: Credential, *, wall: float) -> None:
        """Take on the account's plan and zone; what was counted stays counted."""
        self.left += credential.burst_limit - self.burst
        self.left_today += credential.daily_limit - self.daily
        self.burst, self.daily = credential.burst_limit, credential.daily_limit
        self.zone = ZoneInfo(credential.time_zone)
        self._begin_day(wall)
        self.headers = (
            f"X-HubSpot-RateLimit-Daily: {self.daily}\r\n"
            f"X-HubSpot-RateLimit-Interval-Milliseconds: {WINDOW_SECONDS * 1000}\r\n"
            f"X-HubSpot-RateLimit-Max: {self.burst}\r\n"
            f'RateLimit-Policy: "burst";q={self.burst};w={WINDOW_SECONDS}\r\n'
        ).encode()

    def take(self, boot: float, wall: float) -> Reason:
        """Count one call, unless it is over a limit.

        :param boot: seconds of a clock that never goes back; `wall`: Unix time.
        """
        if wall >= self.day_ends:
            self._begin_day(wall)
        tick = int(boot * TICKS_PER_SECOND)
        if tick != self.tick:
            self._move_to(tick)
        if self.left <= 0 or self.left_today <= 0:
            return Reason.DAILY_LIMIT if self.left_today <= 0 else Reason.BURST_LIMIT
        self.left -= 1
        self.left_today -= 1
        self.here += 1
        return Reason.ACCEPTED

    def _begin_day(self, wall: float) -> None:
        day, self.day_ends = day_of(wall, self.zone)
        if day.isoformat() != self.day:
            self.day, self.stored, self.left_today = day.isoformat(), 0, self.daily

    def _move_to(self, tick: int) -> None:
        """Let the calls go that left the window since the last tick; a slot leaves when its last moment has."""
        slots = self.slots
        if self.here:
            slots.append((self.tick, self.here))
            self.here = 0
        while slots and slots[0][0] < tick - WINDOW_TICKS:
            self.left += slots.popleft()[1]
        self.tick = tick
        oldest = slots[0][0] if slots else tick
        self.room = min(-(-(oldest + WINDOW_TICKS + 1 - tick) // TICKS_PER_SECOND), WINDOW_SECONDS)

    @property
    def used_today(self) -> int:
        return self.daily - self.left_today

    @property
    def pending(self) -> int:
        """The day's calls of this process that are not in `stored` yet."""
        return self.used_today - self.stored

    def learn(self, *, day: str, stored: int, settled: int = 0) -> None:
        """Hear from the store: the day's total, `settled` of which are calls of this process that were pending."""
        if day == self.day:
            pending = max(self.pending - settled, 0)
            self.stored = max(stored, self.stored)
            self.left_today = self.daily - self.stored - pending

    def left_now(self) -> tuple[int, int, int]:
        """As of the last call: what is left of the day, what of the window, and whole seconds until that is more."""
        left, left_today = self.left, self.left_today
        if left < 0 or left_today < 0:  # only after the plan was lowered, or where other processes went on
            left, left_today = max(left, 0), max(left_today, 0)
        return left_today, left, 0 if left == self.burst else self.room

    def remaining(self) -> bytes:
        """The headers that change with each call; with `headers` all of them."""
        left_today, left, seconds = self.left_now()
        return REMAINING % (left_today, left, left, seconds)

    def retry_after(self, reason: Reason, *, boot: float, wall: float) -> int:
        """Whole seconds until a refused call may pass."""
        if reason is Reason.DAILY_LIMIT:
            return max(ceil(self.day_ends - wall), 1)
        self._move_to(int(boot * TICKS_PER_SECOND))
        return max(self.room, 1)

    def is_idle(self, boot: float) -> bool:
        self._move_to(int(boot * TICKS_PER_SECOND))
        return self.pending == 0 and self.left >= self.burst


class Windows:
    """Every account's window in this process."""

    def __init__(self) -> None:
        self._of: dict[int, Window] = {}

    def of(self, credential: Credential, *, boot: float, wall: float) -> Window:
        """The account's window, following the plan that was just read."""
        window = self._of.get(credential.account_id)
        if window is not None:
            window.follow(credential, wall=wall)
            return window
        if len(self._of) >= WINDOWS_KEPT:
            self._of = {account: kept for account, kept in self._of.items() if not kept.is_idle(boot)}
        window = self._of[credential.account_id] = Window(credential, wall=wall)
        return window

    def learn(self, usage: Iterable[tuple[int, str, int, int]]) -> None:
        """Hear from the call writer: (account, day, calls in the batch, the day's total)."""
        for account_id, day, settled, stored in usage:
            window = self._of.get(account_id)
            if window is not None:
                window.learn(day=day, stored=stored, settled=settled)
