"""Every account's window in this process; of many accounts, most are packed (`apikeys.gate.packed`).

Those that were made or unpacked longest ago are packed, together with what is kept of the account's credentials.
Nothing is lost by that: what was counted and what is held are the same when the account calls again.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import islice
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from apikeys.gate import packed
from apikeys.gate.clock import boot_seconds
from apikeys.gate.limits import TICKS_PER_SECOND, WINDOW_TICKS, Mode, Sharing, Window, shared_day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from apikeys.gate.store import Credential

ACCOUNTS_KEPT = 1_000_000  # more than that and idle ones make room
TRIED = 20  # accounts, for each new one that finds no room
UNPACKED = 16_000  # accounts; so many take some 20 MiB, as much as 55,000 packed ones do
PACKED_TOGETHER = 64  # accounts, within half a millisecond

T = TypeVar("T", bound=Hashable)
V = TypeVar("V")
Plan = tuple[int, int, "ZoneInfo", bytes]  # the limits, the account's time zone, what answers say of the limits
Today = tuple[int, str, float]  # a day's number and ISO date, and the Unix time at which it ends


class Credentials(Protocol):
    """What is kept of accounts' credentials."""

    def pack(self, account_id: int) -> bytes | None:
        """The account's credentials as bytes; None if they cannot be packed."""

    def let_go(self, account_id: int) -> None:
        """They are packed now."""

    def unpack(self, window: Window, packed: bytes) -> None: ...

    def forget(self, account_id: int) -> int: ...


class Numbered(list[T], Generic[T]):
    """What many accounts have in common, by a number of two bytes."""

    LIMIT = 2**16

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[T, int] = {}

    def number(self, thing: T) -> int | None:
        """None if there are too many different ones."""
        number = self._numbers.get(thing)
        if number is None and len(self) < self.LIMIT:
            number = self._numbers[thing] = len(self)
            self.append(thing)
        return number


