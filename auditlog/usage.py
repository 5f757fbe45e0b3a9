"""Who uses a credential, read from the roll-ups of the call log: callers, told apart by product token and network.

Roll-ups count by the hour. What is asked about the last seven days counts the hour in which they begin whole, if one of
its calls is young enough: nobody who would break is left out. What is asked since an instant is exact to the call.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self
from uuid import UUID

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Sum

from auditlog.models import Call, CallsByCaller, CallsByRoute

CALLS_KEPT_FOR = timedelta(days=7)
CLOCKS_DIFFER_BY = timedelta(days=1)  # at most; fewer days than partitions are made ahead
ROUTES_NAMED = 3
ROUNDED = timedelta(microseconds=2)  # what roll-ups may be off by


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller of a credential, with what it did in the time that was asked about."""

    agent: str  # product token of the user agent; empty: none sent
    network: str  # /24 or /48
    calls: int
    refused: int
    last_at: datetime
    routes: list[str]  # the most frequent, as "GET /contacts/{id}"
    more_routes: int

    @classmethod
    def of(cls, facts: tuple[str, str, int, int, datetime], *, all_routes: list[str]) -> Self:
        """:param facts: from `agent` to `last_at`."""
        return cls(*facts, all_routes[:ROUTES_NAMED], len(all_routes[ROUTES_NAMED:]))


@dataclass(frozen=True, slots=True)
class Tally:
    accepted: int
    refused: int


class _Presented(NamedTuple):
    """How often one caller presented a credential, with one outcome, since an instant."""

    agent: str
    network: str
    reason: str
    calls: int
    last_at: datetime


def calls_of(account_id: int, *, now: datetime) -> QuerySet[Call]:
    """An account's calls as far back as the log may be read (G9).

    And no further ahead than clocks differ: with both ends PostgreSQL reads the newest from the newest day's index and
    leaves the other days alone; with one it would sort all calls of a day that it has no statistics of yet.
    """
    return Call.objects.filter(account_id=account_id, at__gte=now - CALLS_KEPT_FOR, at__lt=now + CLOCKS_DIFFER_BY)


def callers(credential_id: UUID, *, account_id: int, now: datetime) -> list[Caller]:
    """Who presented this credential in the last seven days, the busiest first."""
    found = list(
        _hours(credential_id, account_id=account_id, since=now - CALLS_KEPT_FOR)
        .values("agent", "network")
        .annotate(total=Sum("calls"), refused=Sum("calls", filter=~Q(reason=""), default=0), last=Max("last_at"))
        .order_by("-total", "agent", "network")
        .values_list("agent", "network", "total", "refused", "last")
    )
    routes = _routes(credential_id, account_id=account_id, since=now - CALLS_KEPT_FOR) if found else {}
    return [Caller.of(facts, all_routes=routes.get(facts[:2], [])) for facts in found]


def was_presented(*, now: datetime) -> Exists:
    """For rows with `account_id` and `id`: whether this credential was presented in the last seven days."""
    since = now - CALLS_KEPT_FOR
    of_account = CallsByCaller.objects.filter(account_id=OuterRef("account_id"), hour__gte=_hour_of(since))
    return Exists(of_account.filter(credential_id=OuterRef("id"), last_at__gte=since))


def callers_of_many(accounts: Mapping[UUID, int], *, now: datetime) -> dict[UUID, list[Caller]]:
    """`callers` of many credentials, without their routes.

    :param accounts: the account of each credential.
    """
    since = now - CALLS_KEPT_FOR
    hours = CallsByCaller.objects.filter(account_id__in=set(accounts.values()), hour__gte=_hour_of(since))
    counted = (
        hours.filter(credential_id__in=list(accounts), last_at__gte=since)
        .values("credential_id", "agent", "network")
        .annotate(total=Sum("calls"), refused=Sum("calls", filter=~Q(reason=""), default=0), last=Max("last_at"))
        .order_by("-total", "agent", "network")
        .values_list("credential_id", "agent", "network", "total", "refused", "last")
    )
    found: dict[UUID, list[Caller]] = {credential_id: [] for credential_id in accounts}
    for credential_id, *facts in counted:
        found[credential_id].append(Caller.of((facts[0], facts[1], facts[2], facts[3], facts[4]), all_routes=[]))
    return found


