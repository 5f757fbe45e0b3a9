"""A gate under all that may be sent to it, over real sockets: no 5xx, no hang, no growth.

Whoever asks for what a fuzzer begins with, right and wrong, cuts it into pieces, and takes the answers or hangs up. The
short form is a few seconds; `SOAK_SECONDS=600 ./portal test tests/test_gate_soak.py` goes on for so long.
"""

import os
import random
import socket
import time
from collections import Counter
from pathlib import Path
from threading import Event, Thread

import pytest

from apikeys import secrets
from apikeys.secrets import Kind
from tests.factories import ApiKeyFactory
from tests.fuzz.bench import APP, DEAD, KEY, LATE, UNKNOWN
from tests.fuzz.corpus import seeds
from tests.fuzz.judge import pieces
from tests.gates import HOST, ProcessGate, ask, bearer
from tests.waiting import until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.once("asks the store little"),
]

SECONDS = float(os.environ.get("SOAK_SECONDS", "6"))
CLIENTS = 6
HANG_SECONDS = 20  # longer than the gate gives any client
GROWTH = 12 * 1024 * 1024  # bytes, at most, after a third of the time: caches fill, however long it goes on
STORE_FILES = 5  # opened when the store is first asked something
MOST_KEPT = 40  # connections that hang about unused


class Client:
    """One stream after another, each on a connection of its own."""

    def __init__(self, port: int, streams: list[bytes], seed: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.hung: list[bytes] = []
        self._port, self._streams = port, streams
        self._chance = random.Random(seed)  # noqa: S311 -- to be repeatable
        self._kept: list[socket.socket] = []

    def go_on_until(self, stop: Event) -> None:
        while not stop.is_set():
            self._send(self._chance.choice(self._streams))
        for each in self._kept:
            each.close()

    def _send(self, stream: bytes) -> None:
        one = socket.create_connection((HOST, self._port), timeout=HANG_SECONDS)
        try:
            for piece in pieces(stream, self._chance.randrange(6)):
                one.sendall(piece)
            how = self._chance.random()
            if how < 0.1:
                return  # without having heard
            if how < 0.2:
                self._keep(one)
                return
            one.shutdown(socket.SHUT_WR)
            self._hear(one)
        except TimeoutError:
            self.hung.append(stream)
        except OSError:
            pass  # it was refused before it was all sent
        finally:
            if one not in self._kept:
                one.close()

    def _keep(self, one: socket.socket) -> None:
        self._kept.append(one)
        if len(self._kept) > MOST_KEPT // CLIENTS:
            self._kept.pop(0).close()

    def _hear(self, one: socket.socket) -> None:
        heard = b""
        while more := one.recv(65_536):
            heard += more
        self.statuses.update(int(part[:3]) for part in heard.split(b"HTTP/1.1 ")[1:])


def soak(gate: ProcessGate, streams: list[bytes], *, seconds: float) -> tuple[list[Client], int]:
    """The clients that did it; by how many bytes the gate grew after a third of the time."""
    stop = Event()
    clients = [Client(gate.port, streams, seed) for seed in range(CLIENTS)]
    threads = [Thread(target=client.go_on_until, args=[stop]) for client in clients]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 3)
    before = memory(gate.pid)
    time.sleep(seconds * 2 / 3)
    after = memory(gate.pid)
    stop.set()
    for thread in threads:
        thread.join()
    return clients, after - before


def memory(pid: int) -> int:
    """Bytes that only this process holds."""
    said = Path(f"/proc/{pid}/smaps_rollup").read_text().split()
    return int(said[said.index("Private_Dirty:") + 1]) * 1024


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def streams_of(secret: str) -> list[bytes]:
    """What a fuzzer begins with, with secrets of this installation."""
    ours = {KEY: secret, **{each: secrets.generate(Kind.API_KEY) for each in (DEAD, LATE, UNKNOWN)}}
    ours[APP] = secrets.generate(Kind.PRIVATE_APP)
    found = []
    for stream in seeds():
        for fixed, new in ours.items():
            stream = stream.replace(fixed.encode(), new.encode())  # noqa: PLW2901 -- one secret after another
        found.append(stream)
    return found


def test_nothing_that_is_sent_makes_a_gate_fail_hang_or_grow() -> None:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__burst_limit=10**9)
    with ProcessGate() as gate:
        assert ask(gate.port, bearer(secret)).status == 204
        files = open_files(gate.pid)

        clients, grown = soak(gate, streams_of(secret), seconds=SECONDS)

        statuses = sum((client.statuses for client in clients), Counter[int]())
        assert [stream for client in clients for stream in client.hung] == []
        assert statuses[204] > 100
        assert statuses[401] > 100
        assert {status for status in statuses if status >= 500} <= {503}  # where the machine is too busy for a poll
        assert statuses[503] < statuses[204]
        assert grown < GROWTH
        until(lambda: open_files(gate.pid) <= files + STORE_FILES)
        assert ask(gate.port, bearer(secret)).status == 204


def test_a_gate_that_keeps_what_it_was_sent_is_noticed() -> None:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__burst_limit=10**9)
    with ProcessGate(twist="keeps what it was sent") as gate:
        ask(gate.port, bearer(secret))

        _, grown = soak(gate, streams_of(secret), seconds=SECONDS)

    assert grown > GROWTH
