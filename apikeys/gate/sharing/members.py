"""Which processes count calls, and on what terms: kept in the store, which no process can do without (G1).

No time is written down here: whoever waits for something to be old enough counts the seconds since it saw it first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from apikeys.gate.clock import boot_seconds
from apikeys.gate.store import unix_time
from apikeys.models import CountingProcess, SharingTerms


@dataclass(frozen=True, slots=True)
class Terms:
    """How limits are shared. `name` tells installations apart; each declaration of equal shares raises `epoch`."""

    name: UUID
    epoch: int
    equal_shares: int  # of so many processes each has an equal part; 0: they share by the counter


@dataclass(frozen=True, slots=True)
class Look:
    """What the store says of a process at one moment."""

    wall_ahead: float  # the store's Unix time less `boot_seconds` here
    terms: Terms
    lives: bool
    is_suspected: bool


_LOOK = """
    SELECT {unix_time}, t.name, t.epoch, t.equal_shares, p.is_suspected, p.has_ended
    FROM apikeys_sharingterms t LEFT JOIN apikeys_countingprocess p ON p.id = %s
"""


def look(process: UUID) -> Look | None:
    """None if there are no terms yet: nobody has counted a call.

    :raises django.db.Error: if the store cannot be asked.
    """
    before = boot_seconds()
    with connection.cursor() as cursor:
        identity = process if connection.vendor == "postgresql" else process.hex
        cursor.execute(_LOOK.format(unix_time=unix_time(connection)), [identity])
        row = cursor.fetchone()
    if row is None:
        return None
    seconds, name, epoch, equal_shares, is_suspected, has_ended = row
    wall_ahead = seconds - (before + boot_seconds()) / 2
    terms = Terms(name if isinstance(name, UUID) else UUID(name), epoch, equal_shares)
    return Look(wall_ahead, terms, lives=has_ended is not None and not has_ended, is_suspected=bool(is_suspected))


@transaction.atomic
def register(process: UUID, *, by_table: bool) -> None:
    """Begin to count, by the store's table or by Redis.

    While there are equal shares they are cut anew, one more. Where others use the other counter, which does not know
    what this one counts, they begin.
    """
    terms = _hold_terms()
    is_mixed = CountingProcess.objects.filter(told_epoch__isnull=by_table).exists()
    told_epoch = terms.epoch if by_table else None  # it holds nothing yet
    CountingProcess.objects.create(id=process, started_at=timezone.now(), told_epoch=told_epoch)
    if terms.equal_shares or is_mixed:
        _declare(terms)


@transaction.atomic
def declare_equal_shares() -> None:
    """Let every process keep to its n-th part of each limit, since no counter knows what everybody holds."""
    _declare(_hold_terms())


def end_equal_shares(epoch: int) -> None:
    """Go back to the counter, unless somebody declared shares again meanwhile."""
    SharingTerms.objects.filter(epoch=epoch).update(equal_shares=0)


def _hold_terms() -> SharingTerms:
    SharingTerms.objects.get_or_create(id=1)
    return SharingTerms.objects.select_for_update().get(id=1)


def _declare(terms: SharingTerms) -> None:
    terms.epoch += 1
    terms.equal_shares = max(CountingProcess.objects.filter(has_ended=False).count(), 1)
    terms.save()


# --- Life and death -----------------------------------------------------------------------------------------------
def everybody() -> dict[UUID, CountingProcess]:
    """Those that count, and those that ended but may have accepted calls lately."""
    return {process.id: process for process in CountingProcess.objects.all()}


def suspect(processes: Iterable[UUID]) -> None:
    """Ask processes to show that they live."""
    CountingProcess.objects.filter(id__in=list(processes), has_ended=False, is_suspected=False).update(
        is_suspected=True, suspicions=F("suspicions") + 1
    )


def answer(process: UUID) -> None:
    """Show that this one does."""
    CountingProcess.objects.filter(id=process).update(is_suspected=False)


def bury(process: UUID, *, suspicions: int) -> None:
    """Declare a process dead that has not answered this suspicion."""
    CountingProcess.objects.filter(id=process, is_suspected=True, suspicions=suspicions).update(has_ended=True)


def leave(process: UUID) -> None:
    """End: no call is counted any more."""
    CountingProcess.objects.filter(id=process).update(has_ended=True)


def forget(process: UUID) -> None:
    CountingProcess.objects.filter(id=process, has_ended=True).delete()
