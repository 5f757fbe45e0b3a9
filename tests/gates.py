"""Gates for tests: the real server, in a thread of the test's process or as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import uvicorn
from django.conf import settings
from django.db import connection, transaction

from apikeys import secrets
from apikeys.gate.app import Gate, GateProtocol, lifespan
from apikeys.gate.store import Credential
from apikeys.secrets import Kind, mask
from auditlog.call_storage import LocalStorage
from tests.factories import AccountFactory

HOST = "127.0.0.1"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]  # by lower-case name
    body: bytes


class Connection:
    """One connection to a gate, kept."""

    def __init__(self, port: int, *, timeout: float = 10) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=timeout)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def end(self) -> None:
        """Say that no more will be sent; answers may still come."""
        self._socket.shutdown(socket.SHUT_WR)

    def answer(self, *, head: bool = False) -> Answer | None:
        """The next answer; None if the gate closed the connection without one."""
        while b"\r\n\r\n" not in self._received:
            more = self._socket.recv(65536)
            if not more:
                return None
            self._received += more
        block, _, rest = self._received.partition(b"\r\n\r\n")
        status_line, *lines = block.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = 0 if head else int(headers.get("content-length", "0"))
        while len(rest) < length:
            more = self._socket.recv(65536)
            if not more:
                return None
            rest += more
        self._received = rest[length:]
        return Answer(int(status_line.split()[1]), headers, rest[:length])

    def is_closed(self) -> bool:
        """Whether the gate closes it; waits for that."""
        return not self._received and self._socket.recv(1) == b""

    def ask(self, request: bytes) -> Answer:
        self.send(request)
        answer = self.answer()
        assert answer is not None
        return answer


def request(*headers: tuple[str, str], target: str = "/check", method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8")


def bearer(secret: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {secret}")


def ask(port: int, *headers: tuple[str, str], target: str = "/check", method: str = "GET") -> Answer:
    """One request on a connection of its own."""
    with Connection(port) as one:
        one.send(request(*headers, target=target, method=method))
        answer = one.answer(head=method == "HEAD")
        assert answer is not None
        return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class ThreadGate:
    """The server in a thread: starts in a moment, and its insides can be looked at."""

    def __init__(self) -> None:
        self.port = free_port()
        config = uvicorn.Config(
            partial(lifespan, storage=partial(LocalStorage, mask)),
            host=HOST, port=self.port, http=GateProtocol, loop="uvloop", ws="none",
            lifespan="on", interface="asgi3", proxy_headers=False, log_config=None, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.begin_to_stop()
        self._thread.join()

    def begin_to_stop(self) -> None:
        self._server.should_exit = True

    @property
    def gate(self) -> Gate:
        gate: Gate = self._server.lifespan.state["gate"]
        return gate


def granted(gate: ThreadGate, *scopes: str, kind: Kind = Kind.PRIVATE_APP, end: str = "", burst: int = 100) -> str:
    """A credential with these scopes, as the gate keeps one that it has read; its secret."""
    secret, account = secrets.generate(kind), AccountFactory.create(slug="acme")
    credential = Credential(
        digest=secrets.newest_digest(secret), id=uuid4(), kind=kind, end=end, account_id=account.pk,
        account_number=account.number, account_slug=account.slug, account_state=account.state, burst_limit=burst,
        daily_limit=1000, time_zone="UTC", scopes=frozenset(scopes),
    )  # fmt: skip
    kept = threading.Event()
    gate.gate.loop.call_soon_threadsafe(gate.gate.known.keep, credential)
    gate.gate.loop.call_soon_threadsafe(kept.set)
    assert kept.wait(5)
    return secret


class ProcessGate:
    """`python -m apikeys.gate`, on the test's database; with `log` all that it says, in that file.

    With `twist` one of `tests.faults.twisted_gate`; `store` is another database's URL.
    """

    def __init__(
        self,
        *,
        log: Path | None = None,
        redis_url: str = "",
        workers: int = 0,
        twist: str = "",
        store: str = "",
        port: int = 0,
        data_dir: Path | None = None,
    ) -> None:
        self.port = port or free_port()
        program = ["tests.faults.twisted_gate", twist] if twist else ["apikeys.gate"]
        said = log.open("wb") if log else None
        self._process = subprocess.Popen(
            [sys.executable, "-m", *program, "--port", str(self.port), "--workers", str(workers)],
            env={
                **os.environ,
                "DATABASE_URL": store or database_url(),
                "REDIS_URL": redis_url,
                "LOG_LEVEL": "DEBUG" if log else "ERROR",
                "DATA_DIR": str(data_dir or settings.DATA_DIR),
            },
            cwd=settings.BASE_DIR,
            stdout=said,
            stderr=said,
        )
        if said:
            said.close()

    def __enter__(self) -> Self:
        self.wait_until_ready()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.send(signal.SIGCONT)
        self._process.terminate()
        self._process.wait()

    def wait_until_ready(self) -> None:
        while True:
            assert self._process.poll() is None, "The gate ended at its start."
            try:
                if ask(self.port, target="/readyz").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)

    def send(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """SIGSTOP it where it holds no lock of the store: on SQLite nobody else could write meanwhile."""
        with transaction.atomic():  # SQLite: the lock is ours, so it is not the gate's
            self.send(signal.SIGSTOP)
            while _state(self._process.pid) != "T":
                time.sleep(0.001)

    def end(self, number: signal.Signals) -> int:
        """Send a signal that ends it, and wait for it and its child; its exit status."""
        child = self.storing_pid
        self._process.send_signal(number)
        status = self._process.wait()
        while _runs(child):
            time.sleep(0.02)
        return status

    def end_worker(self, number: signal.Signals) -> None:
        """Send one of its workers a signal that ends it."""
        worker = next(one for one in _children(self._process.pid) if "resource_tracker" not in _command(one))
        os.kill(worker, number)
        while _runs(worker):
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def storing_pid(self) -> int:
        """The child that stores its calls."""
        while not (found := _children(self._process.pid)):
            time.sleep(0.02)
        return found[0]


def _children(pid: int) -> list[int]:
    found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for children in found for child in children]


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def _runs(pid: int) -> bool:
    return _state(pid) not in {"Z", ""}


def _state(pid: int) -> str:
    """One letter of proc(5); empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return ""


def database_url() -> str:
    """Where the test's own database is, for another process."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    return f"postgres://{found['USER']}@{found['HOST']}:{found['PORT'] or 5432}/{found['NAME']}"
