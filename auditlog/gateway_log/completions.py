"""Filling in what gateways told: a few statements for thousands of calls, never one a call."""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import NamedTuple
from uuid import UUID

import structlog
from django.db import Error as StoreError
from django.db import InterfaceError, OperationalError, connection, transaction

from auditlog.call_kinds import FAILED
from auditlog.call_rollups import RollUps
from auditlog.gateway_log.lines import Completion
from auditlog.models import Call
from auditlog.upserts import ROWS_A_STATEMENT

CLOCKS = timedelta(seconds=30)  # by which the clocks of gateway and gate may differ
ASKED_AFTER = timedelta(seconds=60)  # from a call's beginning, at most, until the gate is asked: its headers come first
REFUSALS_LIMIT = 50  # of one batch: finds a few lines among thousands, and does not press a store that takes none
TOGETHER_SECONDS = 60  # calls that began within one such span are looked for together

logger = structlog.get_logger(__name__)

# The ids are named twice: PostgreSQL takes a day's partition that was not analyzed yet for all but empty, and would go
# through all of `told` for each of its rows.
# A call that the gate refused keeps the gate's status: the gateway's is the same one, or its own word for it.
_COMPLETE = """
    WITH told (id, status, duration_us, size) AS (VALUES {rows})
    UPDATE {table} AS kept
    SET status = CASE WHEN kept.reason = '' THEN told.status ELSE kept.status END,
        duration_us = told.duration_us, size = told.size
    FROM told
    WHERE kept.id = told.id AND kept.id IN ({ids}) AND kept.at >= %s AND kept.at <= %s AND kept.duration_us IS NULL
    RETURNING request_id
"""


class Outcome(NamedTuple):
    """What became of completions; those in neither have no row yet."""

    completed: frozenset[UUID]
    repeated: frozenset[UUID]  # complete before


class Completions:
    """One process's; remembers the routes that it has counted failures of."""

    def __init__(self) -> None:
        self._roll_ups = RollUps()

    def complete(self, told: Collection[Completion]) -> Outcome:
        """Fill in the rows that there are. What the store refuses keeps none of the others from it.

        :raises django.db.OperationalError, django.db.InterfaceError: if the store cannot be asked; what is not filled
            in then is so the next time.
        """
        completed: set[UUID] = set()
        repeated: set[UUID] = set()
        waiting = deque(_by_beginning(told))
        refusals = refused = 0
        while waiting:
            some = waiting.popleft()
            try:
                outcome = self._complete(some)
            except (OperationalError, InterfaceError):
                raise
            except StoreError as failure:
                refusals += 1
                if len(some) > 1 and refusals < REFUSALS_LIMIT:  # one of these is at fault: look which
                    waiting.extendleft((some[: len(some) // 2], some[len(some) // 2 :]))
                    continue
                refused += len(some)
                error = type(failure).__name__
            else:
                completed |= outcome.completed
                repeated |= outcome.repeated
        if refused:
            logger.error("access_log_refused", error=error, lines=refused)
        return Outcome(frozenset(completed), frozenset(repeated))

    def _complete(self, some: Sequence[Completion]) -> Outcome:
        """Of calls that began at about the same time, in one transaction."""
        since, until = _between(some)
        of = {one.request_id: one for one in some}
        found = list(Call.objects.filter(at__gte=since, at__lte=until, request_id__in=of))
        missing = [call for call in found if call.duration_us is None]
        completed = self._fill_in(missing, of, since, until)
        return Outcome(completed, frozenset(call.request_id for call in found if call.duration_us is not None))

    def _fill_in(
        self, calls: Sequence[Call], of: Mapping[UUID, Completion], since: datetime, until: datetime
    ) -> frozenset[UUID]:
        """In the order of their ids, which is the same for everybody who does this: so none waits in a circle."""
        if not calls:
            return frozenset()
        calls = sorted(calls, key=lambda call: call.pk)
        told = [(call.pk, *of[call.request_id][2:]) for call in calls]
        filled: set[UUID] = set()
        with transaction.atomic():
            for start in range(0, len(told), ROWS_A_STATEMENT):
                filled.update(_filled_in(told[start : start + ROWS_A_STATEMENT], since, until))
            done = [call for call in calls if call.request_id in filled]
            self._roll_ups.add_failed(call for call in done if not call.reason and of[call.request_id].status >= FAILED)
        return frozenset(filled)


def _by_beginning(told: Iterable[Completion]) -> Iterable[Sequence[Completion]]:
    """Those that began at about the same time, so that each search is of a short stretch of the log."""
    spans: dict[int, list[Completion]] = defaultdict(list)
    for one in told:
        spans[int(one.began_at // TOGETHER_SECONDS)].append(one)
    return spans.values()


def _between(some: Sequence[Completion]) -> tuple[datetime, datetime]:
    """When the gate was asked about these, in its own clock. It is what makes the rows cheap to find."""
    began = min(one.began_at for one in some)
    latest = max(min(one.ended_at, one.began_at + ASKED_AFTER.total_seconds()) for one in some)
    return datetime.fromtimestamp(began, UTC) - CLOCKS, datetime.fromtimestamp(latest, UTC) + CLOCKS


def _filled_in(told: Sequence[tuple[int, int, int, int]], since: datetime, until: datetime) -> Iterator[UUID]:
    at = Call._meta.get_field("at")
    bounds = [at.get_db_prep_value(instant, connection) for instant in (since, until)]
    rows, ids = ", ".join(["(%s, %s, %s, %s)"] * len(told)), ", ".join(["%s"] * len(told))
    values = [*chain.from_iterable(told), *(one[0] for one in told), *bounds]
    with connection.cursor() as cursor:
        cursor.execute(_COMPLETE.format(table=Call._meta.db_table, rows=rows, ids=ids), values)
        for (request_id,) in cursor.fetchall():
            yield request_id if isinstance(request_id, UUID) else UUID(request_id)  # SQLite keeps it as text
