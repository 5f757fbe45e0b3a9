"""The shared counter of burst limits as a table of the store."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from apikeys.gate.sharing.bursts import BurstAsk, BurstGranted, EndedError
from apikeys.models import BurstShare, BurstTotal, CountingProcess


class TableCounter:
    """Knows all that it ever handed out: what the store forgets, by a restored backup, stops every gate (G1)."""

    is_complete = True

    @transaction.atomic
    def exchange(self, process: UUID, asks: Sequence[BurstAsk]) -> list[BurstGranted]:
        _hold_life(process)
        keys = sorted({ask.key for ask in asks})
        BurstTotal.objects.bulk_create([BurstTotal(key=key) for key in keys], ignore_conflicts=True)
        totals = {row.key: row for row in BurstTotal.objects.select_for_update().filter(key__in=keys).order_by("key")}
        mine = dict(BurstShare.objects.filter(process_id=process, key__in=keys).values_list("key", "allotted"))
        before = {key: (total.allotted, total.wanted) for key, total in totals.items()}
        held, allotted = mine.copy(), []
        for ask in asks:
            held[ask.key] = _trade(totals[ask.key], held.get(ask.key, 0), ask)
            allotted.append(held[ask.key])
        changed = [total for key, total in totals.items() if (total.allotted, total.wanted) != before[key]]
        BurstTotal.objects.bulk_update(changed, ["allotted", "wanted"])
        _keep(process, mine, held)
        others = _others(process, [key for key in keys if totals[key].wanted])
        return [BurstGranted(one, others.get(ask.key, [])) for one, ask in zip(allotted, asks, strict=True)]

    def wanted(self, process: UUID) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(_WANTED, [process if connection.vendor == "postgresql" else process.hex])
            return [key for (key,) in cursor.fetchall()]

    def check_in(self, process: UUID, held: Mapping[str, int]) -> None:
        """There is nothing that this counter could have forgotten."""

    @transaction.atomic
    def free(self, process: UUID) -> None:
        CountingProcess.objects.select_for_update().filter(id=process).first()
        held = dict(BurstShare.objects.filter(process_id=process).values_list("key", "allotted"))
        for total in BurstTotal.objects.select_for_update().filter(key__in=held).order_by("key"):
            BurstTotal.objects.filter(key=total.key).update(allotted=F("allotted") - held[total.key])
        BurstShare.objects.filter(process_id=process).delete()

    def is_ready(self, process: UUID) -> bool:  # noqa: ARG002 -- the counter is the store, which everybody reaches
        return True

    def close(self) -> None:
        connection.close()


_WANTED = """
    SELECT s.key FROM apikeys_bursttotal t JOIN apikeys_burstshare s ON s.key = t.key
    WHERE t.wanted AND s.process_id = %s
"""


def _hold_life(process: UUID) -> None:
    """Let nobody free what this process holds before this transaction has ended."""
    row = CountingProcess.objects.select_for_update(of=("self",)).filter(id=process, has_ended=False).first()
    if row is None:
        raise EndedError


def _trade(total: BurstTotal, held: int, ask: BurstAsk) -> int:
    """Change the limit's total by what the process gives back and gets; what it holds then."""
    kept = min(held, ask.keep)
    free = ask.limit - (total.allotted - held + kept)
    gets = max(min(ask.want, free), 0) if ask.is_urgent or not total.wanted else 0
    total.allotted += kept + gets - held
    if gets:
        total.wanted = False
    elif ask.want and ask.is_urgent:
        total.wanted = True
    return kept + gets


def _others(process: UUID, keys: Sequence[str]) -> dict[str, list[UUID]]:
    """Who else holds something of these."""
    found: dict[str, list[UUID]] = {}
    if keys:
        for key, other in BurstShare.objects.filter(key__in=keys).values_list("key", "process_id"):
            if other != process:
                found.setdefault(key, []).append(other)
    return found


def _keep(process: UUID, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    changed = {key: allotted for key, allotted in after.items() if allotted != before.get(key, 0)}
    BurstShare.objects.filter(process_id=process, key__in=[key for key, one in changed.items() if not one]).delete()
    BurstShare.objects.bulk_create(
        [BurstShare(process_id=process, key=key, allotted=allotted) for key, allotted in changed.items() if allotted],
        update_conflicts=True,
        unique_fields=["process_id", "key"],
        update_fields=["allotted"],
    )
