"""The day's calls, handed out from the store: what was granted today never exceeds the daily limit (G8).

Also where Redis keeps the burst limits' numbers: those are over in ten seconds, the day's must outlive any restart.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction

from apikeys.models import DayGrant

SMALLEST_PART = 8  # a lease is at most this part of what is left: near the limit it is one call
KEPT_FOR = timedelta(days=3)  # every zone's today, and more


class DayAsk(NamedTuple):
    account_id: int
    day: str  # ISO date
    limit: int
    back: int  # of an earlier lease, unused
    want: int
    is_urgent: bool  # a call waits for it: ask the others if there is none


class DayGranted(NamedTuple):
    calls: int
    total: int  # handed out today, these included


# What was counted before there were grants counts, too.
_BEGIN = """
    INSERT INTO apikeys_daygrant (account_id, day, granted, wanted)
    VALUES (%s, %s, COALESCE((SELECT calls FROM auditlog_dailyusage WHERE account_id = %s AND day = %s), 0), FALSE)
    ON CONFLICT (account_id, day) DO NOTHING
"""


@transaction.atomic
def grant(asks: Sequence[DayAsk]) -> list[DayGranted]:
    """Take back and hand out, in one transaction; one ask an account and day.

    :raises django.db.Error: if the store cannot be asked. What a commit handed out that nobody heard of is spent.
    """
    rows = _held(asks)
    before = {key: (row.granted, row.wanted) for key, row in rows.items()}
    answers = []
    for ask in asks:
        row = rows[ask.account_id, ask.day]
        row.granted = max(row.granted - ask.back, 0)
        left = ask.limit - row.granted
        calls = max(min(ask.want, max(left // SMALLEST_PART, 1), left), 0)
        row.granted += calls
        row.wanted = not calls and (row.wanted or (ask.want > 0 and ask.is_urgent))
        answers.append(DayGranted(calls, row.granted))
    changed = [row for key, row in rows.items() if (row.granted, row.wanted) != before[key]]
    DayGrant.objects.bulk_create(  # with a bulk_update a question costs eight times as much
        changed, update_conflicts=True, unique_fields=["account_id", "day"], update_fields=["granted", "wanted"]
    )
    return answers


def wanted() -> list[tuple[int, str]]:
    """Accounts and days of which somebody has run out, and others may hold unused calls.

    :raises django.db.Error: if the store cannot be asked.
    """
    rows = DayGrant.objects.filter(wanted=True).values_list("account_id", "day")
    return [(account_id, day.isoformat()) for account_id, day in rows]


def _held(asks: Iterable[DayAsk]) -> dict[tuple[int, str], DayGrant]:
    """The rows, locked until commit in an order that is everybody's."""
    days = sorted({(ask.account_id, ask.day) for ask in asks})
    accounts, dates = {account_id for account_id, _ in days}, {day for _, day in days}
    with connection.cursor() as cursor:
        cursor.executemany(_BEGIN, [(*day, *day) for day in days])
    rows = (
        DayGrant.objects.select_for_update()
        .filter(account_id__in=accounts, day__in=dates)
        .order_by("account_id", "day")
    )
    asked = set(days)
    return {key: row for row in rows if (key := (row.account_id, row.day.isoformat())) in asked}


def prune(*, now: datetime) -> int:
    """Delete days that are over everywhere; how many rows those were."""
    last: date = (now - KEPT_FOR).date()
    removed, _ = DayGrant.objects.filter(day__lt=last).delete()
    return removed
