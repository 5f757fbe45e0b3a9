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
WINDOWS_KEPT = 100_000  # accounts; more than that and idle ones make room


def day_of(wall: float, zone: ZoneInfo) -> tuple[date, float]:
    """The account's day at a moment of Unix time, and the moment when it ends: 23 or 25 h long where clocks change."""
    day = datetime.fromtimestamp(wall, zone).date()
    midnight = datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone)
    return day, midnight.astimezone(UTC).timestamp()


class Window:
    """One account's counts in this process."""

    __slots__ = (
        "burst", "daily", "day", "day_ends", "headers", "in_window", "newest", "pending", "slots", "stored", "zone",
    )  # fmt: skip

    def __init__(self, credential: Credential, *, wall: float) -> None:
        self.slots: deque[list[int]] = deque()  # [tick, calls in it], oldest first
        self.newest = [-1, 0]  # the last of them
        self.in_window = 0  # their sum
        self.stored = 0  # the day's calls of all processes, as far as the store was heard of
        self.pending = 0  # the day's calls of this process that are not in `stored` yet
        self.follow(credential, wall=wall)

    def follow(self, credential: Credential, *, wall: float) -> None:
        """Take on the account's plan and zone; what was counted stays counted."""
        self.burst, self.daily = credential.burst_limit, credential.daily_limit
        self.zone = ZoneInfo(credential.time_zone)
        day, self.day_ends = day_of(wall, self.zone)
        if day.isoformat() != getattr(self, "day", None):
            self.day, self.stored, self.pending = day.isoformat(), 0, 0
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
            day, self.day_ends = day_of(wall, self.zone)
            self.day, self.stored, self.pending = day.isoformat(), 0, 0
        if self.stored + self.pending >= self.daily:
            return Reason.DAILY_LIMIT
        slots, tick = self.slots, int(boot * TICKS_PER_SECOND)
        while slots and slots[0][0] < tick - WINDOW_TICKS:
            self.in_window -= slots.popleft()[1]
        if self.in_window >= self.burst:
            return Reason.BURST_LIMIT
        if self.newest[0] == tick:
            self.newest[1] += 1
        else:
            self.newest = [tick, 1]
            slots.append(self.newest)
        self.in_window += 1
        self.pending += 1
        return Reason.ACCEPTED

    @property
    def used_today(self) -> int:
        return self.stored + self.pending

    def learn(self, *, day: str, stored: int, settled: int = 0) -> None:
        """Hear from the store: the day's total, `settled` of which are calls of this process that were pending."""
        if day == self.day:
            self.stored = max(stored, self.stored)
            self.pending = max(self.pending - settled, 0)

    def remaining(self, boot: float) -> bytes:
        """The headers that change with each call; with `headers` all of them, each line with its CRLF."""
        left = self.burst - self.in_window
        left_today = self.daily - self.stored - self.pending
        if left < 0 or left_today < 0:  # only after the plan was lowered, or where other processes went on
            left, left_today = max(left, 0), max(left_today, 0)
        return (
            b"X-HubSpot-RateLimit-Daily-Remaining: %d\r\nX-HubSpot-RateLimit-Remaining: %d\r\n"
            b'RateLimit: "burst";r=%d;t=%d\r\n'
            % (
                left_today,
                left,
                left,
                min(self.seconds_to_room(boot), WINDOW_SECONDS),
            )
        )

    def seconds_to_room(self, boot: float) -> int:
        """Whole seconds until the oldest counted calls leave the window; a slot leaves when its last moment has."""
        if not self.slots:
            return 0
        return max(-(-(self.slots[0][0] + WINDOW_TICKS + 1 - int(boot * TICKS_PER_SECOND)) // TICKS_PER_SECOND), 0)

    def retry_after(self, reason: Reason, *, boot: float, wall: float) -> int:
        """Whole seconds until a refused call may pass."""
        return (
            max(ceil(self.day_ends - wall), 1) if reason is Reason.DAILY_LIMIT else max(self.seconds_to_room(boot), 1)
        )

    def is_idle(self, boot: float) -> bool:
        return self.pending == 0 and (not self.slots or self.slots[-1][0] < int(boot * TICKS_PER_SECOND) - WINDOW_TICKS)


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
