"""Batches of calls into the store's tables: rows, last uses, the days' usage."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain, islice
from typing import Any

from django.db import connection

from auditlog.call_copy import Rows
from auditlog.call_kinds import Alike
from auditlog.call_rows import Batch, instant_text
from auditlog.models import Call as CallModel
from auditlog.models import DailyUsage, LastUse
from auditlog.upserts import ROWS_A_STATEMENT, Row, Upsert

Usage = Sequence[tuple[int, str, int, int]]  # account, day, calls in the batch, the day's total with them

COLUMNS = (
    *("account_id", "credential_kind", "credential_id"),
    *("at", "method", "path", "status", "duration_us", "reason"),
    *("agent", "network", "user_agent", "address"),
    "request_id",
)
LAST_USES = Upsert(LastUse, ("credential_id",), {"at": "greatest"})
DAYS = Upsert(DailyUsage, ("account_id", "day"), {"calls": "+"}, returns=True)


class CallTable:
    """The call log."""

    def __init__(self) -> None:
        self._copied = Rows()

    @contextmanager
    def going_in(self, batch: Batch) -> Iterator[None]:
        """Store a batch's rows; on leaving they are there. PostgreSQL takes them in meanwhile.

        This goes past Django's cursors, which know no COPY and adapt values; errors are Django's all the same.
        """
        if connection.vendor == "postgresql":
            with self._copied.going_in(batch):
                yield
        else:
            self._insert(batch)
            yield

    def _insert(self, batch: Batch) -> None:
        """Let go of the interpreter once a statement, not once a row: calls would otherwise wait for it at each row."""
        waiting = rows(batch)
        with connection.wrap_database_errors:
            while part := list(islice(waiting, ROWS_A_STATEMENT)):
                connection.connection.execute(_insert(len(part)), list(chain.from_iterable(part)))


def rows(batch: Batch) -> Iterator[Row]:
    """As SQLite takes them, in the order of COLUMNS."""
    if not batch.who:
        return iter(())
    return zip(
        *zip(*batch.who, strict=True),
        map(instant_text, batch.at),
        batch.method,
        batch.path,
        batch.status,
        batch.duration_us,
        batch.reason,
        *zip(*batch.caller, strict=True),
        map("{:032x}".format, batch.request_id),
        strict=True,
    )


@lru_cache(maxsize=ROWS_A_STATEMENT)
def _insert(rows: int) -> str:
    marks = ", ".join([f"({', '.join('?' * len(COLUMNS))})"] * rows)
    return f"INSERT INTO {CallModel._meta.db_table} ({', '.join(COLUMNS)}) VALUES {marks}"  # noqa: S608 -- names of our own


def store_last_uses(calls: Iterable[Alike]) -> None:
    """Keep when each credential was last accepted."""
    last: dict[str, int] = {}
    for kind, _, _, last_at in calls:
        credential = kind.who[2]
        if kind.day and credential:
            last[credential] = max(last.get(credential, 0), last_at)
    LAST_USES.run(list(last.items()))


def raise_usage(calls: Iterable[Alike], *, by_nothing: bool = False) -> Usage:
    """Add accepted calls to their accounts' days and bring back the totals.

    :param by_nothing: they were added before; bring back the totals alone.
    """
    counted: Counter[tuple[Any, str]] = Counter()
    for kind, number, _, _ in calls:
        if kind.day:
            counted[kind.who[0], kind.day] += number
    totals = DAYS.run([(account, day, 0 if by_nothing else number) for (account, day), number in counted.items()])
    return [(account, str(day), counted[account, str(day)], total) for account, day, total in totals]
