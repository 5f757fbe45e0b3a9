"""Calls as rows: a batch by columns, and what makes of each value the one that is stored.

A batch is worked on by columns, not by calls: `map`, `zip` and `Counter` go through one in C, at some ten nanoseconds a
value, where a loop over calls takes a microsecond and more for each. What is made of a value (a path with its secrets
masked, the name of a caller) is `Remembered` for when it comes again.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import itemgetter, mul
from time import gmtime, strftime
from typing import Any, NamedTuple

from auditlog.callers import network, product_token
from auditlog.remembered import Remembered

# Whom a call concerns: account, kind and id (32 hex digits) of the credential; NOBODY if it is unknown.
Who = tuple[int | None, str, str | None]
NOBODY: Who = (None, "", None)

# A call as the queue holds it. It is a plain tuple because making one costs a tenth of any other record:
# who; Unix time; method; path without its query; status; microseconds or None; reason; user agent; address;
# request id as a number; and, of an accepted call, the account's day that it counts for, as an ISO date.
Call = tuple[Who, float, bytes, bytes, int, int | None, str, bytes, str | None, int, str | None]

Caller = tuple[str, str, str, str | None]  # agent, network, user agent, address

PATH_LENGTH = 1024
USER_AGENT_LENGTH = 512
METHOD_LENGTH = 16
TEXTS_KEPT = 4_096
MICROSECONDS = 1_000_000  # of a second
REPLACED = "\N{REPLACEMENT CHARACTER}"


class Batch(NamedTuple):
    """Calls as they are stored, by columns; sorted by account and then by time, like the log's index."""

    who: Sequence[Who]
    at: Sequence[int]  # microseconds since 1970
    method: Sequence[str]
    path: Sequence[str]
    status: Sequence[int]
    duration_us: Sequence[int | None]
    reason: Sequence[str]
    caller: Sequence[Caller]
    request_id: Sequence[int]
    day: Sequence[str | None]


NO_CALLS = Batch._make(repeat((), len(Batch._fields)))


class Cleaner:
    """Makes batches of calls: secrets masked, lengths bounded, callers named."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self._method: Remembered[bytes, str] = Remembered(_method, size=TEXTS_KEPT)
        self._caller: Remembered[tuple[bytes, str | None], Caller] = Remembered(self._named, size=TEXTS_KEPT)

    def batch(self, calls: Iterable[Call]) -> Batch:
        ordered = sorted(calls, key=itemgetter(1))
        ordered.sort(key=_account)
        if not ordered:
            return NO_CALLS
        who, at, methods, paths, statuses, durations, reasons, agents, addresses, ids, days = zip(*ordered, strict=True)
        return Batch(
            who,
            list(map(round, map(mul, at, repeat(MICROSECONDS)))),
            list(map(self._method.__getitem__, methods)),
            self._texts(paths, PATH_LENGTH),
            statuses,
            durations,
            reasons,
            list(map(self._caller.__getitem__, zip(agents, addresses, strict=True))),
            ids,
            days,
        )

    def cleaned(self, call: Call) -> Sequence[Any]:
        """The call as it may lie on a disk: what could be a secret is masked, and JSON takes it."""
        who, at, method, path, status, duration_us, reason, user_agent, address, request_id, day = call
        return (
            who, at, self._method[method], self._text(path, PATH_LENGTH), status, duration_us, reason,
            self._caller[user_agent, address][2], address, f"{request_id:032x}", day,
        )  # fmt: skip

    def _named(self, caller: tuple[bytes, str | None]) -> Caller:
        user_agent, address = self._text(caller[0], USER_AGENT_LENGTH), caller[1]
        if address:
            address = address.partition("%")[0]  # the zone of a link-local one says nothing, and PostgreSQL takes none
        return product_token(user_agent), network(address), user_agent, address

    def _text(self, raw: bytes, length: int) -> str:
        return self._texts([raw], length)[0]

    def _texts(self, raws: Sequence[bytes], length: int) -> list[str]:
        """Decoded and looked through all at once, as lines of one text; at a tenth of what it costs one by one."""
        text = _decoded(b"\n".join(raws))
        texts = text.split("\n")
        if len(texts) != len(raws):  # one has a line feed itself
            texts = list(map(_decoded, raws))
        if "_" in text or "%" in text:
            texts = [self._mask(one) if "_" in one or "%" in one else one for one in texts]
        return [one[:length] for one in texts] if max(map(len, texts)) > length else texts


def instant_text(microseconds: int) -> str:
    """A time as Django keeps it on SQLite: in UTC, and of a whole second without a fraction."""
    seconds, fraction = divmod(microseconds, MICROSECONDS)
    text = strftime("%Y-%m-%d %H:%M:%S", gmtime(seconds))
    return f"{text}.{fraction:06}" if fraction else text


def _account(call: Call) -> int:
    return call[0][0] or 0


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").replace("\0", REPLACED)


def _method(raw: bytes) -> str:
    return raw[:METHOD_LENGTH].decode("ascii", "replace").replace("\0", REPLACED)
