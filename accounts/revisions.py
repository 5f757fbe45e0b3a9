"""Every change to what a gate may keep takes the next revision, in the transaction of the change (G1).

The proof that a wait of SETTLE_SECONDS after commit suffices stands in `apikeys.gate`.
"""

import secrets
import time
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Max

from accounts.models import Account, Change

LEASE_SECONDS = 1.0  # L: what a gate kept counts for so long after it last knew that nothing had changed
CLOCK_RATE_ERROR = 0.05  # rho: how far the rates of two machines' clocks may differ
SETTLE_SECONDS = LEASE_SECONDS * (1 + CLOCK_RATE_ERROR) / (1 - CLOCK_RATE_ERROR)  # W

CHANGES_KEPT_FOR = timedelta(days=1)  # a gate that was away for longer drops all that it kept

_TAKE = """
    INSERT INTO accounts_revision (id, number) VALUES (1, 1)
    ON CONFLICT (id) DO UPDATE SET number = accounts_revision.number + 1
    RETURNING number
"""


def take(*, account: Account | None, now: datetime) -> int:
    """Number this transaction's change; to be called last, since the lock is held until commit.

    :param account: whose things changed; None for a change that concerns every account.
    :raises RuntimeError: outside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("A revision must share the transaction of its change.")
    with connection.cursor() as cursor:
        cursor.execute(_TAKE)
        number: int = cursor.fetchone()[0]
    Change.objects.create(
        revision=number, mark=secrets.randbits(63), account_id=account.pk if account else None, at=now
    )
    return number


def prune(*, now: datetime) -> int:
    """Delete changes older than a day, but for the newest, by which gates know the database; how many those were."""
    newest = Change.objects.aggregate(newest=Max("revision"))["newest"]
    removed, _ = Change.objects.filter(at__lt=now - CHANGES_KEPT_FOR).exclude(revision=newest).delete()
    return removed


def settle() -> None:
    """Wait until no gate anywhere can still accept what a committed change revoked. Only outside transactions."""
    time.sleep(SETTLE_SECONDS)
