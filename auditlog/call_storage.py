"""Where the call writer's batches go: into the store, or onto the disk until the store takes them (G7)."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from operator import is_
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import structlog
from django.db import DataError, IntegrityError, connection, transaction
from django.db.utils import Error as StoreError
from django.utils import timezone

from auditlog import call_spool, partitions
from auditlog.call_counts import is_alive
from auditlog.call_kinds import by_kind
from auditlog.call_rollups import Recorder
from auditlog.call_rows import Batch, Call
from auditlog.call_spool import Segment, SpoolFullError
from auditlog.call_tables import Usage, raise_usage
from auditlog.connections import take_private_connection
from auditlog.models import CallWriter

PARTITIONS_EVERY = 3_600  # seconds: how often partitions are made ahead
ASK_AGAIN = 5.0  # seconds until a store that took nothing is asked again; an attempt may hang for three
DRAIN_SECONDS = 1.0  # of storing what waits on the disk, before the next batch is looked at

logger = structlog.get_logger(__name__)


class StorageUnavailableError(Exception):
    """Neither the store nor the disk took the batch, or it is not known whether they did: try the same batch again."""


class StorageRefusedError(Exception):
    """The batch itself is at fault, and would be again."""


class Pack(NamedTuple):
    """Some calls, in the form in which their storage takes them."""

    size: int
    calls: Any


Ahead = Callable[[], Sequence[Pack]]


def nothing_ahead() -> Sequence[Pack]:
    return ()


def same(batch: Sequence[Pack], other: Sequence[Pack]) -> bool:
    """Whether these are the very packs, not only equal ones."""
    return len(batch) == len(other) and all(map(is_, batch, other))


class Ready(NamedTuple):
    """A batch that was cleaned before its turn."""

    packs: Sequence[Pack]
    calls: list[Call]
    batch: Batch


class Taken(NamedTuple):
    """What came of handing a batch over."""

    usage: Usage = ()  # the days' totals, as far as they are known by now
    refused: int = 0  # calls of earlier batches of this writer that are at fault
    waiting: bool = False  # whether calls wait on the disk
    reachable: bool = True  # whether the store took what it was asked to take


class Storage(Protocol):
    """Used by one thread, the one that opens it; but `pack` by any."""

    def open(self) -> None: ...

    def pack(self, calls: list[Call]) -> Pack: ...

    def store(
        self, batch: Sequence[Pack], *, writer: UUID, number: int, hurry: bool = False, ahead: Ahead = nothing_ahead
    ) -> Taken:
        """Take a batch over: store it once, now or later, and raise the writer's count with it, in one transaction.

        :param number: of the writer's batches. The same batch may be given again with its number.
        :param batch: may be empty; then only what waits on the disk is stored.
        :param hurry: keep the batch on the disk and do not ask the store.
        :param ahead: brings the packs of the next batch, if it is known what that will be: it may be got ready while
            the store takes this one in. Nothing of it is stored.
        :raises StorageUnavailableError, StorageRefusedError: as they say.
        """

    def close(self) -> None: ...


class LocalStorage:
    """Stores in the calling thread, over a connection of its own."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._recorder = Recorder(mask)
        self._partitions_due = 0.0  # by the monotonic clock
        self._ask_at = 0.0  # likewise: when the store is asked again after it took nothing
        self._ready: Ready | None = None

    def open(self) -> None:
        take_private_connection()
        call_spool.sweep(is_alive)

    def pack(self, calls: list[Call]) -> Pack:
        return Pack(len(calls), calls)

    def store(
        self, batch: Sequence[Pack], *, writer: UUID, number: int, hurry: bool = False, ahead: Ahead = nothing_ahead
    ) -> Taken:
        ready, self._ready = self._ready, None
        if ready and not same(batch, ready.packs):
            ready = None
        calls = ready.calls if ready else _calls(batch)
        usage: list[Any] = []
        if calls:
            segment = Segment(writer, number, len(calls))
            if hurry or self._waits(segment) or not (stored := self._stored_now(segment, calls, ready, ahead)):
                self._set_aside(segment, calls)
            else:
                usage += stored[0]
        refused = 0
        if not hurry and time.monotonic() >= self._ask_at:
            refused = self._drain(writer, usage)
        return Taken(usage, refused, waiting=bool(self._ours(writer)), reachable=time.monotonic() >= self._ask_at)

    def _waits(self, segment: Segment) -> bool:
        """Whether the writer's batches before this one wait, or this one does."""
        return any(one.writer == segment.writer for one in call_spool.segments())

    def _stored_now(
        self, segment: Segment, calls: list[Call], ready: Ready | None, ahead: Ahead
    ) -> tuple[Usage] | None:
        """The usage if the store took the batch; None if it cannot be asked."""
        if time.monotonic() < self._ask_at:
            return None
        try:
            return (self._store(segment, calls, ready, ahead),)
        except StorageUnavailableError:
            return None

    def _set_aside(self, segment: Segment, calls: list[Call]) -> None:
        if segment in call_spool.segments():
            return
        try:
            call_spool.write(segment, calls, clean=self._recorder.cleaner.cleaned)
        except (OSError, SpoolFullError) as failure:
            raise StorageUnavailableError(type(failure).__name__) from failure

    # --- What waits ---------------------------------------------------------------------------------------------------
    def _drain(self, writer: UUID, usage: list[Any]) -> int:
        """Store what waits of this writer and of dead ones, the oldest first; how many of this one's are at fault."""
        refused = 0
        end = time.monotonic() + DRAIN_SECONDS
        for segment in self._ours(writer):
            try:
                totals = self._store(segment, call_spool.read(segment))
            except StorageUnavailableError:
                break
            except FileNotFoundError:  # another process has stored it
                continue
            except (OSError, ValueError, StorageRefusedError) as failure:
                logger.exception("call_log_unreadable", segment=str(segment.path), error=type(failure).__name__)
                call_spool.lay_aside(segment)
                refused += segment.calls if segment.writer == writer else 0
                continue
            call_spool.remove(segment)
            # What a dead writer had is settled with nobody: this process never counted it.
            mine = segment.writer == writer
            usage += [(account, day, calls if mine else 0, total) for account, day, calls, total in totals]
            if time.monotonic() > end:
                break
        return refused

    def _ours(self, writer: UUID) -> list[Segment]:
        waiting = call_spool.segments()
        dead = {other for other in {one.writer for one in waiting} if other != writer and not is_alive(other)}
        return [one for one in waiting if one.writer == writer or one.writer in dead]

    # --- The store ----------------------------------------------------------------------------------------------------
    def _store(
        self, segment: Segment, calls: list[Call], ready: Ready | None = None, ahead: Ahead = nothing_ahead
    ) -> Usage:
        """:raises StorageUnavailableError, StorageRefusedError: as they say."""
        try:
            if time.monotonic() >= self._partitions_due:
                partitions.make_around(timezone.now())
                self._partitions_due = time.monotonic() + PARTITIONS_EVERY
            return self._store_once(segment, ready.batch if ready else self._recorder.cleaner.batch(calls), ahead)
        except (DataError, IntegrityError) as failure:
            connection.close()
            raise StorageRefusedError(type(failure).__name__) from failure
        except StoreError as failure:  # a table that is not there yet included: a gate may start before its migrations
            connection.close()
            self._ask_at = time.monotonic() + ASK_AGAIN
            logger.warning("call_log_unavailable", error=type(failure).__name__)
            raise StorageUnavailableError(type(failure).__name__) from failure

    def _store_once(self, segment: Segment, batch: Batch, ahead: Ahead) -> Usage:
        now = timezone.now()
        with transaction.atomic():
            about = {"started_at": now, "seen_at": now}
            row, _ = CallWriter.objects.select_for_update().get_or_create(id=segment.writer, defaults=about)
            taken_before = row.batches >= segment.number
            if taken_before:
                return raise_usage(by_kind(batch), by_nothing=True)
            kinds = self._recorder.record(batch, meanwhile=lambda: self._get_ready(ahead))
            row.store(segment.calls, number=segment.number, at=now)
            return raise_usage(kinds)

    def _get_ready(self, ahead: Ahead) -> None:
        """Clean the next batch. What is wrong with that one is found out anew, and told, when it is its turn.

        SQLite works in this thread and lets nobody else write meanwhile: that would only take longer.
        """
        if connection.vendor == "sqlite":
            return
        with suppress(Exception):
            if packs := ahead():
                calls = _calls(packs)
                self._ready = Ready(packs, calls, self._recorder.cleaner.batch(calls))

    def close(self) -> None:
        connection.close()


def _calls(packs: Iterable[Pack]) -> list[Call]:
    return [call for pack in packs for call in pack.calls]