class Windows:
    def __init__(self, sharing: Sharing | None = None) -> None:
        """:param sharing: None where this process is the only one that counts: then it has all of each limit."""
        self.sharing = sharing
        self.credentials: Credentials | None = None
        self.mode = Mode()
        self.wall_ahead: float | None = None  # the shared clock's Unix time less `boot_seconds`, once that is known
        self.plans: Numbered[Plan] = Numbered()
        self.packed: dict[int, bytes] = {}  # of all accounts; empty while the account is unpacked
        self._unpacked: dict[int, Window] = {}  # the longest unpacked first
        self._next: Iterator[int] = iter(())  # whom it is looked at next to make room
        self._days: dict[ZoneInfo, Today] = {}
        self._gone = 0  # accounts that left holes in `packed`
        self._numbered_mode, self._mode_number = self.mode, 0
        self._frozen = 0  # the number of the mode with which what was not in use was given up
        self._most_shares = 0  # of all equal shares that were to be kept to since: packed windows were not told

    def of(self, credential: Credential, *, boot: float, wall: float) -> Window:
        """The account's window, following the plan that was just read."""
        window = self.get(credential.account_id)
        if window is not None:
            window.follow(credential, boot=boot, wall=wall)
            return window
        if len(self.packed) >= ACCOUNTS_KEPT:
            self._let_go(boot)
        return self._add(Window(credential, self, boot=boot, wall=wall))

    def get(self, account_id: int) -> Window | None:
        window = self._unpacked.get(account_id)
        if window is None and self.packed.get(account_id):
            window = self._unpack(account_id)
            self._pack_old()
        return window

    def current(self, window: Window) -> Window:
        """The account's window, where this one may have been packed meanwhile, or let go: it held nothing then."""
        current = self.get(window.account_id)
        if current is None:
            window.begin_anew()
            current = self._add(window)
        return current

    def _add(self, window: Window) -> Window:
        self.packed[window.account_id] = b""
        self._unpacked[window.account_id] = window
        self._pack_old()
        return window

    # --- Of many ------------------------------------------------------------------------------------------------------
    def unpacked(self) -> list[Window]:
        return list(self._unpacked.values())

    def some_packed(self, most: int) -> list[Window]:
        """Unpack so many of those that are packed and hold something."""
        some = list(islice((one for one, record in self.packed.items() if record and packed.holds(record)), most))
        return [self._unpack(account_id) for account_id in some]

    def keep_to_shares(self, mode: Mode) -> None:
        """Follow equal shares, at once: others may have waited long for this process already."""
        self.mode, self._most_shares = mode, max(self._most_shares, mode.equal_shares)
        for window in self._unpacked.values():
            window.adapt()

    def freeze(self, mode: Mode, tick: int) -> list[Window]:
        """Have those give up what they hold that nobody has used lately; the others."""
        since = tick - WINDOW_TICKS
        in_use = [one for one, record in self.packed.items() if record and packed.newest_tick(record) >= since]
        for account_id in in_use:  # without packing others for them: all of them are to follow the new mode
            self._unpack(account_id)
        self.mode = self._numbered_mode = mode
        self._mode_number += 1
        self._frozen, self._most_shares = self._mode_number, mode.equal_shares
        return self.unpacked()

    def looked_at(self, most: int) -> list[int]:
        """The next so many accounts, all of them in turn."""
        found = list(islice(self._next, most))
        if not found:
            self._next = iter(list(self.packed))
            found = list(islice(self._next, most))
        return [account_id for account_id in found if account_id in self.packed]

    def newest_tick(self, account_id: int) -> int:
        """When the account called last, as far as that is of interest."""
        record = self.packed[account_id]
        return packed.newest_tick(record) if record else self._unpacked[account_id].newest_tick

    def packed_credentials(self, account_id: int) -> bytes:
        """What was packed with the account's window; empty if nothing was."""
        record = self.packed.get(account_id)
        return packed.credentials(record) if record else b""

    def forget_credentials(self, account_id: int) -> None:
        """Those that were packed with the account's window."""
        record = self.packed.get(account_id)
        if record:
            self.packed[account_id] = packed.without_credentials(record)

    def pack_some(self, most: int) -> None:
        """So many of those that were made or unpacked longest ago."""
        since = int(boot_seconds() * TICKS_PER_SECOND) - WINDOW_TICKS
        for account_id in list(islice(self._unpacked, most)):
            window = self._unpacked[account_id]
            record = self._pack(window, since)
            del self._unpacked[account_id]
            if record is None:
                self._unpacked[account_id] = window  # the newest now
            else:
                self.packed[account_id] = record

    def _pack_old(self) -> None:
        """Where there are too many, but never the newest: whoever has just got it is at work with it."""
        if len(self._unpacked) > UNPACKED:
            self.pack_some(min(PACKED_TOGETHER, len(self._unpacked) - 1))

    def _let_go(self, boot: float) -> None:
        """Let idle accounts go, and have them give back what they hold before they do."""
        since = int(boot * TICKS_PER_SECOND) - WINDOW_TICKS
        for account_id in self.looked_at(TRIED):
            window = self._unpacked.get(account_id)
            if self.newest_tick(account_id) >= since or (window is not None and window.is_asked_for):
                continue
            window = window or self._unpack(account_id)
            window.rest()
            if self.sharing is not None and (window.told or window.left_today):
                window.drop()  # it goes the next time: the counter hears first what is held
                self.sharing.ask(window, wants=False)
            else:
                self._forget(account_id)

    def _forget(self, account_id: int) -> None:
        if self.credentials is not None:
            self.credentials.forget(account_id)
        del self._unpacked[account_id], self.packed[account_id]
        self._gone += 1
        self.packed, self._gone = without_holes(self.packed, self._gone)

    # --- What all follow ----------------------------------------------------------------------------------------------
    def set_clock(self, wall_ahead: float) -> None:
        self.wall_ahead = wall_ahead
        self.mode = Mode(*self.mode)  # another object: each window looks at the clock again
        self._days.clear()

    def today(self, zone: ZoneInfo, boot: float, wall: float) -> Today:
        """The zone's day, as windows have it; for packed ones."""
        day = self._days.get(zone)
        if day is None or wall >= day[2]:
            date, ends = shared_day(self.wall_ahead, zone, boot, wall)
            day = self._days[zone] = packed.number_of_day(date), date, ends
        return day

    # --- Packing ------------------------------------------------------------------------------------------------------
    def counts_by(self, mode: int) -> bool:
        """Whether a window that was packed in that mode has nothing to follow."""
        return mode == self._number_mode() and not self.mode.equal_shares

    def _number_mode(self) -> int:
        """The same for modes that differ in nothing but the clock."""
        if self.mode is not self._numbered_mode:
            self._mode_number += self.mode != self._numbered_mode
            self._numbered_mode = self.mode
        return self._mode_number

    def _pack(self, window: Window, since: int) -> bytes | None:
        """None for a window that has to stay: others may be at work with it, or a number is too large."""
        plan = self.plans.number((window.burst, window.daily, window.zone, window.headers))
        if window.is_asked_for or window.back or plan is None:
            return None
        if window.mode is not self.mode:
            window.adapt()
        credentials = self.credentials.pack(window.account_id) if self.credentials is not None else b""
        if credentials is None:
            return None
        record = packed.pack(window, credentials, plan=plan, mode=self._number_mode(), since=since)
        if record is not None and self.credentials is not None:
            self.credentials.let_go(window.account_id)
        return record

    def _unpack(self, account_id: int) -> Window:
        record, self.packed[account_id] = self.packed[account_id], b""
        window = self._unpacked[account_id] = Window.__new__(Window)
        window.windows, window.account_id, window.mode = self, account_id, self.mode
        plan, mode, life = packed.unpack(record, window)
        window.burst, window.daily, window.zone, window.headers = self.plans[plan]
        if mode < self._frozen:
            window.give_up()
        if mode != self._number_mode():
            window.mode = Mode(life)
            if self.mode.equal_shares:
                window.keep(min(window.allotted, window.burst // self._most_shares))
            window.adapt()
        if self.credentials is not None:
            self.credentials.unpack(window, packed.credentials(record))
        return window


def without_holes(table: dict[T, V], gone: int) -> tuple[dict[T, V], int]:
    """The table, made anew if many have gone; and how many have gone since it was.

    A table keeps the places of those that went, and would be twice as large when they are used up.
    """
    return (table, gone) if gone < max(len(table) // 4, 1_000) else (dict(table), 0)
