"""The web process as `./portal up` runs it, on the tests' own database."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from pytest_django import DjangoDbBlocker

ROOT = Path(__file__).parent.parent.parent
STARTS_WITHIN = 60  # seconds; a machine under load is slow, one that does not start at all is an error


@dataclass(slots=True)
class Server:
    """A process that listens on a loopback port; what it prints goes into `log`."""

    command: list[str]
    port: int
    log: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )
        ends_at = time.monotonic() + STARTS_WITHIN
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > ends_at:
                raise RuntimeError(f"The server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


@contextmanager
def kept(process: Server, blocker: DjangoDbBlocker) -> Iterator[Server]:
    """Runs for the tests of a whole module; what it wrote after the last of them is removed."""
    process.start()
    yield process
    process.stop()
    with blocker.unblock():
        call_command("flush", verbosity=0, interactive=False)


def web(log: Path, *, application: str = "keyportal.wsgi:application", **environment: str) -> Server:
    collect_static_files()
    port = free_port()
    command = ["-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--blocking-threads", "8", application]
    return Server([sys.executable, *command], port, log, installation(port, **environment))


def gate(log: Path, **environment: str) -> Server:
    port = free_port()
    command = ["-m", "apikeys.gate", "--host", "127.0.0.1", "--port", str(port)]
    return Server([sys.executable, *command], port, log, installation(port, **environment))


def installation(port: int, **environment: str) -> dict[str, str]:
    """The environment of a process that shares this test's database and secrets."""
    return {**os.environ, "DATABASE_URL": database_url(), "SITE_ORIGIN": f"http://127.0.0.1:{port}", **environment}


@cache
def collect_static_files() -> None:
    """Into the tests' DATA_DIR: pages name their files by the manifest that this makes."""
    subprocess.run([sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"], cwd=ROOT, check=True)


def database_url() -> str:
    at = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{at['NAME']}"
    return f"postgres://{at['USER']}@{at['HOST']}:{at['PORT']}/{at['NAME']}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
