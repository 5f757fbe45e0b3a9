"""Every account's window in this process; of many accounts, most are packed (`apikeys.gate.packed`).

Those that were made or unpacked longest ago are packed, together with what is kept of the account's credentials.
Nothing is lost by that: what was counted and what is held are the same when the account calls again.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import islice
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from apikeys.gate import packed
from apikeys.gate.limits import WINDOW_TICKS, Mode, Sharing, Window

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from apikeys.gate.store import Credential

ACCOUNTS_KEPT = 1_000_000  # more than that and idle ones make room
LOOKED_AT = 20  # packed accounts, for each new one that finds no room
UNPACKED = 20_000  # accounts; so many take some 25 MiB, as much as 70,000 packed ones do
PACKED_TOGETHER = 64  # accounts, within 0.2 ms

T = TypeVar("T", bound=Hashable)
Plan = tuple[int, int, "ZoneInfo", bytes]  # the limits, the account's time zone, what answers say of the limits


class Credentials(Protocol):
    """What is kept of accounts' credentials."""

    def pack(self, account_id: int) -> bytes | None:
        """Keep the account's credentials no longer but as these bytes; None if they cannot be packed."""

    def unpack(self, window: Window, packed: bytes) -> None: ...

    def forget(self, account_id: int) -> None: ...


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
        self._of: dict[int, Window] = {}
        self.packed: dict[int, bytes] = {}
        self.plans: Numbered[Plan] = Numbered()
        self._numbered_mode, self._mode_number = self.mode, 0
        self._frozen = 0  # the number of the mode with which what was not in use was given up

    def of(self, credential: Credential, *, boot: float, wall: float) -> Window:
        """The account's window, following the plan that was just read."""
        window = self.get(credential.account_id)
        if window is not None:
            window.follow(credential, boot=boot, wall=wall)
            return window
        if len(self) >= ACCOUNTS_KEPT:
            self._let_go(boot)
        self._make_room()
        window = self._of[credential.account_id] = Window(credential, self, boot=boot, wall=wall)
        return window

    def get(self, account_id: int) -> Window | None:
        window = self._of.get(account_id)
        if window is None and account_id in self.packed:
            self._make_room()
            window = self._unpack(account_id)
        return window

    def current(self, window: Window) -> Window:
        """The account's window, where this one may have been packed meanwhile, or let go: it held nothing then."""
        current = self.get(window.account_id)
        if current is None:
            window.begin_anew()
            current = self._of[window.account_id] = window
        return current

    def __len__(self) -> int:
        return len(self._of) + len(self.packed)

    # --- Of many ------------------------------------------------------------------------------------------------------
    def all(self) -> list[Window]:
        """Those that are not packed."""
        return list(self._of.values())

    def pack_some(self, most: int) -> None:
        """So many of those that were made or unpacked longest ago."""
        for account_id in list(islice(self._of, most)):
            window = self._of.pop(account_id)
            record = self._pack(window)
            if record is None:
                self._of[account_id] = window  # the newest now
            else:
                self.packed[account_id] = record

    def unpack_some(self, most: int) -> list[Window]:
        """So many of those that are packed."""
        return [self._unpack(account_id) for account_id in list(islice(self.packed, most))]

    def freeze(self, mode: Mode, tick: int) -> list[Window]:
        """Have those give up what they hold that nobody has used lately; the others."""
        since = tick - WINDOW_TICKS
        in_use = [account_id for account_id, record in self.packed.items() if packed.newest_tick(record) >= since]
        for account_id in in_use:  # without making room for them: all of them are to follow the new mode
            self._unpack(account_id)
        self.mode = mode
        self._frozen = self._number_mode()
        return self.all()

    def least_used(self, looked_at: int, wanted: int) -> list[int]:
        """Of the longest packed accounts those that have not called for longest; the others are the newest then."""
        if len(self.packed) < looked_at:
            self.pack_some(looked_at)
        looked = sorted(
            islice(self.packed, looked_at), key=lambda account_id: packed.newest_tick(self.packed[account_id])
        )
        for account_id in looked[wanted:]:
            self.packed[account_id] = self.packed.pop(account_id)
        return looked[:wanted]

    def packed_credentials(self, account_id: int) -> bytes:
        """What was packed with the account's window; empty if nothing was."""
        record = self.packed.get(account_id)
        return packed.credentials(record) if record else b""

    def _make_room(self) -> None:
        if len(self._of) >= UNPACKED:
            self.pack_some(PACKED_TOGETHER)

    def _let_go(self, boot: float) -> None:
        """Of the longest packed let idle ones go, and have them give back what they hold before they do."""
        if len(self.packed) < LOOKED_AT:
            self.pack_some(LOOKED_AT)
        for window in self.unpack_some(LOOKED_AT):
            if not window.is_idle(boot):
                continue
            if self.sharing is None or not (window.told or window.left_today):
                del self._of[window.account_id]
                if self.credentials is not None:
                    self.credentials.forget(window.account_id)
            else:  # it goes the next time: the counter hears first what is held
                window.give(window.tick)
                window.give_today()
                self.sharing.ask(window, wants=False)

    # --- Packing ------------------------------------------------------------------------------------------------------
    def counts_by(self, mode: int) -> bool:
        """Whether a window that was packed in that mode has nothing to follow."""
        return self.mode is self._numbered_mode and mode == self._mode_number and not self.mode.equal_shares

    def _number_mode(self) -> int:
        if self.mode is not self._numbered_mode:
            self._numbered_mode = self.mode
            self._mode_number += 1
        return self._mode_number

    def _pack(self, window: Window) -> bytes | None:
        """None for a window that has to stay: others may be at work with it, or a number is too large."""
        plan = self.plans.number((window.burst, window.daily, window.zone, window.headers))
        if window.is_asked_for or window.back or plan is None:
            return None
        if window.mode is not self.mode:
            window.adapt()
        credentials = self.credentials.pack(window.account_id) if self.credentials is not None else b""
        if credentials is None:
            return None
        record = packed.pack(window, credentials, plan=plan, mode=self._number_mode())
        if record is None and self.credentials is not None:
            self.credentials.unpack(window, credentials)
        return record

    def _unpack(self, account_id: int) -> Window:
        record = self.packed.pop(account_id)
        window = self._of[account_id] = Window.__new__(Window)
        window.windows, window.account_id, window.mode = self, account_id, self.mode
        plan, mode, life = packed.unpack(record, window)
        window.burst, window.daily, window.zone, window.headers = self.plans[plan]
        if mode < self._frozen:
            window.give_up()
        if mode != self._number_mode():
            window.mode = Mode(life)
            window.adapt()
        if self.credentials is not None:
            self.credentials.unpack(window, packed.credentials(record))
        return window
