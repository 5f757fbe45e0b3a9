"""`./portal bench gate`: the gate with limits and call log on, beside hellos that check nothing.

Every server runs on core 0; wrk, PostgreSQL and the process that stores the gate's calls on core 1. In each repetition
each gets its load in turn, the order reversed every second time. The ratio is taken within a repetition, since a shared
machine changes from one to the next. CPU is that of the server's processes, that of storing its calls beside it, and is
steadier than requests per second.
"""

import argparse
import base64
import json
import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psycopg

from benchmarks.servers import Served, Server

BASE = "granian RSGI hello"
SERVER_CORE, CLIENT_CORE = 0, 1
FIRST_PORT = 8111
KEYS = 1_000
STORED_SECONDS = 15  # until the last calls are in the store
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Result:
    """One server under load, once."""

    requests_per_second: float
    cpu_us: float  # a request, in the server
    storing_us: float  # a request, in the process that stores the calls
    p50_us: int
    p99_us: int
    bad: int


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    if not shutil.which("wrk") or not shutil.which("taskset"):
        sys.exit("This needs wrk and taskset.")
    with ExitStack() as stack:
        served = [*hellos(), *stack.enter_context(gates(options.postgresql))]
        keys = served[-1].environment or {}
        servers = [
            stack.enter_context(Server(each, port=FIRST_PORT + n, core=SERVER_CORE)) for n, each in enumerate(served)
        ]
        results: dict[str, list[Result]] = defaultdict(list)
        for server in servers:
            load(server, seconds=1, connections=options.connections, keys=keys)  # warm
            server.move_storing(CLIENT_CORE)
        move_backends(options.postgresql)
        for repetition in range(options.repetitions):
            for server in servers if repetition % 2 == 0 else reversed(servers):
                result = load(server, seconds=options.seconds, connections=options.connections, keys=keys)
                results[server.served.name].append(result)
        counted = {server.served.name: calls(server) for server in servers if server.served.stores}
    print_table(results)
    print_calls(counted)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="portal bench gate", description="Measure the gate beside hellos.")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of load, for each server and repetition")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument(
        "--postgresql",
        default="postgres://postgres@127.0.0.1:5432",
        help="a server on which a database may be made; left out if it does not answer",
    )
    return parser.parse_args(arguments)


def hellos() -> list[Served]:
    granian = ["-m", "granian", "--interface", "rsgi", "--workers", "1", "--loop", "uvloop", "--no-log", "--no-ws"]
    return [
        Served(BASE, [*granian, "--host", "127.0.0.1", "--port", "{port}", "benchmarks.hello.rsgi:app"]),
        Served("bare protocol hello", ["-m", "benchmarks.hello.bare", "{port}"]),
    ]


@contextmanager
def gates(postgresql: str) -> Iterator[list[Served]]:
    """The gate on each store that there is, with keys that are the same for all."""
    with tempfile.TemporaryDirectory(prefix="keyportal-bench-") as directory, ExitStack() as stack:
        stores = {"SQLite": f"sqlite:///{directory}/keyportal.sqlite3"}
        if can_connect(postgresql):
            stores["PostgreSQL"] = stack.enter_context(database(postgresql))
        served = []
        for name, url in stores.items():
            environment = installation(Path(directory) / name, url)
            command = ["-m", "apikeys.gate", "--port", "{port}"]
            served.append(Served(f"gate on {name}", command, "/check", environment, stores=True))
        yield served


