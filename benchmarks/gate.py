"""`./portal bench gate`: the gate with limits and call log on, beside hellos that check nothing and peers that do.

Every server runs on core 0; wrk, PostgreSQL, Redis as far as it may be moved, and the process that stores the gate's
calls on core 1. In each repetition each target gets its load in turn, the order reversed every second time. A ratio is
taken within a repetition, since a shared machine changes from one to the next. CPU is that of the server's processes,
that of storing its calls beside it, and is steadier than requests per second.
"""

import argparse
import re
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.request import urlopen

from benchmarks import peers
from benchmarks.installations import can_connect, database, installation, move_backends
from benchmarks.load import Result, Target, load
from benchmarks.servers import Served, Server

RSGI, BARE = "granian RSGI hello", "bare protocol hello"
SQLITE, POSTGRESQL = "gate on SQLite", "gate on PostgreSQL"
GARBAGE = "gate refusing garbage"
FIRST_PORT = 8111
KEYS = 1_000
STORED_SECONDS = 15  # until the last calls are in the store

Results = Mapping[str, list[Result]]


@dataclass(frozen=True)
class Goal:
    """What is to be at least (or at most) so many times what something else is."""

    measure: str
    of: str
    to: str
    goal: float
    by: Callable[[Result], float] = lambda one: one.requests_per_second
    is_most: bool = False


GOALS = (
    Goal("gate / granian RSGI hello", POSTGRESQL, RSGI, 2.0),
    Goal("the same on SQLite", SQLITE, RSGI, 1.5),
    Goal("gate / nginx with Lua, equal work", POSTGRESQL, peers.NGINX_LUA, 1.2),
    Goal("gate / DRF API key, limit, row", POSTGRESQL, peers.DJANGO_API_KEY, 100),
    Goal("gate / fastify and Redis", POSTGRESQL, peers.FASTIFY, 5),
    Goal("nginx asking the gate / a static 204", peers.NGINX_GATE, peers.NGINX_STATIC, 0.95),
    Goal("p99 / bare hello's", POSTGRESQL, BARE, 1.5, by=lambda one: one.p99_us, is_most=True),
    Goal("refusing garbage / accepting", GARBAGE, POSTGRESQL, 1.0),
)


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    if not shutil.which("wrk") or not shutil.which("taskset"):
        sys.exit("This needs wrk and taskset.")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyportal-bench-")))
        directory.chmod(0o755)  # nginx's worker reads its configuration as somebody else
        targets, served, missing = everything(stack, directory, options)
        servers = {each.name: stack.enter_context(Server(each)) for each in served}
        for target in targets:
            load(target, servers[target.server], seconds=1, connections=options.connections)  # warm
        for server in servers.values():
            server.move_storing()
        move_backends(options.postgresql)
        results: dict[str, list[Result]] = defaultdict(list)
        for repetition in range(options.repetitions):
            for target in targets if repetition % 2 == 0 else reversed(targets):
                result = load(target, servers[target.server], seconds=options.seconds, connections=options.connections)
                results[target.name].append(result)
        counted = {name: calls(server) for name, server in servers.items() if server.served.stores}
    print_table(results)
    print_calls(counted)
    print_goals(results)
    sys.stdout.writelines(f"Left out, not here: {what}\n" for what in missing)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="portal bench gate", description="Measure the gate beside hellos and peers.")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of load, for each target and repetition")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--peers", action="store_true", help="others of equal work, too; installs them the first time")
    parser.add_argument(
        "--postgresql",
        default="postgres://postgres@127.0.0.1:5432",
        help="a server on which databases may be made; left out if it does not answer",
    )
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0", help="for the peer that counts there")
    return parser.parse_args(arguments)


def everything(
    stack: ExitStack, directory: Path, options: argparse.Namespace
) -> tuple[list[Target], list[Served], list[str]]:
    """What to ask, of which servers, and what is missing."""
    ports = count(FIRST_PORT)
    stores = {SQLITE: f"sqlite:///{directory}/keyportal.sqlite3"}
    missing = []
    if can_connect(options.postgresql):
        stores[POSTGRESQL] = stack.enter_context(database(options.postgresql, "gate"))
    else:
        missing.append("PostgreSQL")
    targets, served = [], list(hellos(ports))
    for name, url in stores.items():
        environment = installation(directory / name, url, keys=KEYS)
        keys, port = directory / name / "keys.txt", next(ports)
        command = [sys.executable, "-m", "apikeys.gate", "--port", str(port)]
        served.append(Served(name, port, command, environment, stores=True))
        targets.append(Target(name, name, keys, "/check"))
    targets.append(Target(GARBAGE, name, mistyped(keys), "/check", is_refused=True))
    targets = [Target(each.name, each.name, keys) for each in served if each.name not in stores] + targets
    if options.peers:
        for make in peer_makers(stack, directory, ports, options, keys):
            try:
                for target, its in make():
                    targets.append(target)
                    served += its
            except LookupError as lacking:
                missing.append(str(lacking))
    return targets, served, missing


