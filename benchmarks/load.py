"""Load on one server by wrk, and what it showed."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import CLIENT_CORE, Server

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Target:
    """What is asked of a server: a row of the table."""

    name: str
    server: str  # its name
    keys: Path  # one a line, presented in turn
    path: str = "/"
    scheme: str = "Bearer"
    is_refused: bool = False  # every answer should be a refusal


@dataclass(frozen=True)
class Result:
    """One server under load, once."""

    requests_per_second: float
    cpu_us: float  # a request, in the server
    storing_us: float  # a request, in the process that stores the calls
    p50_us: int
    p99_us: int
    bad: int  # answers of the wrong kind, and broken connections


def load(target: Target, server: Server, *, seconds: int, connections: int) -> Result:
    before = server.cpu_seconds()
    command = [
        "taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency",
        "-s", str(HERE / "rotate.lua"), f"http://127.0.0.1:{server.served.port}{target.path}",
    ]  # fmt: skip
    environment = {**os.environ, "KEYS": str(target.keys), "SCHEME": target.scheme}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)  # noqa: S603 -- above
    said = json.loads(done.stdout.rpartition("RESULT ")[2])
    after = server.cpu_seconds()
    refused = said["refused"]
    return Result(
        requests_per_second=said["requests"] / said["seconds"],
        cpu_us=(after[0] - before[0]) / said["requests"] * 1e6,
        storing_us=(after[1] - before[1]) / said["requests"] * 1e6,
        p50_us=said["p50_us"],
        p99_us=said["p99_us"],
        bad=said["broken"] + (said["requests"] - refused if target.is_refused else refused),
    )
