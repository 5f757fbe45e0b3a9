"""One installation's part of `./portal bench reminders`: `python -m benchmarks.scan seed|measure ACCOUNTS DUE`.

Prints one JSON object. DATA_DIR, DATABASE_URL and the secrets are in the environment.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keyportal.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402 -- the settings can be read only now
from django.utils import timezone  # noqa: E402 -- likewise

from accounts import sending  # noqa: E402 -- likewise
from accounts.models import Account, Member, Notice, OutgoingMail, User  # noqa: E402 -- likewise
from accounts.permissions import Role  # noqa: E402 -- likewise
from apikeys.models import ApiKey  # noqa: E402 -- likewise
from apikeys.models.api_key import ROTATE_AFTER  # noqa: E402 -- likewise
from apikeys.operations import reminders  # noqa: E402 -- likewise

BATCH = 5_000
SENT = 500  # mails, to see how fast they are written
FRESH_FOR = timedelta(days=170)


def seed(accounts: int, due: int) -> dict[str, Any]:
    """Accounts with a key and a super admin each. Those that are due have a second one, and the oldest keys."""
    began, now = time.monotonic(), timezone.now()
    for first in range(0, accounts, BATCH):
        with transaction.atomic():
            _seed(range(first, min(first + BATCH, accounts)), accounts=accounts, due=due, now=now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return {"seconds": time.monotonic() - began}


def _seed(numbers: range, *, accounts: int, due: int, now: datetime) -> None:
    every = accounts // due
    made = Account.objects.bulk_create(
        Account(number=10**9 + n, name=f"Measurement {n}", slug=f"measurement-{n}") for n in numbers
    )
    places = [(account, n, 0) for account, n in zip(made, numbers, strict=True)]
    places += [(account, n, 1) for account, n, _ in places if n % every == 0]
    people = User.objects.bulk_create(User(email=f"person{n}-{second}@bench.example") for _, n, second in places)
    members = Member.objects.bulk_create(
        Member(account=account, user=user, role=Role.SUPER_ADMIN)
        for (account, _, _), user in zip(places, people, strict=True)
    )
    ApiKey.objects.bulk_create(
        ApiKey(
            account=account,
            generation=1,
            digest=os.urandom(32),
            sealed_secret=b"",
            sealed_with="bench",
            last4="0000",
            created_at=now - (ROTATE_AFTER + timedelta(days=20) if n % every == 0 else FRESH_FOR * (n / accounts)),
            created_by=member,
        )
        for account, n, member in zip(made, numbers, members, strict=False)
    )


def measure(accounts: int, due: int) -> dict[str, Any]:
    """Two scans, the second of which finds everybody told; then some of the mails."""
    Notice.objects.all().delete()
    OutgoingMail.objects.all().delete()
    now = timezone.now()
    reminders.remind(now=now - timedelta(days=365))  # nothing is due: connections and caches are warm
    before = _peak()
    told, first = _timed(lambda: reminders.remind(now=now))
    after = _peak()
    again, second = _timed(lambda: reminders.remind(now=now))
    if (told, again) != (2 * due, 0):
        raise SystemExit(f"{told} were told, then {again}; {2 * due} and 0 should have been.")
    sent, third = _timed(lambda: sum(sending.send_next(now=now) for _ in range(SENT)))
    return {
        "accounts": accounts,
        "told": told,
        "first": first,
        "second": second,
        "grew": after - before,
        "mails_a_second": sent / third,
        "plan": _plan(now=now),
    }


def _plan(*, now: datetime) -> str:
    """How the store finds the next keys to look at."""
    first = reminders.next_old(now=now, after=None)
    return reminders.next_old(now=now, after=list(first)[-1]).explain()


def _timed(run: Callable[[], int]) -> tuple[int, float]:
    began = time.monotonic()
    return run(), time.monotonic() - began


def _peak() -> float:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


if __name__ == "__main__":
    what = {"seed": seed, "measure": measure}[sys.argv[1]]
    print(json.dumps(what(*map(int, sys.argv[2:]))))  # noqa: T201 -- read by its parent
