"""The call log's daily partitions on PostgreSQL. On SQLite the table is one, and nothing here does anything.

A day's partition (UTC) is made ahead, by the jobs process and by whoever stores calls, and dropped when its last call
is older than the log keeps. A call whose day has none goes into the default partition: no row ever fails for want of
one. Every statement here gives up rather than have callers queue behind it: the next hour tries again.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.utils import Error as StoreError

from auditlog.models import Call

AHEAD = timedelta(days=3)
BEHIND = timedelta(days=1)  # calls of a minute before midnight are stored after it
LOCK_SECONDS = 1
TABLE = Call._meta.db_table
DEFAULT = f"{TABLE}_default"
OF_A_DAY = re.compile(rf"{TABLE}_(\d{{8}})\Z")

logger = structlog.get_logger(__name__)


def exist() -> bool:
    """Whether this store has partitions."""
    return connection.vendor == "postgresql"


def make_around(now: datetime) -> None:
    """Make the partitions that calls of about now, and of the next days, go into."""
    make(now - BEHIND, now + AHEAD)


def make(since: datetime, until: datetime) -> None:
    """Make the partitions of all days from one instant to another; those that cannot be made are left out.

    A day that the default partition has calls of stays there: moving them would keep everybody waiting.
    """
    if not exist():
        return
    made = {day for _, day in _of_days()}
    for day in _days(since, until):
        if day not in made:
            try:
                _make(day)
            except StoreError as failure:
                logger.warning("partition_not_made", day=str(day), error=str(failure))


def drop(*, before: datetime) -> int:
    """Drop the partitions that hold nothing from `before` on; how many calls those held.

    Each is detached first, which needs a lock on the whole log for a moment, and read and dropped when nobody sees it
    any more. Cut off between the two, the next run finishes it.
    """
    dropped = 0
    for name, day in _of_days():
        if datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=UTC) > before:
            continue
        try:
            dropped += _drop(name)
        except StoreError as failure:
            logger.warning("partition_not_dropped", partition=name, error=str(failure))
    return dropped


def prune_default(*, before: datetime) -> int:
    """Delete what the default partition holds from before that instant; how many calls."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {DEFAULT} WHERE at < %s", [before])  # noqa: S608 -- a name of our own
        return int(cursor.rowcount)


def _make(day: date) -> None:
    name, begins, ends = f"{TABLE}_{day:%Y%m%d}", f"{day}T00:00Z", f"{day + timedelta(days=1)}T00:00Z"
    with transaction.atomic(), connection.cursor() as cursor:
        _give_up_early(cursor)
        # Attached, not created as a partition: that would lock the whole log, and not only the default partition.
        cursor.execute(f'CREATE TABLE "{name}" (LIKE {TABLE} INCLUDING CONSTRAINTS)')
        cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION \"{name}\" FOR VALUES FROM ('{begins}') TO ('{ends}')")


def _drop(name: str) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass(%s)", [f'"{name}"'])
        if cursor.fetchone():
            _give_up_early(cursor)
            cursor.execute(f'ALTER TABLE {TABLE} DETACH PARTITION "{name}"')
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{name}"')  # noqa: S608 -- a name of our own
        held: int = cursor.fetchone()[0]
        cursor.execute(f'DROP TABLE "{name}"')
    return held


def _give_up_early(cursor: CursorWrapper) -> None:
    cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS * 1000:.0f}ms'")


def _of_days() -> list[tuple[str, date]]:
    """The daily partitions that there are, detached ones included."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' "
            "AND relname LIKE %s ORDER BY relname",
            [f"{TABLE}\\_%"],
        )
        found = [OF_A_DAY.match(name) for (name,) in cursor.fetchall()]
    return [(name[0], datetime.strptime(name[1], "%Y%m%d").replace(tzinfo=UTC).date()) for name in found if name]


def _days(since: datetime, until: datetime) -> Iterator[date]:
    day = since.astimezone(UTC).date()
    while day <= until.astimezone(UTC).date():
        yield day
        day += timedelta(days=1)
