"""Who uses a credential, read from the call log: callers, told apart by product token and network."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.db.models import Count, F, Max, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from auditlog.models import Call

CALLS_KEPT_FOR = timedelta(days=7)
MOST_ROUTES = 1000  # rows read to name the routes of all callers; the rarest beyond them go unnamed
ROUTES_NAMED = 3
NUMBER_IN_PATH = re.compile(r"(?<=/)(?:\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27})(?=/|$)")


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
    def of(cls, *, all_routes: list[str], **facts: Any) -> Self:
        named, unnamed = all_routes[:ROUTES_NAMED], all_routes[ROUTES_NAMED:]
        return cls(**facts, routes=named, more_routes=len(unnamed))


@dataclass(frozen=True, slots=True)
class Tally:
    accepted: int
    refused: int


def calls_of(account_id: int, *, now: datetime) -> QuerySet[Call]:
    """An account's calls as far back as the log may be read (G9)."""
    return Call.objects.filter(account_id=account_id, at__gte=now - CALLS_KEPT_FOR)


def callers(calls: QuerySet[Call]) -> list[Caller]:
    """Who made these calls, the busiest first."""
    found = list(
        calls.values("agent", "network")
        .annotate(calls=Count("id"), refused=Count("id", filter=~Q(reason="")), last_at=Max("at"))
        .order_by("-calls", "agent", "network")
    )
    routes = _routes(calls) if found else {}
    return [Caller.of(**row, all_routes=routes.get((row["agent"], row["network"]), [])) for row in found]


def still_presenting(
    credential_id: UUID, *, since: datetime, successor_id: UUID | None, account_id: int, now: datetime
) -> list[Caller]:
    """Callers that presented an ended credential and have not been accepted with its successor since."""
    calls = calls_of(account_id, now=now)
    moved = {}
    if successor_id is not None:
        accepted = calls.filter(credential_id=successor_id, reason="").values("agent", "network")
        moved = {(row["agent"], row["network"]): row["last"] for row in accepted.annotate(last=Max("at"))}
    presenting = callers(calls.filter(credential_id=credential_id, at__gte=since))
    return [
        one
        for one in presenting
        if (one.agent, one.network) not in moved or moved[one.agent, one.network] < one.last_at
    ]


def tally(calls: QuerySet[Call]) -> Tally:
    found = calls.aggregate(accepted=Count("id", filter=Q(reason="")), refused=Count("id", filter=~Q(reason="")))
    return Tally(**found)


def _routes(calls: QuerySet[Call]) -> dict[tuple[str, str], list[str]]:
    # The most frequent path of each caller first, then each one's second: no busy caller leaves another without routes.
    place = Window(RowNumber(), partition_by=["agent", "network"], order_by=F("calls").desc())
    counted = calls.values("agent", "network", "method", "path").annotate(calls=Count("id")).annotate(place=place)
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in counted.order_by("place", "-calls")[:MOST_ROUTES]:
        route = f"{row['method']} {NUMBER_IN_PATH.sub('{id}', row['path'])}"
        counts[row["agent"], row["network"]][route] += row["calls"]
    return {caller: _by_frequency(of_caller.items()) for caller, of_caller in counts.items()}


def _by_frequency(counts: Iterable[tuple[str, int]]) -> list[str]:
    return [route for route, _ in sorted(counts, key=lambda item: (-item[1], item[0]))]
