"""`./portal bench calls`: the call log at volume, on PostgreSQL.

How fast calls come in, beside a plain COPY of the same rows in the same run; and how long pages take to read them,
beside the same pages of a log a thousandth as long, in turn.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from benchmarks.call_reader import READINGS
from benchmarks.installations import HERE, can_connect, database, installation

SMALLER = 1_000  # how many times as many calls the other log has
ACCOUNTS = 1_000
OURS = "gate's storing process"
WAYS = (OURS, "plain COPY, text", "plain COPY, binary")  # of storing, in the order of `benchmarks.call_ingest`
MODULES = HERE.parent


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    if not can_connect(options.postgresql):
        sys.exit(f"This needs a PostgreSQL server at {options.postgresql}.")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyportal-bench-")))
        if options.rounds:
            url = stack.enter_context(database(options.postgresql, "ingest"))
            print_ingest(ingest(installation(directory / "ingest", url, keys=1), options.rounds, options.batches))
        if options.repetitions:
            logs = [options.big, options.small]
            for n, calls in enumerate((options.calls, max(options.calls // SMALLER, 1))):
                logs[n] = logs[n] or stack.enter_context(seeded(directory, options.postgresql, calls))
            readers = [stack.enter_context(Reader(environment(url))) for url in logs]
            print_readings(read_in_turn(readers, options.repetitions), options.calls)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="portal bench calls", description="Measure the call log at volume.")
    parser.add_argument("--calls", type=int, default=1_000_000, help="in the log that pages read (default: 1,000,000)")
    parser.add_argument("--repetitions", type=int, default=25, help="of each reading; 0: none")
    parser.add_argument("--rounds", type=int, default=5, help="of storing calls; 0: none")
    parser.add_argument("--batches", type=int, default=10, help="of 20,000 calls, in each round")
    parser.add_argument(
        "--postgresql", default="postgres://postgres@127.0.0.1:5432", help="where databases may be made"
    )
    parser.add_argument("--big", metavar="URL", help="a database that has --calls calls already, by seed_calls")
    parser.add_argument("--small", metavar="URL", help=f"one that has a {SMALLER:,}th of them")
    return parser.parse_args(arguments)


# --- Storing ------------------------------------------------------------------------------------------------------
def ingest(environment: Mapping[str, str], rounds: int, batches: int) -> list[list[float]]:
    """Calls a second, of ours and of plain COPYs (WAYS), for each round."""
    found: list[list[float]] = json.loads(
        _run(["-m", "benchmarks.call_ingest", str(rounds), str(batches)], environment)
    )
    return found


def print_ingest(found: Sequence[Sequence[float]]) -> None:
    sys.stdout.write(f"{'':32}{'calls/s':>10}{'ours / this':>14}\n")
    for name, speeds in zip(WAYS, zip(*found, strict=True), strict=True):
        ratios = [ours / speed for (ours, *_), speed in zip(found, speeds, strict=True)]
        spread = f"{statistics.median(ratios):14.2f}  ({min(ratios):.2f}-{max(ratios):.2f})"
        sys.stdout.write(f"{name:32}{statistics.median(speeds):10,.0f}{'' if name == OURS else spread}\n")
    sys.stdout.write("\n")


# --- Reading ------------------------------------------------------------------------------------------------------
@contextmanager
def seeded(directory: Path, postgresql: str, calls: int) -> Iterator[str]:
    """A new database with that many calls, of a thousand accounts, over seven days."""
    with database(postgresql, f"{calls}_calls") as url:
        made = installation(directory / f"{calls}-calls", url, keys=ACCOUNTS)
        _run(["manage.py", "seed_calls", str(calls)], made)
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("ANALYZE")  # which the server does by itself within minutes
        yield url


def environment(url: str) -> dict[str, str]:
    """What reading needs: no secret is opened."""
    ring = "bench:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    return {"DATABASE_URL": url, "SECRET_KEY": "bench", "KEY_ENCRYPTION_KEYS": ring, "DIGEST_PEPPERS": ring}


class Reader:
    """A process that reads one log."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.call_reader"],
            env={**os.environ, **environment}, cwd=MODULES, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._process.communicate()

    def read(self, name: str) -> tuple[float, bool]:
        """Milliseconds, and whether the search was cut off."""
        assert self._process.stdin and self._process.stdout  # noqa: S101, PT018 -- both are pipes
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        milliseconds, cut_off = json.loads(self._process.stdout.readline())
        return milliseconds, cut_off


Readings = dict[str, list[list[tuple[float, bool]]]]  # by name: of each reader, each repetition


def read_in_turn(readers: Sequence[Reader], repetitions: int) -> Readings:
    found: Readings = {name: [[] for _ in readers] for name in READINGS}
    for repetition in range(repetitions + 2):
        for name, of_readers in found.items():
            for reader, times in zip(readers, of_readers, strict=True):
                one = reader.read(name)
                if repetition > 1:  # the first two warm
                    times.append(one)
    return found


def print_readings(found: Readings, calls: int) -> None:
    sys.stdout.write(f"{'median ms (90 %)':32}{f'{calls:,} calls':>22}{f'{calls // SMALLER:,}':>16}{'ratio':>8}\n")
    for name, (big, small) in found.items():
        times, others = ([one for one, _ in of_log] for of_log in (big, small))
        cut = "  searched so far, continue" if any(cut_off for _, cut_off in big) else ""
        ratio = statistics.median(times) / statistics.median(others)
        said = f"{statistics.median(times):.2f} ({_ninth_tenth(times):.2f})"
        sys.stdout.write(f"{name:32}{said:>22}{statistics.median(others):16.2f}{ratio:8.2f}{cut}\n")


def _ninth_tenth(times: Sequence[float]) -> float:
    return sorted(times)[len(times) * 9 // 10]


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    return subprocess.run(  # noqa: S603 -- our own programs
        [sys.executable, *command], env={**os.environ, **environment}, cwd=MODULES, check=True, text=True,
        stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
