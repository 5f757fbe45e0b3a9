"""Roll-ups of the call log: what pages ask for at each turn is counted once, in the transaction that stores the calls.

By hour: credential, caller and reason (`CallsByCaller`). By day: credential, caller, method and route (`CallsByRoute`).
Both are UTC's. A batch of thousands of calls raises a row for each of these that it has, not for each call.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from time import gmtime, strftime
from typing import Any

from django.db import connection

from auditlog.call_rows import Call, Cleaner, store_calls, store_last_uses, timestamps
from auditlog.callers import route_of
from auditlog.models import Call as CallModel
from auditlog.models import CallsByCaller, CallsByRoute
from auditlog.upserts import Upsert

HOUR, DAY = 3_600, 86_400  # seconds
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

# Account, hour, credential, agent, network, reason, method, route: all that roll-ups tell apart
Alike = tuple[int, int, str, str, str, str, str, str]
Count = tuple[int, int, float, float]  # calls, failed ones, when the first and the last was


class RollUps:
    """Raises the roll-ups. Remembers the routes of each caller, whose number a day is bounded."""

    def __init__(self) -> None:
        self._day = 0
        self._routes: dict[tuple[Any, ...], set[str]] = {}

    def add(self, cleaner: Cleaner, calls: Iterable[Call]) -> None:
        """Count a batch, in its own transaction."""
        counted = _counted(cleaner, calls).items()
        self._raise(
            (
                (who[0], hour, who[2], *cleaner.caller(user_agent, address)[:2], reason, cleaner.method(method), route),
                (calls, calls if failed else 0, first, last),
            )
            for (who, method, route, user_agent, address, reason, failed, hour), (calls, first, last) in counted
        )

    def add_rows(self, calls: Iterable[CallModel]) -> None:
        """Count calls that were not stored by the call writer: a demonstration's, and those of tests."""
        for one in calls:
            at = one.at.timestamp()
            self._raise((alike, (1, int(one.status >= FAILED), at, at)) for alike in _alike(one))

    def add_failed(self, calls: Iterable[CallModel]) -> None:
        """Count calls as failed that were counted when they were accepted: their gateway told how they ended."""
        ended = [(one, one.at.timestamp()) for one in calls]
        self._raise((alike, (0, 1, at, at)) for one, at in ended for alike in _alike(one))

    def _raise(self, alike: Iterable[tuple[Alike, Count]]) -> None:
        by_caller: dict[tuple[Any, ...], Count] = {}
        by_route: dict[tuple[Any, ...], Count] = {}
        for (account, hour, credential, agent, network, reason, method, route), count in alike:
            day = hour // 24
            named = self._bounded((account, credential, agent, network), day, route)
            _add(by_caller, (account, hour, credential, agent, network, reason), count)
            _add(by_route, (account, day, credential, agent, network, method, named), count)
        text = timestamps()
        BY_CALLER.run(
            [
                (account, _hour(hour), *who, calls, failed, text(first), text(last))
                for (account, hour, *who), (calls, failed, first, last) in by_caller.items()
            ]
        )
        BY_ROUTE.run([(account, _day(day), *what, *count[:2]) for (account, day, *what), count in by_route.items()])

    def _bounded(self, caller: tuple[Any, ...], day: int, route: str) -> str:
        if day != self._day or len(self._routes) > CALLERS_REMEMBERED:
            self._day, self._routes = day, {}
        known = self._routes.setdefault(caller, set())
        if route not in known:
            if len(known) >= ROUTES_A_CALLER:
                return ""
            known.add(route)
        return route


def _alike(one: CallModel) -> Iterator[Alike]:
    """What a stored call is counted under; nothing for one of nobody."""
    if one.account_id is not None and one.credential_id is not None:
        who = (one.credential_id.hex, one.agent, one.network, one.reason)
        yield (one.account_id, int(one.at.timestamp()) // HOUR, *who, one.method, route_of(one.path))


class Recorder:
    """Puts batches into the log: rows, last uses, roll-ups."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self.cleaner = Cleaner(mask)
        self._roll_ups = RollUps()

    def record(self, calls: list[Call]) -> None:
        """Put one batch there, in its own transaction. Sorts `calls` by account: neighbours in the index."""
        calls.sort(key=_account)
        store_calls(self.cleaner, calls)
        store_last_uses(calls)
        self._roll_ups.add(self.cleaner, calls)


def _account(call: Call) -> int:
    return call[0][0] or 0


def _counted(cleaner: Cleaner, calls: Iterable[Call]) -> Mapping[tuple[Any, ...], list[Any]]:
    """How many calls are alike, and when the first and the last of them was; those of nobody are left out."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    route_of = cleaner.route
    for who, at, method, path, status, _, reason, user_agent, address, _, _ in calls:
        if who[2] is None:
            continue
        key = (who, method, route_of(path), user_agent, address, reason, status >= FAILED, int(at) // HOUR)
        seen = found.get(key)
        if seen is None:
            found[key] = [1, at, at]
        else:
            seen[0] += 1
            if at > seen[2]:
                seen[2] = at
            elif at < seen[1]:
                seen[1] = at
    return found


def _add(counts: dict[tuple[Any, ...], Count], key: tuple[Any, ...], more: Count) -> None:
    kept = counts.get(key)
    if kept is not None:
        more = (kept[0] + more[0], kept[1] + more[1], min(kept[2], more[2]), max(kept[3], more[3]))
    counts[key] = more


def _hour(number: int) -> str:
    zone = "+00" if connection.vendor == "postgresql" else ""
    return strftime("%Y-%m-%d %H:%M:%S", gmtime(number * HOUR)) + zone


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY, UTC).date().isoformat()
