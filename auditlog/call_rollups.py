"""Roll-ups of the call log: what pages ask for at each turn is counted once, in the transaction that stores the calls.

By hour: credential, caller and reason (`CallsByCaller`). By day: credential, caller, method and route (`CallsByRoute`).
Both are UTC's. A batch of thousands of calls raises a row for each of these that it has, not for each call.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from auditlog.call_kinds import FAILED, HOUR, Alike, by_kind
from auditlog.call_rows import MICROSECONDS, NO_CALLS, NOBODY, Batch, Cleaner
from auditlog.call_tables import CallTable, store_last_uses
from auditlog.callers import route_of
from auditlog.models import Call as CallModel
from auditlog.models import CallsByCaller, CallsByRoute
from auditlog.upserts import Prepared, Row, Upsert

HOURS_A_DAY = 24
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


class Counted(NamedTuple):
    """What calls add to the roll-ups."""

    by_caller: Prepared
    by_route: Prepared

    def store(self) -> None:
        """Raise them, in the calls' own transaction."""
        self.by_caller.run()
        self.by_route.run()


class RollUps:
    """Counts. Remembers the routes of each caller, whose number a day is bounded."""

    def __init__(self) -> None:
        self._day = ""
        self._routes: dict[tuple[Any, ...], set[str]] = {}

    def count(self, calls: Iterable[Alike], *, anew: bool = True) -> Counted:
        """:param anew: they count as calls, not only as failed."""
        somebodys = [one for one in calls if one.kind.who != NOBODY]
        return Counted(
            BY_CALLER.prepared(_by_caller(somebodys, anew=anew)),
            BY_ROUTE.prepared(self._by_route(somebodys, anew=anew)),
        )

    def add_rows(self, calls: Iterable[CallModel]) -> None:
        """Count calls that were not stored by the call writer: a demonstration's, and those of tests."""
        self.count(by_kind(_of_rows(calls))).store()

    def add_failed(self, calls: Iterable[CallModel]) -> None:
        """Count calls as failed that were counted when they were accepted: their gateway told how they ended."""
        ended = _of_rows(calls)
        self.count(by_kind(ended._replace(status=[FAILED] * len(ended.at))), anew=False).store()

    def _by_route(self, calls: Iterable[Alike], *, anew: bool) -> list[Row]:
        found: dict[Row, tuple[int, int]] = {}
        for kind, number, _, _ in calls:
            account, _, credential = kind.who
            agent, network, _, _ = kind.caller
            caller = (account, _day(kind.hour), credential, agent, network)
            named = (*caller, kind.method, self._bounded(caller, route_of(kind.path)))
            already, failed = found.get(named, (0, 0))
            found[named] = already + number * anew, failed + number * kind.failed
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

    def record(self, batch: Batch, *, meanwhile: Callable[[], None] = lambda: None) -> list[Alike]:
        """Put one there, in its own transaction; its calls by kind. They are counted while the store takes them in.

        :param meanwhile: what else is to be done while it does.
        """
        with self._table.going_in(batch):
            kinds = by_kind(batch)
            counted = self._roll_ups.count(kinds)
            meanwhile()
        store_last_uses(kinds)
        counted.store()
        return kinds


def _by_caller(calls: Iterable[Alike], *, anew: bool) -> list[Row]:
    found: dict[Row, tuple[int, int, int, int]] = {}
    for kind, number, first_at, last_at in calls:
        account, _, credential = kind.who
        agent, network, _, _ = kind.caller
        key = (account, kind.hour * HOUR, credential, agent, network, kind.reason)
        already, failed, first, last = found.get(key, (0, 0, first_at, last_at))
        found[key] = (
            already + number * anew, failed + number * kind.failed, min(first, first_at), max(last, last_at),
        )  # fmt: skip
    return [(*key, *numbers) for key, numbers in found.items()]


def _of_rows(calls: Iterable[CallModel]) -> Batch:
    """What is counted of calls, as a batch; of those that have a credential."""
    rows = [
        (
            (one.account_id, one.credential_kind, one.credential_id.hex), round(one.at.timestamp() * MICROSECONDS),
            one.method, one.path, one.status, one.duration_us, one.reason, (one.agent, one.network, "", None),
            one.request_id.int, None,
        )
        for one in sorted(calls, key=lambda one: one.at) if one.account_id and one.credential_id
    ]  # fmt: skip
    return Batch._make(zip(*rows, strict=True)) if rows else NO_CALLS


@lru_cache(maxsize=HOURS_A_DAY)
def _day(hour: int) -> str:
    return datetime.fromtimestamp(hour * 3_600, UTC).date().isoformat()
