"""`./portal bench collect`: how fast gateways' access logs complete the call log.

For each store and way in, calls that lack their ending are stored first; then their lines go to
`collect_access_log`, a process of its own, and the clock runs from the first line until the last call is complete.
"""

import argparse
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.installations import HERE, can_connect, database, installation

ACCOUNTS = 1_000
LINES_A_REQUEST = 1_000
DATAGRAMS_AT_ONCE = 250
PATIENCE_SECONDS = 5.0  # without another completed call: those that lack are lost
HOST = "127.0.0.1"


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyportal-bench-")))
        stores = {"SQLite": f"sqlite:///{directory}/keyportal.sqlite3"}
        if can_connect(options.postgresql):
            stores["PostgreSQL"] = stack.enter_context(database(options.postgresql, "collect"))
        for name, url in stores.items():
            environment = installation(directory / name, url, keys=ACCOUNTS)
            for way in (Collecting.by_udp, Collecting.by_http):
                print_result(name, way.__name__, [measured(environment, way, options) for _ in range(options.rounds)])


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="portal bench collect", description="Measure the completing of calls.")
    parser.add_argument("--calls", type=int, default=50_000, help="in each round (default: 50,000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pace", type=int, default=10_000, help="datagrams a second that are sent (default: 10,000)")
    parser.add_argument(
        "--postgresql",
        default="postgres://postgres@127.0.0.1:5432",
        help="a server on which a database may be made; left out if it does not answer",
    )
    return parser.parse_args(arguments)


def measured(environment: Mapping[str, str], way: "Way", options: argparse.Namespace) -> tuple[float, int]:
    """Calls completed a second, and how many were lost."""
    ids = _stored(environment, options.calls)
    with Collecting(environment) as collecting:
        began = time.monotonic()
        way(collecting, [_line(one) for one in ids], options.pace)
        done, ended = collecting.completed(len(ids))
    return done / (ended - began), len(ids) - done


def _stored(environment: Mapping[str, str], calls: int) -> list[str]:
    """Store so many calls that the gate let through just now; their request ids."""
    said = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-m", "benchmarks.collect_calls", str(calls)],
        env={**os.environ, **environment}, cwd=HERE.parent, check=True, stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    ids: list[str] = json.loads(said)
    return ids


def _line(request_id: str) -> bytes:
    """As the example of nginx logs it."""
    said = {"request_id": request_id, "status": 200, "seconds": 0.012, "bytes": 512, "time": time.time()}
    return json.dumps(said).encode()


class Collecting:
    """`collect_access_log` as a process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._token = secrets.token_hex(32)
        self._udp, self._http = _free_port(), _free_port()
        listen = [f"--listen=udp://{HOST}:{self._udp}", f"--listen=http://{HOST}:{self._http}"]
        self._process = subprocess.Popen(  # noqa: S603 -- our own program
            [sys.executable, "manage.py", "collect_access_log", *listen],
            env={**os.environ, **environment, "ACCESS_LOG_TOKENS": self._token}, cwd=HERE.parent,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> Self:
        while True:
            try:
                socket.create_connection((HOST, self._http), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()

    def by_udp(self, lines: Sequence[bytes], pace: int) -> None:
        """Syslog as nginx sends it, no faster than the pace: what the system has no room for is lost."""
        began = time.monotonic()
        with socket.socket(type=socket.SOCK_DGRAM) as gateway:
            for number, line in enumerate(lines):
                if number % DATAGRAMS_AT_ONCE == 0:
                    time.sleep(max(began + number / pace - time.monotonic(), 0))
                gateway.sendto(b"<190>Nov 26 08:00:00 nginx: " + line, (HOST, self._udp))

    def by_http(self, lines: Sequence[bytes], _pace: int) -> None:
        """As log shippers do: a request goes once the one before is answered, and again where there was no room."""
        gateway = HTTPConnection(HOST, self._http, timeout=30)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/x-ndjson"}
        for start in range(0, len(lines), LINES_A_REQUEST):
            body = b"\n".join(lines[start : start + LINES_A_REQUEST])
            while True:
                gateway.request("POST", "/access-log", body=body, headers=headers)
                answer = gateway.getresponse()
                answer.read()
                if answer.status == 200:  # noqa: PLR2004 -- the status is its name
                    break
                time.sleep(0.1)
        gateway.close()

    def completed(self, expected: int) -> tuple[int, float]:
        """How many calls were completed, and when the last of them was; waits for as many, or until no more are."""
        done, at = 0, time.monotonic()
        while done < expected and time.monotonic() < at + PATIENCE_SECONDS:
            now = self._counted()
            if now > done:
                done, at = now, time.monotonic()
            time.sleep(0.02)
        return done, at

    def _counted(self) -> int:
        gateway = HTTPConnection(HOST, self._http, timeout=30)
        gateway.request("GET", "/metrics")
        lines = gateway.getresponse().read().decode().splitlines()
        gateway.close()
        name = 'keyportal_access_log_lines_total{outcome="completed"}'
        return next(int(float(line.split()[-1])) for line in lines if line.startswith(name))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


Way = Callable[[Collecting, Sequence[bytes], int], None]


def print_result(store: str, way: str, found: Sequence[tuple[float, int]]) -> None:
    speeds, lost = [speed for speed, _ in found], sum(number for _, number in found)
    spread = f"({min(speeds):,.0f}-{max(speeds):,.0f})"
    name = {"by_udp": "UDP, syslog", "by_http": "HTTP, POST"}[way]
    sys.stdout.write(f"{store:12}{name:14}{statistics.median(speeds):10,.0f} calls/s  {spread}, {lost:,} lost\n")
    sys.stdout.flush()
