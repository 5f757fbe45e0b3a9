"""The shared counter of burst limits as a table of the store."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q

from apikeys.gate.sharing.bursts import BurstAsk, BurstGranted, CounterEmptyError, EndedError, Wanted
from apikeys.gate.sharing.members import Terms
from apikeys.models import BurstShare, BurstTotal, CountingProcess


class TableCounter:
    """Knows all that it ever handed out: what the store forgets, by a restored backup, stops every gate (G1).

    Not what processes hold that kept to equal shares while Redis was gone, and were started without it then: it hands
    out nothing until everybody has said that (`check_in`), and those who cannot any more must have spent it.
    """

    def __init__(self, terms: Terms) -> None:
        self._epoch = terms.epoch
        self.is_complete = not terms.equal_shares

    @transaction.atomic
    def exchange(self, process: UUID, asks: Sequence[BurstAsk]) -> list[BurstGranted]:
        _hold_life(process)
        self._see_who_has_told(process)
        totals = _hold_totals({ask.key for ask in asks})
        before = _shares(process, key__in=list(totals))
        totals_before = {key: (row.allotted, row.wanted, row.wants) for key, row in totals.items()}
        held, granted = before.copy(), []
        for ask in asks:
            held[ask.key], number = _trade(totals[ask.key], held.get(ask.key, NOTHING), ask, gives=self.is_complete)
            granted.append(BurstGranted(held[ask.key].allotted, number=number))
        _keep_totals(
            [row for key, row in totals.items() if (row.allotted, row.wanted, row.wants) != totals_before[key]]
        )
        _keep(process, before, held)
        others = _others(process, [ask.key for ask, one in zip(asks, granted, strict=True) if one.number])
        return [
            one._replace(others=[other for other, answered in others.get(ask.key, ()) if answered < one.number])
            for ask, one in zip(asks, granted, strict=True)
        ]

    def wanted(self, process: UUID) -> list[Wanted]:
        self._see_who_has_told(process)
        with connection.cursor() as cursor:
            cursor.execute(_WANTED, [process if connection.vendor == "postgresql" else process.hex])
            return [Wanted(*row) for row in cursor.fetchall()]

    @transaction.atomic
    def check_in(self, process: UUID, held: Mapping[str, int]) -> None:
        _hold_life(process)
        before = _shares(process)
        totals = _hold_totals(before.keys() | held.keys())
        after = {key: before.get(key, NOTHING)._replace(allotted=held.get(key, 0)) for key in totals}
        for key, total in totals.items():
            total.allotted += after[key].allotted - before.get(key, NOTHING).allotted
        _keep_totals(totals.values())
        _keep(process, before, after)
        CountingProcess.objects.filter(id=process).update(told_epoch=self._epoch)

    def free(self, process: UUID) -> None:
        free(process)

    def is_ready(self, process: UUID) -> bool:  # noqa: ARG002 -- the counter is the store, which everybody reaches
        uses_redis, has_ended_untold = Q(told_epoch=None), Q(has_ended=True) & ~Q(told_epoch=self._epoch)
        return not CountingProcess.objects.filter(uses_redis | has_ended_untold).exists()

    def close(self) -> None:
        connection.close()

    def _see_who_has_told(self, process: UUID) -> None:
        """Whoever begins to count later holds nothing, or has the shares cut anew: once is enough."""
        if self.is_complete:
            return
        untold = set(CountingProcess.objects.exclude(told_epoch=self._epoch).values_list("id", flat=True))
        if process in untold:
            raise CounterEmptyError
        self.is_complete = not untold


@transaction.atomic
def free(process: UUID) -> None:
    """Let others have what a dead process held."""
    CountingProcess.objects.select_for_update().filter(id=process).first()
    held = dict(BurstShare.objects.filter(process_id=process).values_list("key", "allotted"))
    for total in BurstTotal.objects.select_for_update().filter(key__in=held).order_by("key"):
        BurstTotal.objects.filter(key=total.key).update(allotted=F("allotted") - held[total.key])
    BurstShare.objects.filter(process_id=process).delete()


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


def _hold_totals(keys: Collection[str]) -> dict[str, BurstTotal]:
    """In the order of their keys, so that nobody waits for each other."""
    BurstTotal.objects.bulk_create([BurstTotal(key=key) for key in sorted(keys)], ignore_conflicts=True)
    return {row.key: row for row in BurstTotal.objects.select_for_update().filter(key__in=keys).order_by("key")}


def _keep_totals(changed: Collection[BurstTotal]) -> None:
    BurstTotal.objects.bulk_create(  # with a bulk_update a question costs eight times as much
        changed, update_conflicts=True, unique_fields=["key"], update_fields=["allotted", "wanted", "wants"]
    )


def _shares(process: UUID, **which: Any) -> dict[str, Share]:
    rows = BurstShare.objects.filter(process_id=process, **which)
    return {row.key: Share(row.allotted, row.answered) for row in rows}


def _trade(total: BurstTotal, held: Share, ask: BurstAsk, *, gives: bool) -> tuple[Share, int]:
    """Change the limit's total by what the process gives back and gets; what it holds then, and what it wants."""
    kept = min(held.allotted, ask.keep)
    free = ask.limit - (total.allotted - held.allotted + kept) if gives else 0
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
