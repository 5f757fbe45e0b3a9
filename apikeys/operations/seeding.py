"""Many accounts with a key each, for measurements."""

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.utils.crypto import get_random_string

from accounts import revisions
from accounts.actors import By
from accounts.models import Account
from apikeys import secrets
from apikeys.models import ApiKey
from auditlog import journal
from auditlog.actions import Action

UNLIMITED = 10**9  # counted like any other limit, and out of the way
BATCH = 5_000


def seed_keys(count: int, *, by: By, now: datetime) -> Iterator[str]:
    """Make accounts that measurements may load, and yield the secret of each one's key once it is committed."""
    for start in range(0, count, BATCH):
        yield from _seed_batch(min(BATCH, count - start), by=by, now=now)


@transaction.atomic
def _seed_batch(count: int, *, by: By, now: datetime) -> list[str]:
    series = get_random_string(8, "abcdefghijkmnpqrstuvwxyz23456789")
    accounts = Account.objects.bulk_create(_accounts(series, count, now=now))
    keys, issued = [], []
    for account in accounts:
        secret = secrets.generate(secrets.Kind.API_KEY)
        key = ApiKey(account=account, generation=1, created_at=now)
        key.keep(secret)
        keys.append(key)
        issued.append(secret)
    ApiKey.objects.bulk_create(keys)
    journal.record(Action.ACCOUNT_SEEDED, of=None, by=by, at=now, accounts=count, series=series)
    revisions.take(account=None, now=now)
    return issued


def _accounts(series: str, count: int, *, now: datetime) -> list[Account]:
    return [
        Account(
            number=number,
            name=f"Measurement {series} {n}",
            slug=f"measurement-{series}-{n}",
            burst_limit=UNLIMITED,
            daily_limit=UNLIMITED,
            created_at=now,
        )
        for n, number in enumerate(_new_numbers(count))
    ]


def _new_numbers(count: int) -> set[int]:
    """Among so many accounts two random numbers are often the same."""
    numbers: set[int] = set()
    while len(numbers) < count:
        more = {Account.new_number() for _ in range(count - len(numbers))}
        numbers |= more - set(Account.objects.filter(number__in=more).values_list("number", flat=True))
    return numbers
