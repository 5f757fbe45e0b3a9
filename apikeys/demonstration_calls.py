"""A week of calls for the demonstration, by callers as they are: bots by the clock, people by the working day."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from accounts.models import Account
from apikeys.gate.reasons import STATUS, Reason
from apikeys.models import ApiKey
from auditlog import partitions
from auditlog.call_rollups import RollUps
from auditlog.models import Call, DailyUsage, LastUse
from auditlog.usage import CALLS_KEPT_FOR

Route = tuple[int, str, str, int]  # weight, method, path, status; "#" stands for a number

ROUND_THE_CLOCK = range(24)
OFFICE_HOURS = range(8, 19)
SATURDAY = 5


@dataclass(frozen=True)
class Habit:
    """How one caller calls, by the account's own clock."""

    agent: str  # its product token
    user_agent: str
    network: str
    addresses: list[str]
    hours: range
    calls_an_hour: int
    routes: list[Route]
    weekends: bool = True


BILLING = Habit(
    agent="acme-billing-sync",
    user_agent="acme-billing-sync/2.3.1 (+https://acme.example/engineering)",
    network="192.0.2.0/24",
    addresses=["192.0.2.17", "192.0.2.18"],
    hours=ROUND_THE_CLOCK,
    calls_an_hour=9,
    routes=[
        (50, "GET", "/crm/v3/objects/deals", 200),
        (30, "GET", "/crm/v3/objects/companies/#", 200),
        (15, "PATCH", "/crm/v3/objects/deals/#", 200),
        (3, "GET", "/crm/v3/objects/companies/#", 404),
        (2, "PATCH", "/crm/v3/objects/deals/#", 409),
    ],
)
SALESFORCE = Habit(
    agent="SFDC-Callout",
    user_agent="SFDC-Callout/62.0",
    network="203.0.113.0/24",
    addresses=["203.0.113.40", "203.0.113.41", "203.0.113.44"],
    hours=OFFICE_HOURS,
    calls_an_hour=14,
    routes=[
        (60, "POST", "/crm/v3/objects/contacts/batch/read", 200),
        (25, "GET", "/crm/v3/objects/contacts/#", 200),
        (10, "PATCH", "/crm/v3/objects/contacts/#", 200),
        (5, "GET", "/crm/v3/objects/contacts/#", 404),
    ],
    weekends=False,
)
ZAPIER = Habit(
    agent="Zapier",
    user_agent="Zapier",
    network="198.51.100.0/24",
    addresses=["198.51.100.21", "198.51.100.37", "198.51.100.90"],
    hours=range(6, 23),
    calls_an_hour=5,
    routes=[
        (70, "POST", "/crm/v3/objects/contacts", 201),
        (25, "GET", "/crm/v3/objects/contacts/#", 200),
        (5, "POST", "/crm/v3/objects/contacts", 400),
    ],
)
EXPORT = Habit(
    agent="python-requests",
    user_agent="python-requests/2.31.0",
    network="2001:db8:a4c::/48",
    addresses=["2001:db8:a4c::1d"],
    hours=range(2, 3),
    calls_an_hour=72,
    routes=[(90, "GET", "/crm/v3/objects/contacts", 200), (10, "GET", "/email/public/v1/events", 200)],
)
EXPORT_TOO_FAST = Habit(  # the same script on its second page of events: faster than the plan allows
    agent=EXPORT.agent,
    user_agent=EXPORT.user_agent,
    network=EXPORT.network,
    addresses=EXPORT.addresses,
    hours=EXPORT.hours,
    calls_an_hour=6,
    routes=[(1, "GET", "/email/public/v1/events", 429)],
)
FORGOTTEN = Habit(  # nobody gave this one the new key
    agent="Faraday",
    user_agent="Faraday v2.9.0",
    network="203.0.113.0/24",
    addresses=["203.0.113.140"],
    hours=range(7, 20, 6),
    calls_an_hour=1,
    routes=[(1, "GET", "/contacts/v1/lists/all/contacts/all", 401)],
)
REPORTS = Habit(
    agent="initech-reports",
    user_agent="initech-reports/1.4 (Java/17.0.9)",
    network="192.0.2.0/24",
    addresses=["192.0.2.201"],
    hours=OFFICE_HOURS,
    calls_an_hour=4,
    routes=[(80, "GET", "/crm/v3/objects/tickets", 200), (20, "GET", "/crm/v3/objects/tickets/#", 200)],
)
CRON = Habit(
    agent="curl",
    user_agent="curl/8.5.0",
    network="198.51.100.0/24",
    addresses=["198.51.100.77"],
    hours=range(0, 24, 3),
    calls_an_hour=1,
    routes=[(1, "GET", "/integrations/v1/limit/daily", 200)],
)


