"""A process of its own that stores the calls of another.

A child costs the gate a quarter of a microsecond a call (marshalling) instead of what cleaning and storing a row cost,
and leaves it its interpreter lock. Calls are marshalled by the few hundred, soon after they were made: a second's calls
as objects would by then have left the processor's cache, and so would have what else the gate works with.
"""

import gc
import marshal
import os
import signal
import struct
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from itertools import count, islice
from typing import IO, Any, cast
from uuid import UUID

from auditlog.call_rows import Call
from auditlog.call_storage import (
    Ahead,
    LocalStorage,
    Pack,
    Storage,
    StorageRefusedError,
    StorageUnavailableError,
    Taken,
    nothing_ahead,
    same,
)

NICENESS = 10  # of the child: answering calls comes before storing them
PIPE_SIZE = 1_048_576  # bytes: what an unprivileged process may have (pipe(7)); a few packs, written without waiting
COLLECT_EVERY = 16  # batches
MOST_PARTS = os.sysconf("SC_IOV_MAX")  # of one writev(2)
FRAME = struct.Struct("<I")  # before each message, its length in bytes


class ProcessStorage:
    """Stores in a child process, which ends when its input does, and is started again if it ends before."""

    def __init__(self, command: Sequence[str]) -> None:
        """:param command: of a program that calls `serve`."""
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None
        self._sent_ahead: Sequence[Pack] = ()  # which the child has, and forgets if the next batch is another

    def open(self) -> None:
        self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=PIPE_SIZE)  # noqa: S603 -- our own program
        return self._child

    def pack(self, calls: list[Call]) -> Pack:
        return Pack(len(calls), marshal.dumps(calls))

    def store(
        self, batch: Sequence[Pack], *, writer: UUID, number: int, hurry: bool = False, ahead: Ahead = nothing_ahead
    ) -> Taken:
        try:
            outcome, said = self._ask(batch, (writer.hex, number, hurry), () if hurry else ahead())
        except (OSError, EOFError) as failure:
            self.close()
            raise StorageUnavailableError("the storing process ended") from failure
        if outcome == "unavailable":
            raise StorageUnavailableError(said)
        if outcome == "refused":
            raise StorageRefusedError(said)
        return Taken(*said)

    def _ask(self, batch: Sequence[Pack], about: tuple[str, int, bool], ahead: Sequence[Pack]) -> tuple[str, Any]:
        child = self._child or self._start()
        to, back = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)  # both are pipes
        is_there = bool(batch) and same(batch, self._sent_ahead)
        packs = [*(() if is_there else batch), *ahead]
        messages = [marshal.dumps((*about, is_there, len(packs) - len(ahead), len(ahead)))]
        messages += (pack.calls for pack in packs)
        self._sent_ahead = ahead
        _write(to.fileno(), [part for message in messages for part in (FRAME.pack(len(message)), message)])
        answer: tuple[str, Any] = _receive(back)
        return answer

    def close(self) -> None:
        child, self._child = self._child, None
        self._sent_ahead = ()
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
    gc.freeze()
    gc.disable()  # a batch's calls are in no cycle, and looking for one a third of what they cost
    early: Sequence[Pack] = ()
    with suppress(EOFError, BrokenPipeError):
        for served in count(1):
            early = _serve_one(storage, batches, answers, early)
            if served % COLLECT_EVERY == 0:
                gc.collect()
    storage.close()


def _serve_one(storage: Storage, batches: IO[bytes], answers: IO[bytes], early: Sequence[Pack]) -> Sequence[Pack]:
    """What came ahead this time.

    :param early: what did so the last time.
    :raises EOFError, BrokenPipeError: if the parent has ended.
    """
    writer, number, hurry, is_there, packs, packs_ahead = _receive(batches)
    batch = early if is_there else [storage.pack(_receive(batches)) for _ in range(packs)]

    @cache
    def ahead() -> Sequence[Pack]:
        """If the parent ends amid these, what came before is stored all the same."""
        with suppress(EOFError):
            return [storage.pack(_receive(batches)) for _ in range(packs_ahead)]
        return ()

    outcome = _outcome(storage, batch, UUID(writer), number, hurry=hurry, ahead=ahead)
    came = ahead()  # whether or not the storage asked: it is in the pipe before what comes next
    _send(answers, marshal.dumps(outcome))
    answers.flush()
    return came


def _outcome(
    storage: Storage, batch: Sequence[Pack], writer: UUID, number: int, *, hurry: bool, ahead: Ahead
) -> tuple[str, Any]:
    try:
        usage, *others = storage.store(batch, writer=writer, number=number, hurry=hurry, ahead=ahead)
    except StorageUnavailableError as failure:
        return "unavailable", str(failure)
    except StorageRefusedError as failure:
        return "refused", str(failure)
    return "taken", (list(usage), *others)


def _send(stream: IO[bytes], data: bytes) -> None:
    """Send one message, marshalled: it is between two processes of one program, no other reads it."""
    stream.write(FRAME.pack(len(data)))
    stream.write(data)


def _write(to: int, parts: Sequence[bytes]) -> None:
    """Write all of it, in few calls: for each the gate's threads have to take the interpreter lock in turns."""
    left = deque(memoryview(part) for part in parts)
    while left:
        written = os.writev(to, list(islice(left, MOST_PARTS)))
        while left and written >= len(left[0]):
            written -= len(left.popleft())
        if written:
            left[0] = left[0][written:]


def _receive(stream: IO[bytes]) -> Any:
    frame = stream.read(FRAME.size)
    if len(frame) < FRAME.size:
        raise EOFError
    data = stream.read(FRAME.unpack(frame)[0])
    if len(data) < FRAME.unpack(frame)[0]:
        raise EOFError
    return marshal.loads(data)  # noqa: S302 -- see `_send`
