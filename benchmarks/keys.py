"""`./portal bench keys`: what a call costs the gate when many keys are in use, against few, and what it holds for them.

One gate on SQLite keeps all keys; in each repetition it is loaded with a thousand of them and with all, in turn.
"""

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

from benchmarks.installations import installation
from benchmarks.load import Result, Target, load
from benchmarks.servers import Served, Server

PORT = 8131
FEW = 1_000
GATE = "gate"
WARM_SECONDS = 5  # at a time; each begins with the first key of its part again
WARM_CONNECTIONS = 1_000  # first calls wait for the store, and are asked about together
PART = 50_000  # keys


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="keyportal-bench-") as name:
        directory = Path(name) / "data"
        environment = installation(directory, f"sqlite:///{name}/keyportal.sqlite3", keys=options.keys)
        every = directory / "keys.txt"
        some = directory / "some.txt"
        some.write_text("\n".join(every.read_text().split()[:FEW]) + "\n")
        command = [sys.executable, "-m", "apikeys.gate", "--port", str(PORT)]
        with Server(Served(GATE, PORT, command, environment, stores=True)) as gate:
            empty = gate.memory()
            targets = [
                Target(f"{FEW:,} keys", GATE, some, "/check"),
                Target(f"{options.keys:,} keys", GATE, every, "/check"),
            ]
            gate.move_storing()
            kept = warm(gate, every.read_text().split(), directory / "part.txt", seconds=options.warm)
            results: dict[str, list[Result]] = {target.name: [] for target in targets}
            for repetition in range(options.repetitions):
                for target in targets if repetition % 2 == 0 else reversed(targets):
                    result = load(target, gate, seconds=options.seconds, connections=options.connections)
                    results[target.name].append(result)
            grown = gate.memory() - empty
    if kept < options.keys:
        sys.stdout.write(f"Only {kept:,} of {options.keys:,} keys were kept when the time to warm was over.\n")
    _print(results, grown=grown, keys=kept)


def warm(gate: Server, keys: Sequence[str], file: Path, *, seconds: int) -> int:
    """Present all keys, part by part, until the gate keeps them, or the time is over; how many it keeps."""
    end, kept = time.monotonic() + seconds, 0
    for start in range(0, len(keys), PART):
        part = keys[start : start + PART]
        file.write_text("\n".join(part) + "\n")
        target = Target("warm", GATE, file, "/check")
        while kept < start + len(part) and time.monotonic() < end:
            load(target, gate, seconds=WARM_SECONDS, connections=WARM_CONNECTIONS)
            with urlopen(f"http://127.0.0.1:{PORT}/metrics") as page:
                metrics = page.read().decode()
            kept = int(float(re.findall(r"^keyportal_credentials_kept (\S+)$", metrics, re.MULTILINE)[0]))
    return kept


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="portal bench keys", description="Measure the gate with many keys in use.")
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of load, for each number of keys and repetition")
    parser.add_argument("--warm", type=int, default=300, help="seconds of load before, at most, until all are kept")
    parser.add_argument("--connections", type=int, default=32)
    return parser.parse_args(arguments)


def _print(results: dict[str, list[Result]], *, grown: int, keys: int) -> None:
    few, many = results.values()
    for name, of_name in results.items():
        rate = statistics.median(one.requests_per_second for one in of_name)
        cpu = statistics.median(one.cpu_us for one in of_name)
        bad = sum(one.bad for one in of_name)
        sys.stdout.write(f"{name:>16}{rate:10,.0f} req/s{cpu:8.1f} us CPU a request{bad:6} bad\n")
    ratios = [one.cpu_us / other.cpu_us for one, other in zip(many, few, strict=True)]
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
    sys.stdout.write(f"\nCPU, many / few: {statistics.median(ratios):.2f} ({spread}); goal <= 1.3\n")
    sys.stdout.write(
        f"Memory: {grown / 2**20:,.0f} MiB more, {grown / keys:,.0f} bytes a key; goal 512 MiB a process\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