def hellos(ports: Iterator[int]) -> Iterator[Served]:
    granian = ["-m", "granian", "--interface", "rsgi", "--workers", "1", "--loop", "uvloop", "--no-log", "--no-ws"]
    port = next(ports)
    rsgi = [*granian, "--host", "127.0.0.1", "--port", str(port), "benchmarks.hello.rsgi:app"]
    yield Served(RSGI, port, [sys.executable, *rsgi])
    port = next(ports)
    yield Served(BARE, port, [sys.executable, "-m", "benchmarks.hello.bare", str(port)])


def peer_makers(
    stack: ExitStack,
    directory: Path,
    ports: Iterator[int],
    options: argparse.Namespace,
    keys: Path,
) -> list[Callable[[], list[peers.Peer]]]:
    def django_api_key() -> list[peers.Peer]:
        if not can_connect(options.postgresql):
            raise LookupError(f"PostgreSQL for {peers.DJANGO_API_KEY}")
        url = stack.enter_context(database(options.postgresql, "peer"))
        return [peers.django_api_key(directory, ports, database=url, number=KEYS)]

    def nginx_asking() -> list[peers.Peer]:
        place = directory / "beside nginx"
        environment = installation(place, f"sqlite:///{directory}/beside.sqlite3", keys=KEYS)
        return peers.nginx_asking(directory, ports, keys=place / "keys.txt", environment=environment)

    return [
        lambda: [peers.nginx_with_lua(directory, ports, keys=keys)],
        django_api_key,
        lambda: [peers.fastify_and_redis(ports, keys=keys, redis=options.redis)],
        nginx_asking,
    ]


def mistyped(keys: Path) -> Path:
    """The keys with one character changed: well-formed but for the checksum."""
    wrong = keys.with_name("mistyped.txt")
    lines = [f"{key[:-1]}{'0' if key[-1] != '0' else '1'}" for key in keys.read_text().split()]
    secrets.SystemRandom().shuffle(lines)
    wrong.write_text("\n".join(lines) + "\n")
    return wrong


def calls(server: Server) -> dict[str, int]:
    """How many calls of all runs were issued, stored and lost, once none is on its way any more."""
    end = time.monotonic() + STORED_SECONDS
    while True:
        with urlopen(f"http://127.0.0.1:{server.served.port}/metrics") as page:
            said = page.read().decode()
        found = re.findall(r"^keyportal_calls_(issued|stored|lost)_total (\S+)$", said, re.MULTILINE)
        numbers = {name: int(float(number)) for name, number in found}
        if numbers["stored"] + numbers["lost"] >= numbers["issued"] or time.monotonic() > end:
            return numbers
        time.sleep(0.5)


# --- What is printed ----------------------------------------------------------------------------------------------
COLUMNS = (
    ("req/s", "10,.0f", lambda one: one.requests_per_second),
    ("CPU us/req", "12.1f", lambda one: one.cpu_us),
    ("storing", "9.1f", lambda one: one.storing_us),
    ("p50 us", "9,.0f", lambda one: one.p50_us),
    ("p99 us", "9,.0f", lambda one: one.p99_us),
)


def print_table(results: Results) -> None:
    heads = "".join(f"{name:>{width.partition('.')[0].rstrip(',')}}" for name, width, _ in COLUMNS)
    lines = [f"{'':26}{heads}{'bad':>6}"]
    for name, of_name in results.items():
        medians = "".join(format(statistics.median(map(what, of_name)), width) for _, width, what in COLUMNS)
        lines.append(f"{name:26}{medians}{sum(one.bad for one in of_name):6}")
    sys.stdout.write("\n".join([*lines, ""]))


def print_calls(counted: Mapping[str, Mapping[str, int]]) -> None:
    for name, numbers in counted.items():
        said = ", ".join(f"{number:,} {what}" for what, number in numbers.items())
        sys.stdout.write(f"{name:26}calls: {said}\n")


def print_goals(results: Results) -> None:
    sys.stdout.write(f"\n{'':38}{'median':>8}{'spread':>14}{'goal':>9}\n")
    for goal in GOALS:
        if goal.of not in results or goal.to not in results:
            sys.stdout.write(f"{goal.measure:38}{'not measured':>22}{_bound(goal):>9}\n")
            continue
        pairs = zip(results[goal.of], results[goal.to], strict=True)
        ratios = [goal.by(one) / goal.by(other) for one, other in pairs]
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        sys.stdout.write(f"{goal.measure:38}{statistics.median(ratios):8.2f}{spread:>14}{_bound(goal):>9}\n")


def _bound(goal: Goal) -> str:
    return f"{'<=' if goal.is_most else '>='} {goal.goal:g}"


if __name__ == "__main__":
    main(sys.argv[1:])
