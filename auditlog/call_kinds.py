"""A batch's calls by kind: what is counted of calls is counted of kinds, of which a batch has one for several calls.

Numbering each call's kind is the one time that all of what tells calls apart is hashed; then its number is.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import count, repeat
from typing import Any, NamedTuple

from auditlog.call_rows import MICROSECONDS, Batch, Caller, Who

HOUR = 3_600 * MICROSECONDS
FAILED = 400  # the least status that says so (RFC 9110, 15)

_NUMBERS = re.compile(r"/[0-9]+(?![^/\n])")


class Kind(NamedTuple):
    """All that counting tells apart, and little more: a number in a path is none of it."""

    who: Who
    caller: Caller
    method: str
    path: str  # with {id} for each segment that is a number
    reason: str
    failed: bool
    hour: int  # since 1970
    day: str | None  # the account's, that an accepted call counts for


class Alike(NamedTuple):
    """A batch's calls of one kind. Times are microseconds since 1970."""

    kind: Kind
    calls: int
    first_at: int
    last_at: int


def by_kind(batch: Batch) -> list[Alike]:
    """An account's calls must be in the order of their times."""
    numbered: defaultdict[Any, int] = defaultdict(count().__next__)
    columns = (
        *(batch.who, batch.caller, batch.method, _paths(batch.path), batch.reason),
        *(map(FAILED.__le__, batch.status), _hours(batch.at), batch.day),
    )
    kinds = list(map(numbered.__getitem__, zip(*columns, strict=True)))
    calls = Counter(kinds)
    last = dict(zip(kinds, batch.at, strict=True))
    first = dict(zip(reversed(kinds), reversed(batch.at), strict=True))
    return [Alike(Kind._make(kind), calls[number], first[number], last[number]) for kind, number in numbered.items()]


def _paths(paths: Sequence[str]) -> Sequence[str]:
    """All at once, as lines of one text."""
    found = _NUMBERS.sub("/{id}", "\n".join(paths)).split("\n")
    return found if len(found) == len(paths) else paths  # one has a line feed itself


def _hours(times: Sequence[int]) -> Iterable[int]:
    if not times:
        return ()
    first, last = min(times) // HOUR, max(times) // HOUR
    return repeat(first, len(times)) if first == last else [at // HOUR for at in times]  # the former nearly always
