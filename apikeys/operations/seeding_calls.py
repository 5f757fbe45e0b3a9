"""Many calls over the last days, for measurements: some accounts are called far more often than others."""

import random
import secrets as entropy
from bisect import bisect
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import accumulate, islice
from zoneinfo import ZoneInfo

from django.db import transaction

from accounts.actors import By
from apikeys import secrets
from apikeys.gate.limits import day_of
from apikeys.gate.reasons import STATUS, Reason
from apikeys.models import ApiKey
from auditlog import journal, partitions
from auditlog.actions import Action
from auditlog.call_rollups import Recorder
from auditlog.call_rows import Call, Who
from auditlog.call_tables import raise_usage

BATCH = 20_000
MOST_ACCOUNTS = 1_000
SEED = 20  # the same calls each time
AGENTS = [b"python-requests/2.32.3", b"hubspot-api-nodejs/11.2.0", b"curl/8.5.0", b"Go-http-client/2.0"]
OBJECTS = [b"contacts", b"companies", b"deals", b"tickets", b"products", b"quotes"]
METHODS = [b"GET"] * 6 + [b"POST"] * 2 + [b"PATCH", b"DELETE"]
OUTCOMES = (
    [(200, "")] * 94 + [(404, "")] * 3 + [(500, "")] + [(STATUS[Reason.BURST_LIMIT], Reason.BURST_LIMIT.value)] * 2
)


class NoKeysError(Exception):
    """There is no account with an active key that could be called."""


def seed_calls(count: int, *, days: int, by: By, now: datetime, progress: Callable[[int], None]) -> None:
    """Store calls spread evenly over the last days; the n-th account gets 1/n of what the first one gets.

    :raises NoKeysError: as it says.
    """
    since = now - timedelta(days=days)
    partitions.make(since, now)
    recorder, calls = Recorder(secrets.mask), _calls(count, since=since, now=now)
    for start in range(0, count, BATCH):
        batch = recorder.cleaner.batch(islice(calls, BATCH))
        with transaction.atomic():
            raise_usage(recorder.record(batch))
        progress(start + len(batch.who))
    with transaction.atomic():
        journal.record(Action.CALLS_SEEDED, of=None, by=by, at=now, calls=count, days=days)


def _calls(count: int, *, since: datetime, now: datetime) -> Iterator[Call]:
    callees, weights = _callees()
    chance = random.Random(SEED)  # noqa: S311 -- figures, no secrets
    choose = chance.random
    first, step = since.timestamp(), (now - since).total_seconds() / count
    request_ids = entropy.randbits(80) << 48
    days: dict[int, tuple[str, float]] = {}
    for number in range(count):
        at = first + number * step
        who, zone = callees[bisect(weights, choose() * weights[-1])]
        day, ends = days.get(who[0] or 0, ("", 0.0))
        if at >= ends:
            date, ends = day_of(at, zone)
            day = date.isoformat()
            days[who[0] or 0] = day, ends
        status, reason = OUTCOMES[int(choose() * 100)]
        agent = int(choose() * 4)
        path = b"/crm/v3/objects/%s/%d" % (OBJECTS[int(choose() * 6)], int(choose() * 100_000))
        duration = None if reason else int(200 + 5_000 * choose() ** 3)
        yield (
            who, at, METHODS[int(choose() * 10)], path, status, duration, reason, AGENTS[agent],
            f"203.0.{agent}.{number % 250}", request_ids + number, None if reason else day,
        )  # fmt: skip


def _callees() -> tuple[list[tuple[Who, ZoneInfo]], list[float]]:
    """Who may be called, the busiest first, and the sum of the weights up to each."""
    keys = ApiKey.objects.active().select_related("account").order_by("account_id")[:MOST_ACCOUNTS]
    callees: list[tuple[Who, ZoneInfo]] = [
        ((key.account_id, secrets.Kind.API_KEY.value, key.id.hex), key.account.zone) for key in keys
    ]
    if not callees:
        raise NoKeysError
    return callees, list(accumulate(1 / rank for rank in range(1, len(callees) + 1)))
