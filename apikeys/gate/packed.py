"""An account while it seldom calls: its window and what is kept of its credentials, in one bytes object.

As objects they take more than a kilobyte, in some twenty pieces that a processor has to fetch from memory for a call
that comes once in a while; a million of them take more than a gigabyte. Packed they are some 170 bytes in one piece,
and the usual call is counted right there (`PackedCall`). In this order, little-endian, they hold

    what each call changes (CHANGING), and the rest of the window (WINDOW)
    the account's public number, how many credentials (ACCOUNT); of each its rights by number, id, digest (CREDENTIAL)
    the account's slug
    the calls in those ticks before the newest one that had not left the window (CALLS)
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from struct import Struct, error
from sys import intern
from typing import TYPE_CHECKING

from apikeys.gate.limits import NEVER, TICKS_PER_SECOND, WINDOW_SECONDS, WINDOW_TICKS, Window
from apikeys.gate.reasons import Reason

if TYPE_CHECKING:
    from apikeys.gate.kept import Rights
    from apikeys.gate.known import Known

CHANGING = Struct("<BIIi")  # how many CALLS; the newest tick, and the calls in it; what is left today
WINDOW = Struct("<HHIH?IiiiiqI")  # as `pack` has them
ACCOUNT = Struct("<QB")
CREDENTIAL = Struct("<H16s32s")
CALLS = Struct("<II")  # a tick, and the calls in it

_WITH_ONE = Struct(CHANGING.format + "".join(part.format[1:] for part in (WINDOW, ACCOUNT, CREDENTIAL)))
_CREDENTIALS_AT = CHANGING.size + WINDOW.size
_COUNT_AT = _CREDENTIALS_AT + ACCOUNT.size - 1
_RIGHTS, _RIGHTS_AT = Struct("<H"), _COUNT_AT + 1  # of the first credential
_DIGEST = slice(_COUNT_AT + 1 + CREDENTIAL.size - 32, _COUNT_AT + 1 + CREDENTIAL.size)  # likewise
_TICK, _TICK_AT = Struct("<I"), 1
_NO_TICK = 2**32 - 1
_TICKS_LIMIT = 32  # before the newest one; where there are more, objects serve better
_GROUPS = Struct("8s4s4s4s12s")  # of a UUID
_FIRST_DAY = date(2020, 1, 1).toordinal()


def pack(window: Window, credentials: bytes, *, plan: int, mode: int, since: int) -> bytes | None:
    """None if a number is too large.

    :param plan: by number, as the window's mode is.
    :param since: the tick whose calls, and all later ones, have not left the window.
    """
    calls = [one for one in (*window.slots, (window.tick, window.here)) if one[1] and one[0] >= since]
    earlier, (tick, here) = calls[:-1], calls[-1] if calls else (0, 0)
    try:
        changing = CHANGING.pack(len(earlier), tick, here, window.left_today)
        rest = WINDOW.pack(
            plan,
            number_of_day(window.day),
            mode,
            window.mode.life,
            window.is_unheard,
            min(window.attend, _NO_TICK),
            window.allotted,
            window.told,
            window.lent_today - window.settled,  # nobody asks for `settled` alone; `stored` is heard again
            window.low_today,
            window.beyond,
            min(window.beyond_until, _NO_TICK),
        )
        return b"".join((changing, rest, credentials, *(CALLS.pack(*one) for one in earlier)))
    except error:
        return None


def unpack(packed: bytes, window: Window) -> tuple[int, int, int]:
    """Give a new window what was packed; its plan and its mode, by number, and its life."""
    earlier, tick, here, window.left_today = CHANGING.unpack_from(packed)
    (
        plan, day, mode, life, window.is_unheard, attend, window.allotted, window.told,
        window.lent_today, window.low_today, window.beyond, beyond_until,
    ) = WINDOW.unpack_from(packed, CHANGING.size)  # fmt: skip
    window.attend, window.beyond_until, window.day_ends = _tick(attend), _tick(beyond_until), 0.0
    window.day = _day(day)
    window.slots = list(CALLS.iter_unpack(packed[_calls_at(packed) :])) if earlier else []
    if here:
        window.slots.append((tick, here))
    window.left = window.allotted - sum(calls for _, calls in window.slots)
    window.tick = -1
    window.here = window.room = window.stored = window.settled = window.back = 0
    window.barred = window.barred_today = window.plan = 0
    window.is_asked_for = False
    return plan, mode, life


def newest_tick(packed: bytes) -> int:
    tick: int = _TICK.unpack_from(packed, _TICK_AT)[0]
    return tick


def holds(packed: bytes) -> bool:
    """Whether others could have something of what is held."""
    told: int = WINDOW.unpack_from(packed, CHANGING.size)[7]
    left_today: int = CHANGING.unpack_from(packed)[3]
    return told > 0 or left_today > 0


def credentials(packed: bytes) -> bytes:
    """Empty if there are none."""
    return packed[_CREDENTIALS_AT : _calls_at(packed)]


def without_credentials(packed: bytes) -> bytes:
    return packed[:_CREDENTIALS_AT] + packed[_calls_at(packed) :]


class PackedCall:
    """A call by the one credential of a packed account: to the hot path it is `Kept`, and the window that this has.

    What is simple is counted where it is packed; else the account is unpacked, and its window counts.
    """

    __slots__ = (
        "account_id", "beyond", "day", "digest", "head", "headers", "known", "left", "left_today", "packed", "rights",
        "room", "who",
    )  # fmt: skip

    def __init__(self, known: Known, digest: bytes, account_id: int, packed: bytes) -> None:
        self.known, self.digest, self.account_id, self.packed = known, digest, account_id, packed
        self.rights: Rights = known.rights[_RIGHTS.unpack_from(packed, _RIGHTS_AT)[0]]

    @property
    def window(self) -> PackedCall:
        return self

    def take(self, boot: float, wall: float) -> Reason:
        """As `Window.take` does; what is said to callers is set then."""
        packed, windows = self.packed, self.known.windows
        (
            earlier, tick, here, left_today, plan, day, mode, _, _, attend, allotted, _, _, low_today, self.beyond,
            beyond_until, number, _, _, identity, _,
        ) = _WITH_ONE.unpack_from(packed)  # fmt: skip
        burst, _, zone, self.headers = windows.plans[plan]
        today, self.day, _ = windows.today(zone, boot, wall)
        now, calls_at = int(boot * TICKS_PER_SECOND), len(packed)
        calls, used, self.room = b"", 0, WINDOW_SECONDS
        if earlier:
            calls_at -= CALLS.size * earlier
        if here and tick >= now - WINDOW_TICKS:
            calls, used, oldest = _left(packed[calls_at:], now - WINDOW_TICKS, here, tick)
            self.room = min(-(-(oldest + WINDOW_TICKS + 1 - now) // TICKS_PER_SECOND), WINDOW_SECONDS)
            if tick == now:
                here += 1
            else:
                calls, here = calls + CALLS.pack(tick, here), 1
        else:
            here = 1
        if (
            used >= allotted
            or left_today <= 0
            or left_today < low_today
            or day != today
            or (now >= attend and (allotted < burst or now >= beyond_until))
            or earlier >= _TICKS_LIMIT
            or not windows.counts_by(mode)
        ):
            return self._take_unpacked(boot, wall)
        self.left, self.left_today = allotted - used - 1, left_today - 1
        changing = CHANGING.pack(len(calls) // CALLS.size, now, here, self.left_today)
        windows.packed[self.account_id] = changing + packed[CHANGING.size : calls_at] + calls
        name = identity.hex()
        self.who = (self.account_id, self.rights.kind, name)
        self.head = self.rights.head % (number, packed[_WITH_ONE.size : calls_at], with_hyphens(name))
        return Reason.ACCEPTED

    def _take_unpacked(self, boot: float, wall: float) -> Reason:
        kept = self.known.find(self.digest)
        if kept is None:
            raise AssertionError("A packed credential is found.")
        window = kept.window
        reason = window.take(boot, wall)
        self.who, self.head, self.headers, self.day = kept.who, kept.head, window.headers, window.day
        self.left, self.left_today, self.beyond, self.room = window.left, window.left_today, window.beyond, window.room
        return reason


def has_but_this(packed: bytes, digest: bytes) -> bool:
    """Whether exactly one credential is held, and this is it."""
    return packed[_DIGEST] == digest and packed[_COUNT_AT] == 1


def with_hyphens(identity: str) -> bytes:
    """32 hex digits as UUIDs are written (RFC 9562, 4); to make one costs six times as much."""
    return b"%b-%b-%b-%b-%b" % _GROUPS.unpack(identity.encode())


def _left(calls: bytes, since: int, used: int, oldest: int) -> tuple[bytes, int, int]:
    """The calls that have not left the window since that tick; how many with the newest tick's, and the oldest tick."""
    gone = 0
    for tick, number in CALLS.iter_unpack(calls):
        if tick < since:
            gone += CALLS.size
        else:
            used, oldest = used + number, min(oldest, tick)
    return calls[gone:], used, oldest


def _calls_at(packed: bytes) -> int:
    return len(packed) - CALLS.size * packed[0]


def _tick(packed: int) -> int:
    return NEVER if packed == _NO_TICK else packed


@lru_cache(maxsize=64)
def number_of_day(day: str) -> int:
    return date.fromisoformat(day).toordinal() - _FIRST_DAY


@lru_cache(maxsize=64)
def _day(number: int) -> str:
    return intern(date.fromordinal(number + _FIRST_DAY).isoformat())
