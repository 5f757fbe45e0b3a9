"""Where the call writer's batches go: into the store, by this process or by a child of its own.

A child costs the gate a quarter of a microsecond a call (marshalling) instead of what cleaning and storing a row cost,
and leaves it its interpreter lock. Calls are marshalled by the few hundred, soon after they were made: a second's calls
as objects would by then have left the processor's cache, and so would have what else the gate works with.
"""

import marshal
import os
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any, NamedTuple, Protocol, cast
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.utils import Error as StoreError
from django.utils import timezone

from auditlog import partitions
from auditlog.call_rollups import RollUps
from auditlog.call_rows import Call, Cleaner, Usage, raise_usage, store_calls, store_last_uses
from auditlog.connections import take_private_connection
from auditlog.models import CallWriter

PARTITIONS_EVERY = 3_600  # seconds: how often partitions are made ahead
NICENESS = 10  # of the child: answering calls comes before storing them
PIPE_SIZE = 1_048_576  # bytes: what an unprivileged process may have (pipe(7)); a few packs, written without waiting
FRAME = struct.Struct("<I")  # before each message, its length in bytes


class StorageUnavailableError(Exception):
    """The store did not take the batch, or it is not known whether it did: try the same batch again."""


class StorageRefusedError(Exception):
    """The batch itself is at fault, and would be again."""


class Pack(NamedTuple):
    """Some calls, in the form in which their storage takes them."""

    size: int
    calls: Any


class Storage(Protocol):
    """Used by one thread, the one that opens it; but `pack` by any."""

    def open(self) -> None: ...

    def pack(self, calls: list[Call]) -> Pack: ...

    def store(self, batch: Sequence[Pack], *, writer: UUID, stored: int, again: bool) -> Usage:
        """Store a batch and raise the writer's count, in one transaction; bring back the days' totals.

        :param stored: the writer's count before it; `again`: the batch was tried before, its end is not known.
        :raises StorageUnavailableError, StorageRefusedError: as they say.
        """

    def close(self) -> None: ...


class LocalStorage:
    """Stores in the calling thread, over a connection of its own."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._cleaner = Cleaner(mask)
        self._roll_ups = RollUps()
        self._partitions_due = 0.0  # by the monotonic clock

    def open(self) -> None:
        take_private_connection()

    def pack(self, calls: list[Call]) -> Pack:
        return Pack(len(calls), calls)

    def store(self, batch: Sequence[Pack], *, writer: UUID, stored: int, again: bool) -> Usage:
        try:
            return self._store([call for pack in batch for call in pack.calls], writer, stored, again=again)
        except (OperationalError, InterfaceError) as failure:
            connection.close()
            raise StorageUnavailableError(type(failure).__name__) from failure
        except StoreError as failure:
            connection.close()
            raise StorageRefusedError(type(failure).__name__) from failure

    def _store(self, batch: list[Call], writer: UUID, stored: int, *, again: bool) -> Usage:
        now = timezone.now()
        if time.monotonic() >= self._partitions_due:
            partitions.make_around(now)
            self._partitions_due = time.monotonic() + PARTITIONS_EVERY
        with transaction.atomic():
            row, _ = CallWriter.objects.get_or_create(id=writer, defaults={"started_at": now, "seen_at": now})
            taken_before = again and row.stored == stored + len(batch)
            if not taken_before:
                batch.sort(key=_account)  # neighbours in the index
                store_calls(self._cleaner, batch)
                store_last_uses(batch)
                self._roll_ups.add(self._cleaner, batch)
                row.store(len(batch), at=now)
            return raise_usage(batch, by_nothing=taken_before)

    def close(self) -> None:
        connection.close()


def _account(call: Call) -> int:
    return call[0][0] or 0


# --- A process of its own -----------------------------------------------------------------------------------------
class ProcessStorage:
    """Stores in a child process, which ends when its input does, and is started again if it ends before."""

    def __init__(self, command: Sequence[str]) -> None:
        """:param command: of a program that calls `serve`."""
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=PIPE_SIZE)  # noqa: S603 -- our own program
        return self._child

    def pack(self, calls: list[Call]) -> Pack:
        return Pack(len(calls), marshal.dumps(calls))

    def store(self, batch: Sequence[Pack], *, writer: UUID, stored: int, again: bool) -> Usage:
        try:
            answer = self._ask(batch, (writer.hex, stored, again))
        except (OSError, EOFError) as failure:
            self.close()
            raise StorageUnavailableError("the storing process ended") from failure
        outcome, said = answer
        if outcome == "unavailable":
            raise StorageUnavailableError(said)
        if outcome == "refused":
            raise StorageRefusedError(said)
        usage: Usage = said
        return usage

    def _ask(self, batch: Sequence[Pack], about: tuple[str, int, bool]) -> tuple[str, Any]:
        child = self._child or self._start()
        to, back = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)  # both are pipes
        _send(to, marshal.dumps((*about, len(batch))))
        for pack in batch:
            _send(to, pack.calls)
        to.flush()
        answer: tuple[str, Any] = _receive(back)
        return answer

    def close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            with suppress(OSError):
                child.communicate()


def serve(mask: Callable[[str], str], *, batches: IO[bytes], answers: IO[bytes]) -> None:
    """The child: store what comes until nothing comes any more. Its parent decides when that is, no signal does."""
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.SIG_IGN)
    os.nice(NICENESS)
    storage = LocalStorage(mask)
    storage.open()
    with suppress(EOFError, BrokenPipeError):
        while True:
            writer, stored, again, packs = _receive(batches)
            batch = [storage.pack(_receive(batches)) for _ in range(packs)]
            _send(answers, marshal.dumps(_outcome(storage, batch, UUID(writer), stored, again=again)))
            answers.flush()
    storage.close()


def _outcome(storage: Storage, batch: Sequence[Pack], writer: UUID, stored: int, *, again: bool) -> tuple[str, Any]:
    try:
        return "stored", list(storage.store(batch, writer=writer, stored=stored, again=again))
    except StorageUnavailableError as failure:
        return "unavailable", str(failure)
    except StorageRefusedError as failure:
        return "refused", str(failure)


def _send(stream: IO[bytes], data: bytes) -> None:
    """Send one message, marshalled: it is between two processes of one program, no other reads it."""
    stream.write(FRAME.pack(len(data)))
    stream.write(data)


def _receive(stream: IO[bytes]) -> Any:
    frame = stream.read(FRAME.size)
    if len(frame) < FRAME.size:
        raise EOFError
    data = stream.read(FRAME.unpack(frame)[0])
    if len(data) < FRAME.unpack(frame)[0]:
        raise EOFError
    return marshal.loads(data)  # noqa: S302 -- see `_send`
