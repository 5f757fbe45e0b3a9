"""The call writer: puts calls into the call log without any call waiting for it (G7).

A call is counted as issued, in a file that is mapped into memory and so survives the death of the process, before its
answer leaves; then it goes into a bounded queue. A thread writes the queue out in batches, and each batch's own
transaction raises the count of stored calls, the account's usage of the day and the credential's last use. If the queue
is full, the newest call is dropped. Issued less stored is what was lost, to the call, whatever happened.
"""

import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from threading import Event, Thread, main_thread
from uuid import uuid4

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.utils import Error as StoreError
from django.utils import timezone

from auditlog import models
from auditlog.call_counts import CountsFile
from auditlog.call_rows import NOBODY, Call, Cleaner, Usage, Who, raise_usage, store_calls, store_last_uses
from auditlog.connections import take_private_connection

__all__ = ["NOBODY", "STOP_SECONDS", "Call", "CallWriter", "Usage", "Who"]

QUEUE_LIMIT = 50_000  # calls; about 30 MB
BATCH_LIMIT = 20_000
QUIET_SECONDS = 0.25  # between batches
BUSY_SECONDS = 1.0  # the same after one of more than BUSY_BATCH calls: a larger batch costs less a call
BUSY_BATCH = 1_000
RETRY_SECONDS = 1.0
STOP_SECONDS = 3.0  # how long the end of a process waits for the store to take what is queued

logger = structlog.get_logger(__name__)


class CallWriter:
    """One process's writer. `put` is for one thread at a time, which spares the gate a lock."""

    def __init__(
        self,
        *,
        mask: Callable[[str], str],
        on_usage: Callable[[Usage], None] = lambda _: None,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        """Open the writer's counts.

        :param mask: hides secrets in a path or user agent.
        :param on_usage: hears, in the writer's thread, what a stored batch brought the days' totals to.
        """
        self.id = uuid4()
        self._queue: deque[Call] = deque()
        self._queue_limit = queue_limit
        self._cleaner = Cleaner(mask)
        self._on_usage = on_usage
        self._file = CountsFile(self.id)
        self._counts = self._file.numbers
        self._stored = 0
        self._tried = 0  # size of a batch of which it is not known whether the store took it
        self._patience = STOP_SECONDS
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="call-writer")  # no daemon: the end of the process waits for it

    def start(self) -> None:
        self._thread.start()

    def put(self, call: Call) -> None:
        """Count a call as issued and queue it."""
        self._counts[0] += 1
        if len(self._queue) < self._queue_limit:
            self._queue.append(call)
        else:
            self._counts[1] += 1

    def stop(self, *, patience: float = STOP_SECONDS) -> None:
        """Write out what is queued, and end; what the store has not taken after `patience` seconds is lost."""
        self._patience = patience
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        """Write batches until told to stop, or until the process's main thread has ended; then the rest."""
        take_private_connection()
        while not self._stopping.is_set() and main_thread().is_alive():
            stored = self._write_batch()
            if stored < BATCH_LIMIT:
                self._stopping.wait(_pause(stored))
        deadline = time.monotonic() + self._patience
        while self._queue and time.monotonic() < deadline:
            if self._write_batch() < 0:
                time.sleep(RETRY_SECONDS / 10)
        connection.close()
        self._file.close()

    def _write_batch(self) -> int:
        """Store the oldest calls of the queue; how many, or -1 if the store did not take them."""
        batch = list(islice(self._queue.copy(), self._tried or BATCH_LIMIT))
        if not batch:
            return 0
        usage: Usage = []
        try:
            usage = self._store(batch)
        except (OperationalError, InterfaceError) as failure:
            logger.warning("call_log_unavailable", error=type(failure).__name__, queued=len(self._queue))
            self._tried = len(batch)
            connection.close()
            return -1
        except StoreError:  # the batch itself is at fault, and would be again
            logger.exception("call_log_refused", calls=len(batch))
            connection.close()
            self._counts[2] += len(batch)
        self._tried = 0
        for _ in batch:
            self._queue.popleft()
        self._on_usage(usage)
        return len(batch)

    def _store(self, batch: list[Call]) -> Usage:
        with transaction.atomic():
            now = timezone.now()
            writer, _ = models.CallWriter.objects.get_or_create(
                id=self.id, defaults={"started_at": now, "seen_at": now}
            )
            taken_before = self._tried and writer.stored == self._stored + len(batch)
            if not taken_before:
                store_calls(self._cleaner.rows(sorted(batch, key=_account)))  # neighbours in the indexes
                store_last_uses(batch)
                writer.store(len(batch), at=now)
            usage = raise_usage(batch, by_nothing=bool(taken_before))
        self._stored += len(batch)
        return usage


def _pause(stored: int) -> float:
    """Seconds until the next batch, after one of so many calls."""
    if stored < 0:
        return RETRY_SECONDS
    return BUSY_SECONDS if stored > BUSY_BATCH else QUIET_SECONDS


def _account(call: Call) -> int:
    return call[0][0] or 0
