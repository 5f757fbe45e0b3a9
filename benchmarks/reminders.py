"""`./portal bench reminders`: the scan for keys that are due, among a million accounts of which ten thousand are.

Each store is seeded once, which takes minutes, and measured in a process of its own: the first scan, which tells
everybody; the next one, which finds everybody told; how much memory the first took; how fast mails are then written.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.installations import HERE, can_connect, database, secrets_of_its_own


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyportal-bench-")))
        stores = {"SQLite": f"sqlite:///{directory}/keyportal.sqlite3"}
        if can_connect(options.postgresql):
            stores["PostgreSQL"] = stack.enter_context(database(options.postgresql, "reminders"))
        environments = {name: _installation(directory / name, url) for name, url in stores.items()}
        for name, environment in environments.items():
            _say(f"Seeding {options.accounts:,} accounts on {name}")
            _run(environment, "seed", options)
        if options.then_wait:
            _say("Seeded. Press Enter to measure")
            sys.stdin.readline()
        results = {name: _run(environment, "measure", options) for name, environment in environments.items()}
    print_table(results)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="portal bench reminders", description="Measure the scan for due keys.")
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--due", type=int, default=10_000)
    parser.add_argument("--then-wait", action="store_true", help="for Enter, between seeding and measuring")
    parser.add_argument(
        "--postgresql",
        default="postgres://postgres@127.0.0.1:5432",
        help="a server on which a database may be made; left out if it does not answer",
    )
    return parser.parse_args(arguments)


def _installation(data_dir: Path, url: str) -> dict[str, str]:
    data_dir.mkdir()
    environment = secrets_of_its_own(data_dir, url) | {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    command = [sys.executable, "manage.py", "migrate", "-v0"]
    subprocess.run(command, env={**os.environ, **environment}, cwd=HERE.parent, check=True)  # noqa: S603 -- our own program
    return environment


def _run(environment: Mapping[str, str], what: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scan", what, str(options.accounts), str(options.due)]
    done = subprocess.run(  # noqa: S603 -- our own program
        command, env={**os.environ, **environment}, cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True
    )
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def print_table(results: Mapping[str, Mapping[str, Any]]) -> None:
    head = f"{'':12}{'accounts':>10}{'told':>8}{'first scan':>12}{'next scan':>11}{'memory':>10}{'mails/s':>9}"
    _say(head)
    for name, one in results.items():
        times = f"{one['first']:>10.1f} s{one['second']:>9.2f} s{one['grew']:>+7.1f} MB{one['mails_a_second']:>9,.0f}"
        _say(f"{name:12}{one['accounts']:>10,}{one['told']:>8,}{times}")
    for name, one in results.items():
        _say(f"\n{name}:\n{one['plan']}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