def still_presenting(
    credential_id: UUID, *, since: datetime, successor_id: UUID | None, account_id: int, now: datetime
) -> list[Caller]:
    """Callers that presented an ended credential and have not been accepted with its successor since.

    Their routes are those of the whole days: what a caller used on the day that the credential ended is named, too.
    """
    since = max(since, now - CALLS_KEPT_FOR)
    moved: dict[tuple[str, str], datetime] = {}
    if successor_id is not None:
        accepted = _hours(successor_id, account_id=account_id, since=now - CALLS_KEPT_FOR).filter(reason="")
        latest = accepted.values_list("agent", "network").annotate(last=Max("last_at"))
        moved = {(agent, network): last for agent, network, last in latest}
    presenting: dict[tuple[str, str], list[_Presented]] = defaultdict(list)
    for one in _presented(credential_id, account_id=account_id, since=since):
        presenting[one.agent, one.network].append(one)
    routes = _routes(credential_id, account_id=account_id, since=since) if presenting else {}
    found = [
        Caller.of(
            (
                *caller,
                sum(one.calls for one in theirs),
                sum(one.calls for one in theirs if one.reason),
                max(one.last_at for one in theirs),
            ),
            all_routes=routes.get(caller, []),
        )
        for caller, theirs in presenting.items()
    ]
    found.sort(key=lambda one: (-one.calls, one.agent, one.network))
    return [
        one for one in found if (one.agent, one.network) not in moved or moved[one.agent, one.network] < one.last_at
    ]


def tally(credential_id: UUID, *, account_id: int, since: datetime, now: datetime) -> Tally:
    """Calls with this credential from an instant on, to the call."""
    found = _presented(credential_id, account_id=account_id, since=max(since, now - CALLS_KEPT_FOR))
    refused = sum(one.calls for one in found if one.reason)
    return Tally(accepted=sum(one.calls for one in found) - refused, refused=refused)


# --- From the roll-ups --------------------------------------------------------------------------------------------
def _hours(credential_id: UUID, *, account_id: int, since: datetime) -> QuerySet[CallsByCaller]:
    """The hours of a credential in which a call came since then."""
    hours = CallsByCaller.objects.filter(account_id=account_id, hour__gte=_hour_of(since), credential_id=credential_id)
    return hours.filter(last_at__gte=since)


def _presented(credential_id: UUID, *, account_id: int, since: datetime) -> list[_Presented]:
    """Exact to the call: an hour that began before `since` counts with the calls that came after it.

    Those are counted in the log itself, on whichever side of `since` there is less to read. Around the end of a
    credential that is about a second's: calls with it were accepted until then, and refused from then on.
    """
    hours = _hours(credential_id, account_id=account_id, since=since)
    calls = Call.objects.filter(account_id=account_id, credential_id=credential_id)
    presented: list[_Presented] = []
    split: dict[str, list[CallsByCaller]] = defaultdict(list)
    for row in hours:
        if row.first_at >= since:
            presented.append(_Presented(row.agent, row.network, row.reason, row.calls, row.last_at))
        else:
            split[row.reason].append(row)
    for reason, rows in split.items():
        first, last = min(row.first_at for row in rows), max(row.last_at for row in rows)
        before = since - first < last - since
        first, last = max(first - ROUNDED, _hour_of(since)), last + ROUNDED
        of_side = calls.filter(at__gte=first, at__lt=since) if before else calls.filter(at__gte=since, at__lt=last)
        counted = of_side.filter(reason=reason).values_list("agent", "network").annotate(number=Count("id"))
        numbers = {(agent, network): number for agent, network, number in counted}
        for row in rows:
            number = numbers.get((row.agent, row.network), 0)
            number = row.calls - number if before else number
            presented.append(_Presented(row.agent, row.network, reason, number, row.last_at))
    return [one for one in presented if one.calls > 0]


def _routes(credential_id: UUID, *, account_id: int, since: datetime) -> dict[tuple[str, str], list[str]]:
    """Each caller's routes since that day, the most frequent first."""
    first = since.astimezone(UTC).date()
    days = CallsByRoute.objects.filter(account_id=account_id, day__gte=first, credential_id=credential_id)
    used = days.exclude(route="").values_list("agent", "network", "method", "route")
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for agent, network, method, route, calls in used.annotate(total=Sum("calls")):
        counts[agent, network][f"{method} {route}"] += calls
    return {caller: _by_frequency(of_caller.items()) for caller, of_caller in counts.items()}


def _by_frequency(counts: Iterable[tuple[str, int]]) -> list[str]:
    return [route for route, _ in sorted(counts, key=lambda item: (-item[1], item[0]))]


def _hour_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
