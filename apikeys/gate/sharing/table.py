"""The shared counter of burst limits as a table of the store."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from apikeys.gate.sharing.bursts import BurstAsk, BurstGranted, EndedError, Wanted
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
        rows = BurstShare.objects.filter(process_id=process, key__in=keys)
        before = {row.key: Share(row.allotted, row.answered) for row in rows}
        totals_before = {key: (row.allotted, row.wanted, row.wants) for key, row in totals.items()}
        held, granted = before.copy(), []
        for ask in asks:
            held[ask.key], number = _trade(totals[ask.key], held.get(ask.key, NOTHING), ask)
            granted.append(BurstGranted(held[ask.key].allotted, number=number))
        changed = [row for key, row in totals.items() if (row.allotted, row.wanted, row.wants) != totals_before[key]]
        BurstTotal.objects.bulk_create(  # with a bulk_update a question costs eight times as much
            changed, update_conflicts=True, unique_fields=["key"], update_fields=["allotted", "wanted", "wants"]
        )
        _keep(process, before, held)
        others = _others(process, [ask.key for ask, one in zip(asks, granted, strict=True) if one.number])
        return [
            one._replace(others=[other for other, answered in others.get(ask.key, ()) if answered < one.number])
            for ask, one in zip(asks, granted, strict=True)
        ]

    def wanted(self, process: UUID) -> list[Wanted]:
        with connection.cursor() as cursor:
            cursor.execute(_WANTED, [process if connection.vendor == "postgresql" else process.hex])
            return [Wanted(*row) for row in cursor.fetchall()]

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


class Share(NamedTuple):
    allotted: int
    answered: int  # the newest want to which it was said that nothing is left


NOTHING = Share(0, 0)

_WANTED = """
    SELECT s.key, t.wants FROM apikeys_bursttotal t JOIN apikeys_burstshare s ON s.key = t.key
    WHERE t.wanted AND s.process_id = %s AND s.answered < t.wants
"""


def _hold_life(process: UUID) -> None:
    """Let nobody free what this process holds before this transaction has ended."""
    row = CountingProcess.objects.select_for_update(of=("self",)).filter(id=process, has_ended=False).first()
    if row is None:
        raise EndedError


def _trade(total: BurstTotal, held: Share, ask: BurstAsk) -> tuple[Share, int]:
    """Change the limit's total by what the process gives back and gets; what it holds then, and what it wants."""
    kept = min(held.allotted, ask.keep)
    free = ask.limit - (total.allotted - held.allotted + kept)
    gets = max(min(ask.want, free), 0) if ask.is_urgent or not total.wanted else 0
    total.allotted += kept + gets - held.allotted
    number, answered = 0, max(held.answered, ask.answers)
    if gets:
        total.wanted = False
    elif ask.want and ask.is_urgent:
        total.wanted = True
        if not ask.number:
            total.wants += 1
        number = ask.number or total.wants
        answered = total.wants  # who has none cannot give any
    return Share(kept + gets, answered), number


def _others(process: UUID, keys: Sequence[str]) -> dict[str, list[tuple[UUID, int]]]:
    """Who else holds something of these, and up to which want they said that they have nothing left."""
    found: dict[str, list[tuple[UUID, int]]] = {}
    if keys:
        rows = BurstShare.objects.filter(key__in=keys).exclude(process_id=process)
        for key, other, answered in rows.values_list("key", "process_id", "answered"):
            found.setdefault(key, []).append((other, answered))
    return found


def _keep(process: UUID, before: Mapping[str, Share], after: Mapping[str, Share]) -> None:
    changed = {key: share for key, share in after.items() if share != before.get(key, NOTHING)}
    BurstShare.objects.filter(
        process_id=process, key__in=[k for k, one in changed.items() if not one.allotted]
    ).delete()
    BurstShare.objects.bulk_create(
        [
            BurstShare(process_id=process, key=key, allotted=share.allotted, answered=share.answered)
            for key, share in changed.items()
            if share.allotted
        ],
        update_conflicts=True,
        unique_fields=["process_id", "key"],
        update_fields=["allotted", "answered"],
    )
