"""How long the call log keeps what it holds (G9)."""

from datetime import datetime

from auditlog.models import Call
from auditlog.usage import CALLS_KEPT_FOR

BATCH = 10_000  # rows a transaction: writers of new calls wait no longer than one of these takes


def prune_calls(*, now: datetime) -> int:
    """Delete the calls that are older than seven days; how many those were. Harmless to repeat or to cut off."""
    expired = Call.objects.filter(at__lt=now - CALLS_KEPT_FOR).order_by("at")
    removed = 0
    while True:
        count, _ = Call.objects.filter(pk__in=expired.values("pk")[:BATCH]).delete()
        removed += count
        if count < BATCH:
            return removed
