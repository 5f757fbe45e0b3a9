"""Servers under measurement: started on one core, and what their processes cost."""

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 30
SERVER_CORE, CLIENT_CORE = 0, 1


@dataclass(frozen=True)
class Served:
    """One server: its name in the table, the port that its command opens, the core that it is held to."""

    name: str
    port: int
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    core: int = SERVER_CORE
    stores: bool = False  # its child stores what it logs, on the clients' core
    start_seconds: int = START_SECONDS


class Server:
    """A running server."""

    def __init__(self, served: Served) -> None:
        self.served = served
        if _is_open(served.port):  # some servers would share it silently
            raise SystemExit(f"Something listens at port {served.port} already.")
        self._process = subprocess.Popen(  # noqa: S603 -- commands of this file's callers
            ["taskset", "-c", str(served.core), *served.command],  # noqa: S607 -- found on the path
            env={**os.environ, **(served.environment or {})},
            stdout=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        end = time.monotonic() + self.served.start_seconds
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise SystemExit(f"{self.served.name} ended at its start.")
            if _is_open(self.served.port):
                return self
            time.sleep(0.1)
        raise SystemExit(f"{self.served.name} did not open its port within {self.served.start_seconds} s.")

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()

    def move_storing(self) -> None:
        """Give the process that stores what the server logs the clients' core."""
        for pid in self._storing():
            os.sched_setaffinity(pid, {CLIENT_CORE})

    def cpu_seconds(self) -> tuple[float, float]:
        """User and system time so far: of the server, and of the process that stores what it logs."""
        storing = sum(map(_cpu_seconds, self._storing()))
        return sum(map(_cpu_seconds, _tree(self._process.pid))) - storing, storing

    def memory(self) -> int:
        """Bytes that the server's own process holds in memory."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _storing(self) -> set[int]:
        return _tree(self._process.pid) - {self._process.pid} if self.served.stores else set()


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _tree(root: int) -> set[int]:
    parents = {int(path.name): _stat(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
    tree, grew = {root}, True
    while grew:
        more = {pid for pid, stat in parents.items() if stat and int(stat[1]) in tree} - tree
        tree, grew = tree | more, bool(more)
    return tree


def _cpu_seconds(pid: int) -> float:
    stat = _stat(pid)
    return (int(stat[11]) + int(stat[12])) / TICKS_PER_SECOND if stat else 0.0


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat after the name: state, parent, …, user ticks, system ticks (proc(5)); empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []
