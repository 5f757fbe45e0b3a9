"""A whole gate but for sockets, threads, store and clock: what it is given and when things happen is for the caller.

It keeps the credentials below. What it has to ask the store for, or another thread, waits until `Wire.settle`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID

from accounts.models import Account
from apikeys import secrets
from apikeys.gate.app import Gate, GateProtocol
from apikeys.gate.store import Credential
from apikeys.secrets import Kind
from auditlog.call_storage import Pack, Taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from apikeys.gate.known import Digests, Waiter
    from auditlog.calls import Call, CallWriter

HIGH_WATER = 65_536  # bytes of answers that wait in a transport until it pauses the protocol
MANY = 10**12


def _secret(kind: Kind, letter: str) -> str:
    """The same in each run, so that what a fuzzer found can be tried again."""
    body = letter * secrets.RANDOM_LENGTH
    return f"{secrets.prefixes()[kind]}_{body}{secrets.checksum(body)}"


KEY = _secret(Kind.API_KEY, "K")
APP = _secret(Kind.PRIVATE_APP, "A")
DEAD = _secret(Kind.API_KEY, "D")  # was rotated away
LATE = _secret(Kind.API_KEY, "L")  # counts, but the store is asked first
UNKNOWN = _secret(Kind.API_KEY, "U")  # well-formed, and the store does not know it


class ManualLoop:
    """As much of an event loop as a gate needs: `run` calls what was to be called soon, and timers never go off.

    What is for another thread waits for `Bench.settle`.
    """

    def __init__(self) -> None:
        self.ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.elsewhere: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:  # noqa: ARG002 -- asyncio passes it
        self.ready.append((callback, args))

    call_soon_threadsafe = call_soon

    def call_later(self, *_: Any, **__: Any) -> Any:
        handle = SimpleNamespace(is_cancelled=False)
        handle.cancel = lambda: setattr(handle, "is_cancelled", True)
        handle.cancelled = lambda: handle.is_cancelled
        return handle

    def run_in_executor(self, *_: Any) -> Any:
        """Only /metrics has something done elsewhere; what it says is not what is tested here."""
        told: list[Callable[[Any], None]] = []
        self.elsewhere.append(lambda: told[0](SimpleNamespace(result=lambda: b"metrics\n")))
        return SimpleNamespace(add_done_callback=told.append)

    def is_closed(self) -> bool:
        return False

    def run(self) -> None:
        while self.ready:
            callback, args = self.ready.popleft()
            callback(*args)


class NoStorage:
    def open(self) -> None:
        pass

    def pack(self, calls: list[Call]) -> Pack:
        return Pack(len(calls), None)

    def store(self, *_: Any, **__: Any) -> Taken:
        return Taken()

    def close(self) -> None:
        pass


class Bench:
    """The gate; `with` makes its loop this thread's running one, as it is for a gate in operation."""

    def __init__(self) -> None:
        self.loop = ManualLoop()
        self.waiting: list[tuple[Digests, Waiter]] = []
        self.calls: list[Call] = []
        with self:
            self.gate = Gate(NoStorage())
        self.gate.writer.start()  # it is not needed, and lets go of its file
        self.gate.writer.stop()
        self.gate.windows.sharing = None  # this process has all of each limit
        self.gate.known.fresh_until = inf
        cast("Any", self.gate).put = self.calls.append
        cast("Any", self.gate).counts = SimpleNamespace(set=lambda _: None)
        self.gate.writer = cast("CallWriter", SimpleNamespace(put=self.calls.append, queued=0))
        cast("Any", self.gate.known).ask = self._ask
        for secret, kind, end in [
            (KEY, Kind.API_KEY, ""),
            (APP, Kind.PRIVATE_APP, ""),
            (DEAD, Kind.API_KEY, "rotated"),
        ]:
            self.gate.known.keep(_credential(secret, kind, end))
        self._kept = self.gate.known.kept.copy()

    def __enter__(self) -> Self:
        asyncio._set_running_loop(cast("asyncio.AbstractEventLoop", self.loop))  # noqa: SLF001 -- there for who makes a loop
        return self

    def __exit__(self, *_: object) -> None:
        asyncio._set_running_loop(None)  # noqa: SLF001 -- what it ran before is over

    def connect(self, peer: str = "127.0.0.1") -> Wire:
        return Wire(self, peer)

    def forget(self) -> None:
        """Be as at the beginning, for the next one."""
        self.calls.clear()
        self.waiting.clear()
        self.loop.ready.clear()
        self.loop.elsewhere.clear()
        self.gate.known.unknown.clear()
        self.gate.known.kept.clear()
        self.gate.known.kept.update(self._kept)

    def _ask(self, digests: Digests, waiter: Waiter) -> bool:
        self.waiting.append((digests, waiter))
        return True

    def settle(self) -> bool:
        """Let the store and other threads answer what they were asked; whether there was something."""
        asked, self.waiting = self.waiting, []
        done, self.loop.elsewhere = self.loop.elsewhere, []
        late = secrets.newest_digest(LATE)
        for digests, waiter in asked:
            if digests[0] == late:
                self.gate.known.keep(_credential(LATE, Kind.API_KEY, ""))
            else:
                self.gate.known.unknown.add(digests[0])
            waiter()
        for tell in done:
            tell()
        self.loop.run()
        return bool(asked or done)


class Transport:
    """What asyncio promises of one, and no more; it objects to what would be wrong on a socket."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self.protocol: GateProtocol | None = None
        self.written = b""
        self.unsent = 0  # bytes that the other end has not taken
        self.is_reading, self.is_paused, self._is_closing = True, False, False
        self.takes_all, self.is_aborted = True, False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self._peer, 50_000) if name == "peername" else default

    def write(self, data: bytes) -> None:
        assert not self._is_closing, "It writes to a transport that is closing."
        assert data, "It writes nothing."
        self.written += data
        if not self.takes_all:
            self.unsent += len(data)
            if self.unsent > HIGH_WATER and not self.is_paused:
                self.is_paused = True
                assert self.protocol is not None
                self.protocol.pause_writing()

    def drain(self) -> None:
        """The other end takes what waits for it."""
        self.unsent = 0
        if self.is_paused:
            self.is_paused = False
            assert self.protocol is not None
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        assert not self.is_paused, "It reads on although its answers are not taken: they would pile up."
        self.is_reading = True

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = self.is_aborted = True

    def is_closing(self) -> bool:
        return self._is_closing


class Wire:
    """One connection to a bench's gate, seen from the other end."""

    def __init__(self, bench: Bench, peer: str) -> None:
        self._bench = bench
        state = SimpleNamespace(connections=bench.gate.connections)
        self.protocol = GateProtocol(None, state, {"gate": bench.gate})
        self.transport = Transport(peer)
        self.transport.protocol = self.protocol
        self.protocol.connection_made(cast("asyncio.BaseTransport", self.transport))
        self.has_waited = False

    @property
    def answered(self) -> bytes:
        return self.transport.written

    @property
    def is_closed(self) -> bool:
        return self.transport.is_closing()

    def send(self, data: bytes) -> None:
        """Let these bytes come, in one turn of the loop, once the gate reads; not if it has closed."""
        while not self.transport.is_reading and not self.is_closed:
            assert self.settle() or self.transport.is_paused, "It does not read, and nothing would make it."
            self.transport.drain()
        if data and not self.is_closed:
            self.protocol.data_received(data)
            self._bench.loop.run()
            self.has_waited = self.has_waited or self.protocol.waiting

    def settle(self) -> bool:
        return self._bench.settle()

    def end(self) -> None:
        """Say that no more will be sent, take every answer, and be gone."""
        self.send(b"")
        if not self.is_closed:
            keeps = self.protocol.eof_received()
            self._bench.loop.run()
            if not keeps:
                self.transport.close()
        while self.settle():
            pass
        self.transport.drain()
        assert self.is_closed, "It keeps a connection whose other end has gone."
        self.lose()

    def lose(self) -> None:
        self.transport.close()
        self.protocol.connection_lost(None)
        self._bench.loop.run()


def _credential(secret: str, kind: Kind, end: str) -> Credential:
    return Credential(
        digest=secrets.newest_digest(secret), id=UUID(int=1), kind=kind, end=end, scopes=None, account_id=1,
        account_number=1, account_slug="acme", account_state=Account.State.OPEN, burst_limit=MANY, daily_limit=MANY,
        time_zone="UTC",
    )  # fmt: skip
