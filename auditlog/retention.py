"""How long the call log keeps what it holds (G9)."""

from datetime import datetime, timedelta

from auditlog import partitions
from auditlog.models import Call, CallsByCaller, CallsByRoute
from auditlog.usage import CALLS_KEPT_FOR

BATCH = 10_000  # rows a transaction: writers of new calls wait no longer than one of these takes
LATE = timedelta(hours=1)  # a call is stored this long after it was made, at most


def prune_calls(*, now: datetime) -> int:
    """Delete calls that are older than seven days, and none younger; how many. Harmless to repeat or to cut off.

    With partitions, a day's calls go together, once the youngest of them is too old; until then reading leaves them
    out. What the default partition holds, and all that SQLite holds, goes to the instant.
    """
    oldest_kept = now - CALLS_KEPT_FOR
    CallsByCaller.objects.filter(hour__lt=oldest_kept - timedelta(hours=1)).delete()
    CallsByRoute.objects.filter(day__lt=oldest_kept.date()).delete()
    if partitions.exist():
        return partitions.drop(before=oldest_kept) + partitions.prune_default(before=oldest_kept)
    return _prune_by_range(oldest_kept)


def _prune_by_range(oldest_kept: datetime) -> int:
    """Go through the log from its first row, in the order in which rows were stored.

    That is the order of their times give or take `LATE`, so that it needs no index of times, which every call would
    have to keep up.
    """
    removed, done = 0, 0
    while True:
        rows = list(Call.objects.filter(pk__gt=done).order_by("pk").values_list("pk", "at")[:BATCH])
        if not rows or min(at for _, at in rows) >= oldest_kept + LATE:
            return removed
        count, _ = Call.objects.filter(pk__gt=done, pk__lte=rows[-1][0], at__lt=oldest_kept).delete()
        removed, done = removed + count, rows[-1][0]
