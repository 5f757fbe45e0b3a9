"""`./portal bench keys`: what a call costs the gate when it keeps many keys, against few, and what it holds for them.

One gate on SQLite keeps all keys from its start (`benchmarks.gate_of_many`); in each repetition it is loaded with a
thousand of them and with all, in turn.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.installations import installation
from benchmarks.load import Result, Target, load
from benchmarks.servers import Served, Server

PORT = 8131
FEW = 1_000
GATE = "gate"
START_SECONDS = 300  # at most, to make the keys


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="keyportal-bench-") as name:
        directory = Path(name) / "data"
        environment = installation(directory, f"sqlite:///{name}/keyportal.sqlite3", keys=1)
        few, many = directory / "few.txt", directory / "many.txt"
        with _gate(0, few, environment) as gate:
            empty = gate.memory()
        with _gate(options.keys, many, environment) as gate:
            filled = gate.memory()
            gate.move_storing()
            few.write_text("".join(many.read_text().splitlines(keepends=True)[:FEW]))
            targets = [
                Target(f"{FEW:,} keys", GATE, few, "/check"),
                Target(f"{options.keys:,} keys", GATE, many, "/check"),
            ]
            results: dict[str, list[Result]] = {target.name: [] for target in targets}
            for repetition in range(options.repetitions):
                for target in targets if repetition % 2 == 0 else reversed(targets):
                    result = load(target, gate, seconds=options.seconds, connections=options.connections)
                    results[target.name].append(result)
            memory = gate.memory()
    _print(results)
    sys.stdout.write(
        f"Memory: {memory / 2**20:,.0f} MiB, {empty / 2**20:,.0f} of them without keys, "
        f"{(filled - empty) / options.keys:,.0f} bytes a key; goal 512 MiB a process\n"
    )


def _gate(keys: int, file: Path, environment: dict[str, str]) -> Server:
    command = [sys.executable, "-m", "benchmarks.gate_of_many", str(keys), str(file), str(PORT)]
    environment = {**environment, "DJANGO_SETTINGS_MODULE": "keyportal.settings"}
    return Server(Served(GATE, PORT, command, environment, stores=True, start_seconds=START_SECONDS))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="portal bench keys", description="Measure the gate with many keys in use.")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of load, for each number of keys and repetition")
    parser.add_argument("--connections", type=int, default=32)
    return parser.parse_args(arguments)


def _print(results: dict[str, list[Result]]) -> None:
    few, many = results.values()
    for name, of_name in results.items():
        rate = statistics.median(one.requests_per_second for one in of_name)
        cpu = statistics.median(one.cpu_us for one in of_name)
        bad = sum(one.bad for one in of_name)
        sys.stdout.write(f"{name:>16}{rate:10,.0f} req/s{cpu:8.1f} us CPU a request{bad:6} bad\n")
    ratios = [one.cpu_us / other.cpu_us for one, other in zip(many, few, strict=True)]
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
    sys.stdout.write(f"\nCPU, many / few: {statistics.median(ratios):.2f} ({spread}); goal <= 1.3\n")


if __name__ == "__main__":
    main(sys.argv[1:])
