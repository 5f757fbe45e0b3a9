"""How long the call log keeps what it holds (G9)."""

from datetime import datetime, timedelta

from auditlog.models import Call
from auditlog.usage import CALLS_KEPT_FOR

BATCH = 10_000  # rows a transaction: writers of new calls wait no longer than one of these takes
LATE = timedelta(hours=1)  # a call is stored this long after it was made, at most


def prune_calls(*, now: datetime) -> int:
    """Delete the calls that are older than seven days; how many those were. Harmless to repeat or to cut off.

    Goes through the log from its first row, in the order in which rows were stored, which is that of their times give
    or take `LATE`. So it needs no index of times, which every call would have to keep up.
    """
    oldest_kept = now - CALLS_KEPT_FOR
    removed, done = 0, 0
    while True:
        rows = list(Call.objects.filter(pk__gt=done).order_by("pk").values_list("pk", "at")[:BATCH])
        if not rows or min(at for _, at in rows) >= oldest_kept + LATE:
            return removed
        count, _ = Call.objects.filter(pk__gt=done, pk__lte=rows[-1][0], at__lt=oldest_kept).delete()
        removed, done = removed + count, rows[-1][0]
