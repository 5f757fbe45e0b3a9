"""Roll-ups of the call log: what pages ask for at each turn is counted once, in the transaction that stores the calls.

By hour: credential, caller and reason (`CallsByCaller`). By day: credential, caller, method and route (`CallsByRoute`).
Both are UTC's. A batch of thousands of calls raises a row for each of these that it has, not for each call.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import compress, repeat
from typing import Any, NamedTuple, TypeVar

from auditlog.call_rows import MICROSECONDS, NOBODY, Batch, Cleaner
from auditlog.call_tables import CallTable, store_last_uses
from auditlog.callers import route_of, routes_of
from auditlog.models import Call as CallModel
from auditlog.models import CallsByCaller, CallsByRoute
from auditlog.upserts import Row, Upsert

Period = TypeVar("Period")

HOUR, DAY = 3_600 * MICROSECONDS, 86_400 * MICROSECONDS
FAILED = 400  # the least status that says so (RFC 9110, 15)
ROUTES_A_CALLER = 100  # a day, with a credential; the others are counted together, as the route ""
CALLERS_REMEMBERED = 20_000

BY_CALLER = Upsert(
    CallsByCaller,
    ("account_id", "hour", "credential_id", "agent", "network", "reason"),
    {"calls": "+", "failed": "+", "first_at": "least", "last_at": "greatest"},
)
BY_ROUTE = Upsert(
    CallsByRoute,
    ("account_id", "day", "credential_id", "agent", "network", "method", "route"),
    {"calls": "+", "failed": "+"},
)


class Alike(NamedTuple):
    """Calls of somebody by columns, with all that roll-ups tell apart; one account's in the order of their times."""

    account: Sequence[int]
    credential: Sequence[str]
    agent: Sequence[str]
    network: Sequence[str]
    reason: Sequence[str]
    method: Sequence[str]
    route: Sequence[str]
    at: Sequence[int]  # microseconds since 1970
    failed: Sequence[bool]


NO_CALLS = Alike._make(repeat((), len(Alike._fields)))


class Counted(NamedTuple):
    """What calls add to the roll-ups: their rows."""

    by_caller: list[Row]
    by_route: list[Row]

    def store(self) -> None:
        """Raise them, in the calls' own transaction."""
        BY_CALLER.run(self.by_caller)
        BY_ROUTE.run(self.by_route)


class RollUps:
    """Counts. Remembers the routes of each caller, whose number a day is bounded."""

    def __init__(self) -> None:
        self._day = ""
        self._routes: dict[tuple[Any, ...], set[str]] = {}

    def count(self, batch: Batch) -> Counted:
        return self._count(_of_batch(batch))

    def add_rows(self, calls: Iterable[CallModel]) -> None:
        """Count calls that were not stored by the call writer: a demonstration's, and those of tests."""
        self._count(_of_rows(calls)).store()

    def add_failed(self, calls: Iterable[CallModel]) -> None:
        """Count calls as failed that were counted when they were accepted: their gateway told how they ended."""
        ended = _of_rows(calls)
        self._count(ended._replace(failed=[True] * len(ended.at)), anew=False).store()

    def _count(self, calls: Alike, *, anew: bool = True) -> Counted:
        """:param anew: they count as calls, not only as failed."""
        return Counted(_by_caller(calls, anew=anew), self._by_route(calls, anew=anew))

    def _by_route(self, calls: Alike, *, anew: bool) -> list[Row]:
        days = _periods(calls.at, DAY, _day)
        callers = zip(calls.account, days, calls.credential, calls.agent, calls.network, strict=True)
        keys = list(zip(callers, calls.method, calls.route, strict=True))
        failed = Counter(compress(keys, calls.failed))
        found: dict[Row, tuple[int, int]] = {}
        for key, number in Counter(keys).items():
            caller, method, route = key
            named = (*caller, method, self._bounded(caller, route))
            already, failed_already = found.get(named, (0, 0))
            found[named] = already + number * anew, failed_already + failed.get(key, 0)
        return [(*named, *numbers) for named, numbers in found.items()]

    def _bounded(self, caller: tuple[Any, ...], route: str) -> str:
        """:param caller: account, day, credential, agent, network."""
        if caller[1] != self._day or len(self._routes) > CALLERS_REMEMBERED:
            self._day, self._routes = caller[1], {}
        known = self._routes.setdefault(caller, set())
        if route not in known:
            if len(known) >= ROUTES_A_CALLER:
                return ""
            known.add(route)
        return route


class Recorder:
    """Puts batches into the log: rows, last uses, roll-ups."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self.cleaner = Cleaner(mask)
        self._table = CallTable()
        self._roll_ups = RollUps()

    def record(self, batch: Batch) -> None:
        """Put one there, in its own transaction. It is counted while the store takes its rows in."""
        with self._table.going_in(batch):
            counted = self._roll_ups.count(batch)
        store_last_uses(batch)
        counted.store()


def _by_caller(calls: Alike, *, anew: bool) -> list[Row]:
    hours = _periods(calls.at, HOUR, HOUR.__mul__)
    keys = list(zip(calls.account, hours, calls.credential, calls.agent, calls.network, calls.reason, strict=True))
    failed = Counter(compress(keys, calls.failed))
    last = dict(zip(keys, calls.at, strict=True))
    first = dict(zip(reversed(keys), reversed(calls.at), strict=True))
    return [(*key, number * anew, failed.get(key, 0), first[key], last[key]) for key, number in Counter(keys).items()]


def _periods(times: Sequence[int], length: int, name: Callable[[int], Period]) -> Iterable[Period]:
    """For each time, the name of the period of that length that it is in, by its number since 1970."""
    if not times:
        return ()
    number, last = min(times) // length, max(times) // length
    if number == last:  # nearly always
        return [name(number)] * len(times)
    names = {at: name(at) for at in range(number, last + 1)}
    return [names[at // length] for at in times]


def _of_batch(batch: Batch) -> Alike:
    batch = Batch._make(column[batch.who.count(NOBODY) :] for column in batch)  # nobody's calls are the first
    if not batch.who:
        return NO_CALLS
    accounts, _, credentials = zip(*batch.who, strict=True)
    agents, networks, _, _ = zip(*batch.caller, strict=True)
    return Alike(
        account=accounts,
        credential=credentials,
        agent=agents,
        network=networks,
        reason=batch.reason,
        method=batch.method,
        route=routes_of(batch.path),
        at=batch.at,
        failed=tuple(map(FAILED.__le__, batch.status)),
    )


def _of_rows(calls: Iterable[CallModel]) -> Alike:
    rows = [
        (one.account_id, one.credential_id.hex, one.agent, one.network, one.reason, one.method, route_of(one.path),
         round(one.at.timestamp() * MICROSECONDS), one.status >= FAILED)
        for one in sorted(calls, key=lambda one: one.at) if one.account_id and one.credential_id
    ]  # fmt: skip
    return Alike._make(zip(*rows, strict=True)) if rows else NO_CALLS


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).date().isoformat()
