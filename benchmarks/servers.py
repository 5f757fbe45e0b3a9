"""Servers under measurement: started on one core, and what their processes cost."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 30


@dataclass(frozen=True)
class Served:
    """One server: its name in the table, its command with {port} in it, the path that is asked for."""

    name: str
    command: Sequence[str]
    path: str = "/"
    environment: Mapping[str, str] | None = None
    stores: bool = False  # its child stores what it logs, and may have a core of its own


class Server:
    """A running server, held to one core."""

    def __init__(self, served: Served, *, port: int, core: int) -> None:
        self.served, self.port = served, port
        command = [part.format(port=port) for part in served.command]
        self._process = subprocess.Popen(  # noqa: S603 -- commands of this file's callers
            ["taskset", "-c", str(core), sys.executable, *command],  # noqa: S607 -- found on the path
            env={**os.environ, **(served.environment or {})},
            stdout=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise SystemExit(f"{self.served.name} ended at its start.")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return self
        raise SystemExit(f"{self.served.name} did not open its port within {START_SECONDS} s.")

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()

    def move_storing(self, core: int) -> None:
        """Give the process that stores what the server logs another core."""
        for pid in self._storing():
            os.sched_setaffinity(pid, {core})

    def cpu_seconds(self) -> tuple[float, float]:
        """User and system time so far: of the server, and of the process that stores what it logs."""
        storing = sum(map(_cpu_seconds, self._storing()))
        return sum(map(_cpu_seconds, _tree(self._process.pid))) - storing, storing

    def _storing(self) -> set[int]:
        return _tree(self._process.pid) - {self._process.pid} if self.served.stores else set()


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
