"""What an account's calls of seven days came to, from the roll-ups: by day and hour, credential, caller, route.

Days and hours are those of the account's own time zone, as its daily limit has them. A zone that is half an hour off
has its half hours counted with the hour in which UTC's begins.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import F, Max, QuerySet, Sum

from auditlog.models import CallsByCaller, CallsByRoute, DailyUsage
from auditlog.usage import CALLS_KEPT_FOR

ERRORS_GUIDELINE = 5  # per cent of a day's calls
HOUR = timedelta(hours=1)
ROWS = 20  # of callers and of routes; the rest is counted together


@dataclass(slots=True)
class Part:
    """Some of the calls."""

    what: tuple[str, ...]
    calls: int = 0
    failed: int = 0  # answered with a status of 400 and above, refused ones included
    last_at: datetime | None = None

    @property
    def error_rate(self) -> float:
        """Per cent."""
        return 100 * self.failed / self.calls if self.calls else 0.0


@dataclass(slots=True)
class Hour:
    accepted: int = 0
    refused: int = 0

    @property
    def calls(self) -> int:
        return self.accepted + self.refused


@dataclass(slots=True)
class Day:
    """A day of the account, or what is left of the oldest one."""

    day: date
    hours: dict[int, Hour] = field(default_factory=lambda: {hour: Hour() for hour in range(24)})
    calls: int = 0
    failed: int = 0
    counted: int = 0  # toward the daily limit
    refused_for: Counter[str] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        return self.refused_for.total()

    @property
    def error_rate(self) -> float:
        """Per cent."""
        return 100 * self.failed / self.calls if self.calls else 0.0

    @property
    def busiest(self) -> tuple[int, int]:
        """The hour with the most calls, and how many."""
        hour, number = max(self.hours.items(), key=lambda item: item[1].calls)
        return hour, number.calls


@dataclass(frozen=True, slots=True)
class AccountUsage:
    days: list[Day]  # the newest first
    credentials: list[Part]
    callers: list[Part]
    routes: list[Part]

    @property
    def calls(self) -> int:
        return sum(day.calls for day in self.days)

    @property
    def most_in_an_hour(self) -> int:
        return max((day.busiest[1] for day in self.days), default=0)


def usage_of(account_id: int, *, zone: ZoneInfo, now: datetime) -> AccountUsage:
    since = now - CALLS_KEPT_FOR
    hours = CallsByCaller.objects.filter(
        account_id=account_id, hour__gte=since - timedelta(hours=1), last_at__gte=since
    )
    routes = CallsByRoute.objects.filter(account_id=account_id, day__gte=since.date())
    return AccountUsage(
        days=_days(account_id, hours, zone=zone, now=now),
        credentials=_parts(hours, "credential_id"),
        callers=_most(_parts(hours, "agent", "network")),
        routes=_most(_parts(routes, "method", "route")),
    )


def _days(account_id: int, hours: QuerySet[CallsByCaller], *, zone: ZoneInfo, now: datetime) -> list[Day]:
    today = now.astimezone(zone).date()
    days = {day: Day(day) for day in (today - timedelta(days=n) for n in range(CALLS_KEPT_FOR.days + 1))}
    summed = hours.values_list("hour", "reason").annotate(total=Sum("calls"), bad=Sum("failed"))
    for hour, reason, calls, failed in summed:
        local = hour.astimezone(zone)
        day = days.get(local.date())
        if day is None:
            continue
        day.calls += calls
        day.failed += failed
        if reason:
            day.refused_for[reason] += calls
            day.hours[local.hour].refused += calls
        else:
            day.hours[local.hour].accepted += calls
    for row in DailyUsage.objects.filter(account_id=account_id, day__in=days):
        days[row.day].counted = row.calls
    return list(days.values())


def _parts(rows: QuerySet[CallsByCaller] | QuerySet[CallsByRoute], *names: str) -> list[Part]:
    """The busiest first."""
    summed = rows.values_list(*names).annotate(total=Sum("calls"), bad=Sum("failed"))
    if rows.model is CallsByCaller:
        summed = summed.annotate(last=Max("last_at"))
    parts = []
    for row in summed.order_by(F("total").desc(), *names):
        what, (calls, failed, *last) = row[: len(names)], row[len(names) :]
        parts.append(Part(tuple(map(_text, what)), calls, failed, last[0] if last else None))
    return parts


def _text(value: str | UUID) -> str:
    return str(value)


def _most(parts: Sequence[Part]) -> list[Part]:
    """The busiest, and all others together as one of no name."""
    shown, others = list(parts[:ROWS]), parts[ROWS:]
    if others:
        shown.append(Part((), sum(part.calls for part in others), sum(part.failed for part in others)))
    return shown
