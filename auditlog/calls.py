"""The call writer: puts calls into the call log without any call waiting for it (G7).

A call is counted as issued, in a file that is mapped into memory and so survives the death of the process, before its
answer leaves; then it goes into a bounded queue. A thread hands the queue over in batches, and each batch's own
transaction raises the count of stored calls, the account's usage of the day and the credential's last use. While the
store takes nothing, batches wait on the disk, bounded too. Only if both are full is a call dropped, the newest. Issued
less stored, less what waits, is what was lost, to the call, whatever happened.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread, main_thread
from uuid import uuid4

import structlog

from auditlog.call_counts import CountsFile
from auditlog.call_rows import NOBODY, Call, Who
from auditlog.call_storage import Pack, Storage, StorageRefusedError, StorageUnavailableError, Taken
from auditlog.call_tables import Usage

__all__ = ["NOBODY", "STOP_SECONDS", "Call", "CallWriter", "Usage", "Who"]

QUEUE_LIMIT = 250_000  # calls; about 35 MB
PACK_SIZE = 250  # calls: few enough to be in the processor's cache still, and packed within 0.1 ms
BATCH_LIMIT = 20_000  # calls
QUIET_SECONDS = 0.25  # between batches
BUSY_SECONDS = 1.0  # the same after one of more than BUSY_BATCH calls: a larger batch costs less a call
BUSY_BATCH = 1_000
RETRY_SECONDS = 1.0
REST_SECONDS = 5.0  # between batches while they go onto the disk, where each is a file
LOOK_SECONDS = 60.0  # how often a writer looks for what dead ones have left on the disk
STOP_SECONDS = 3.0  # how long the end of a process waits for the store; then what is queued goes onto the disk

logger = structlog.get_logger(__name__)


class CallWriter:
    """One process's writer. `put` is for one thread at a time, which spares the gate a lock."""

    def __init__(
        self,
        storage: Storage,
        *,
        on_usage: Callable[[Usage], None] = lambda _: None,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        """Open the writer's counts.

        :param storage: where the batches go; used in the writer's thread alone.
        :param on_usage: hears, in the writer's thread, what a stored batch brought the days' totals to.
        """
        self.id = uuid4()
        self._queue: deque[Call] = deque()  # the newest calls, up to PACK_SIZE
        self._packs: deque[Pack] = deque()  # those before them
        self._pack_size = min(PACK_SIZE, queue_limit)
        self._packs_limit = queue_limit // self._pack_size - 1
        self._batch_limit = BATCH_LIMIT // self._pack_size  # packs
        self._batch: list[Pack] = []  # taken from the queue, not known to be stored
        self._storage = storage
        self._on_usage = on_usage
        self._file = CountsFile(self.id)
        self._counts = self._file.numbers
        self._issued = 0
        self._number = 0  # of the batch
        self._stalled, self._look_at = False, 0.0  # whether batches go onto the disk; when to see to what waits there
        self._patience = STOP_SECONDS
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="call-writer")  # no daemon: the end of the process waits for it

    def start(self) -> None:
        self._thread.start()

    @property
    def queued(self) -> int:
        """Calls that are not known to be stored, give or take a pack that is being moved."""
        return sum(pack.size for pack in self._batch) + len(self._packs) * self._pack_size + len(self._queue)

    def put(self, call: Call) -> None:
        """Count a call as issued and queue it."""
        self._counts[0] = self._issued = self._issued + 1
        queue = self._queue
        if len(queue) < self._pack_size:
            queue.append(call)
        elif len(self._packs) < self._packs_limit:
            self._packs.append(self._pack())
            queue.append(call)
        else:
            self._counts[1] += 1

    def _pack(self) -> Pack:
        """Take the oldest calls out of the queue. Two threads may, so that it may end before its length says so."""
        calls: list[Call] = []
        take = self._queue.popleft
        with suppress(IndexError):
            while len(calls) < self._pack_size:
                calls.append(take())
        return self._storage.pack(calls)

    def stop(self, *, patience: float = STOP_SECONDS) -> None:
        """Hand over what is queued. What the store has not taken after `patience` seconds waits on the disk."""
        self._patience = patience
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        """Hand batches over until told to stop, or until the process's main thread has ended; then the rest."""
        self._storage.open()
        while not self._stopping.is_set() and main_thread().is_alive():
            stored = self._write_batch()
            if stored < 0 or len(self._packs) < self._batch_limit:
                self._stopping.wait(_pause(stored))
        self._stopping.set()
        deadline = time.monotonic() + self._patience
        while self._batch or self._packs or self._queue:
            hurry = time.monotonic() > deadline
            if self._write_batch(hurry=hurry) < 0:
                if hurry:
                    break
                time.sleep(RETRY_SECONDS / 10)
        self._storage.close()
        self._file.close()

    def _write_batch(self, *, hurry: bool = False) -> int:
        """Hand over the oldest calls; how many, or -1 if neither the store nor the disk took them."""
        if self._rests():
            return 0
        if not self._batch:
            self._batch = self._take_batch()
            self._number += 1
        size = sum(pack.size for pack in self._batch)
        if not size and time.monotonic() < self._look_at:
            self._batch = []
            return 0
        taken = Taken()
        try:
            taken = self._storage.store(
                self._batch, writer=self.id, number=self._number, hurry=hurry, ahead=self._packs_ahead
            )
        except StorageUnavailableError as failure:
            logger.warning("call_log_unavailable", error=str(failure), queued=self.queued)
            return -1
        except StorageRefusedError as failure:
            logger.error("call_log_refused", error=str(failure), calls=size)  # noqa: TRY400 -- a trace could show a row
            self._counts[2] += size
        self._batch = []
        self._counts[2] += taken.refused
        self._stalled = taken.waiting and not taken.reachable
        rest = REST_SECONDS if self._stalled else 0 if taken.waiting else LOOK_SECONDS
        self._look_at = time.monotonic() + rest
        self._on_usage(taken.usage)
        return size

    def _rests(self) -> bool:
        """While batches go onto the disk, few calls stay in memory for a while."""
        is_early = self._stalled and time.monotonic() < self._look_at
        return is_early and len(self._packs) < self._batch_limit and not self._stopping.is_set()

    def _packs_ahead(self) -> list[Pack]:
        """The next batch, if it is whole by now: nobody else takes packs, so that `_take_batch` will find the same."""
        limit = self._batch_limit
        return [self._packs[n] for n in range(limit)] if len(self._packs) >= limit else []

    def _take_batch(self) -> list[Pack]:
        """The oldest packs, and if that is all, what is not packed yet."""
        packs = self._packs
        batch = [packs.popleft() for _ in range(min(len(packs), self._batch_limit))]
        if not packs and self._queue:
            batch.append(self._pack())
        return batch


def _pause(stored: int) -> float:
    """Seconds until the next batch, after one of so many calls."""
    if stored < 0:
        return RETRY_SECONDS
    return BUSY_SECONDS if stored > BUSY_BATCH else QUIET_SECONDS