def installation(data_dir: Path, url: str) -> dict[str, str]:
    """A portal with its own secrets and keys; the environment that its processes need, and KEYS for wrk."""
    data_dir.mkdir()
    environment = secrets_of_its_own(data_dir, url) | {"KEYS": str(data_dir / "keys.txt")}
    for command in (["migrate", "-v0"], ["seed_keys", str(KEYS), "--file", environment["KEYS"]]):
        subprocess.run(  # noqa: S603 -- our own program
            [sys.executable, "manage.py", *command],
            env={**os.environ, **environment},
            cwd=HERE.parent,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return environment


def secrets_of_its_own(data_dir: Path, url: str) -> dict[str, str]:
    """The environment of an installation in this directory, on this store."""
    ring = f"bench:{base64.b64encode(secrets.token_bytes(32)).decode()}"
    return {
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": url,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "KEY_ENCRYPTION_KEYS": ring,
        "DIGEST_PEPPERS": ring,
        "LOG_LEVEL": "ERROR",
    }


def can_connect(postgresql: str) -> bool:
    try:
        psycopg.connect(f"{postgresql}/postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def move_backends(postgresql: str) -> None:
    """Hold the PostgreSQL server's processes that work for us to the clients' core, where they run here and we may."""
    if not can_connect(postgresql):
        return
    with psycopg.connect(f"{postgresql}/postgres") as server:
        ours = "datname LIKE 'keyportal_bench_%' OR backend_type IN ('walwriter', 'checkpointer', 'background writer')"
        pids = [pid for (pid,) in server.execute(f"SELECT pid FROM pg_stat_activity WHERE {ours}")]  # noqa: S608 -- above
    for pid in pids:
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == "postgres\n":
                os.sched_setaffinity(pid, {CLIENT_CORE})


@contextmanager
def database(postgresql: str) -> Iterator[str]:
    """A new database, dropped at the end."""
    name = f"keyportal_bench_{os.getpid()}"
    with psycopg.connect(f"{postgresql}/postgres", autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{postgresql}/{name}"
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def load(server: Server, *, seconds: int, connections: int, keys: Mapping[str, str]) -> Result:
    """Load one server with wrk."""
    environment = server.served.environment or keys
    before = server.cpu_seconds()
    command = [
        "taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency",
        "-s", str(HERE / "rotate.lua"), f"http://127.0.0.1:{server.port}{server.served.path}",
    ]  # fmt: skip
    done = subprocess.run(  # noqa: S603 -- see above
        command, env={**os.environ, **environment}, check=True, capture_output=True, text=True
    )
    said = json.loads(done.stdout.rpartition("RESULT ")[2])
    after = server.cpu_seconds()
    return Result(
        requests_per_second=said["requests"] / said["seconds"],
        cpu_us=(after[0] - before[0]) / said["requests"] * 1e6,
        storing_us=(after[1] - before[1]) / said["requests"] * 1e6,
        p50_us=said["p50_us"],
        p99_us=said["p99_us"],
        bad=said["bad"],
    )


def calls(server: Server) -> dict[str, int]:
    """How many calls of all runs were issued, stored and lost, once none is on its way any more."""
    end = time.monotonic() + STORED_SECONDS
    while True:
        with urlopen(f"http://127.0.0.1:{server.port}/metrics") as page:
            said = page.read().decode()
        found = re.findall(r"^keyportal_calls_(issued|stored|lost)_total (\S+)$", said, re.MULTILINE)
        numbers = {name: int(float(number)) for name, number in found}
        if numbers["stored"] + numbers["lost"] >= numbers["issued"] or time.monotonic() > end:
            return numbers
        time.sleep(0.5)


COLUMNS = (
    ("req/s", "10,.0f", lambda one: one.requests_per_second),
    ("CPU us/req", "12.1f", lambda one: one.cpu_us),
    ("storing", "9.1f", lambda one: one.storing_us),
    ("p50 us", "9,.0f", lambda one: one.p50_us),
    ("p99 us", "9,.0f", lambda one: one.p99_us),
)


def print_table(results: dict[str, list[Result]]) -> None:
    heads = "".join(f"{name:>{width.partition('.')[0].rstrip(',')}}" for name, width, _ in COLUMNS)
    lines = [f"{'':24}{'x RSGI':>8}{'spread':>14}{heads}{'bad':>6}"]
    lines += [_line(name, of_name, results[BASE]) for name, of_name in results.items()]
    sys.stdout.write("\n".join([*lines, ""]))


def print_calls(counted: Mapping[str, Mapping[str, int]]) -> None:
    for name, numbers in counted.items():
        said = ", ".join(f"{number:,} {what}" for what, number in numbers.items())
        sys.stdout.write(f"{name:24}calls: {said}\n")


def _line(name: str, results: list[Result], base: list[Result]) -> str:
    ratios = [one.requests_per_second / its.requests_per_second for one, its in zip(results, base, strict=True)]
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
    medians = "".join(format(_median(results, what), width) for _, width, what in COLUMNS)
    bad = sum(one.bad for one in results)
    return f"{name:24}{statistics.median(ratios):8.2f}{spread:>14}{medians}{bad:6}"


def _median(results: list[Result], what: Callable[[Result], float]) -> float:
    return statistics.median(map(what, results))


if __name__ == "__main__":
    main(sys.argv[1:])