def make_acme(account: Account, *, old: ApiKey, key: ApiKey, now: datetime) -> None:
    calls = [call for habit in (BILLING, SALESFORCE, ZAPIER, EXPORT) for call in _calls(account, key, habit, now)]
    calls += _refused(_calls(account, key, EXPORT_TOO_FAST, now), Reason.BURST_LIMIT)
    calls += _refused(_calls(account, old, FORGOTTEN, now), Reason.ROTATED)
    _keep(account, calls, now=now)
    _used(old, at=key.created_at - timedelta(minutes=4))
    _used(key, at=max(call.at for call in calls if not call.reason))


def make_initech(account: Account, *, key: ApiKey, now: datetime) -> None:
    """Accepted until the key was deactivated, refused since."""
    ended_at = key.deactivated_at or now
    calls = [call for habit in (REPORTS, CRON) for call in _calls(account, key, habit, now)]
    _refused((call for call in calls if call.at >= ended_at), Reason.DEACTIVATED)
    _keep(account, calls, now=now)
    _used(key, at=max(call.at for call in calls if not call.reason))


def _calls(account: Account, key: ApiKey, habit: Habit, now: datetime) -> Iterator[Call]:
    chance = random.Random(f"{account.slug} {habit.user_agent} {habit.routes[0]}")  # noqa: S311 -- the same story each time
    for at in _moments(habit, chance, now.astimezone(account.zone)):
        _, method, path, status = chance.choices(habit.routes, [route[0] for route in habit.routes])[0]
        yield Call(
            account_id=account.pk,
            at=at,
            method=method,
            path=path.replace("#", str(chance.randint(10_000, 99_999))),
            status=status,
            duration_us=round(chance.lognormvariate(11, 0.5)),
            credential_kind="api_key",
            credential_id=key.pk,
            agent=habit.agent,
            network=habit.network,
            user_agent=habit.user_agent,
            address=chance.choice(habit.addresses),
            request_id=UUID(int=chance.getrandbits(128), version=4),
        )


def _moments(habit: Habit, chance: random.Random, now: datetime) -> Iterator[datetime]:
    """The times of its calls within the last seven days."""
    oldest = now - CALLS_KEPT_FOR
    for day in range(8):
        midnight = (now - timedelta(days=day)).replace(hour=0, minute=0, second=0, microsecond=0)
        if midnight.weekday() >= SATURDAY and not habit.weekends:
            continue
        for hour in habit.hours:
            for _ in range(habit.calls_an_hour):
                at = midnight + timedelta(hours=hour, seconds=chance.uniform(0, 3600))
                if oldest < at < now:
                    yield at


def _refused(calls: Iterator[Call], reason: Reason) -> list[Call]:
    """Turned away at the gate, which knows no duration."""
    refused = list(calls)
    for call in refused:
        call.reason, call.status, call.duration_us = reason, STATUS[reason], None
    return refused


def _keep(account: Account, calls: list[Call], *, now: datetime) -> None:
    partitions.make(now - CALLS_KEPT_FOR, now)
    Call.objects.bulk_create(sorted(calls, key=lambda call: call.at))
    RollUps().add_rows(calls)
    days = Counter(call.at.astimezone(account.zone).date() for call in calls if not call.reason)
    DailyUsage.objects.bulk_create(
        DailyUsage(account_id=account.pk, day=day, calls=number) for day, number in sorted(days.items())
    )


def _used(key: ApiKey, *, at: datetime) -> None:
    LastUse.objects.create(credential_id=key.pk, at=at)
