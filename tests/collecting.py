"""`./portal manage collect_access_log` as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from django.conf import settings as django_settings

from tests.gates import HOST, database_url, free_port

TOKEN, NEXT_TOKEN = "t" * 32, "n" * 32


class Collecting:
    """The command on the test's database, listening by every way there is; `ended` is what it counted."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.port, self.http_port, self.path = free_port(), free_port(), directory / "calls.sock"
        self.said = directory / "said"
        addresses = (
            f"udp://{HOST}:{self.port}", f"tcp://{HOST}:{self.port}", f"unix://{self.path}",
            f"http://{HOST}:{self.http_port}",
        )  # fmt: skip
        command = [sys.executable, "-m", "django", "collect_access_log", "--json"]  # as `./portal up` runs it
        environment = {
            "DATABASE_URL": database_url(),
            "ACCESS_LOG_TOKENS": f"{NEXT_TOKEN},{TOKEN}",
            "LOG_LEVEL": "DEBUG",
        }
        with self.said.open("wb") as said:
            self._process = subprocess.Popen(
                [*command, *(f"--listen={one}" for one in addresses)],
                env={**os.environ, **environment, **variables}, cwd=django_settings.BASE_DIR,
                stdout=subprocess.PIPE, stderr=said, text=True,
            )  # fmt: skip

    def __enter__(self) -> Self:
        while True:
            assert self._process.poll() is None, self.said.read_text()
            try:
                socket.create_connection((HOST, self.http_port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.end()

    def end(self) -> dict[str, int]:
        """Stop it; what it counted, noughts left out."""
        self._process.send_signal(signal.SIGTERM)
        counted, _ = self._process.communicate(timeout=10)
        assert self._process.returncode == 0, self.said.read_text()
        return {outcome: number for outcome, number in json.loads(counted).items() if number}

    # --- The ways in ------------------------------------------------------------------------------------------------
    def by_udp(self, *lines: bytes) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as gateway:
            for line in lines:
                gateway.sendto(line, (HOST, self.port))

    def by_unix(self, *lines: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gateway:
            for line in lines:
                gateway.sendto(line, str(self.path))

    def by_tcp(self, *lines: bytes) -> None:
        with socket.create_connection((HOST, self.port)) as gateway:
            gateway.sendall(b"".join(line + b"\n" for line in lines))

    def by_tcp_without_end(self, *lines: bytes) -> None:
        with socket.create_connection((HOST, self.port)) as gateway:
            gateway.sendall(b"\n".join(lines))

    def by_http(self, *lines: bytes) -> None:
        status, said = self.post(b"\n".join(lines))
        assert (status, said["taken"]) == (200, len(lines))

    def post(self, body: Any, method: str = "POST", path: str = "/access-log", **headers: str) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-ndjson"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        gateway = HTTPConnection(HOST, self.http_port, timeout=10)
        try:
            gateway.request(method, path, body=body, headers=sent)
            answer = gateway.getresponse()
            text = answer.read()
        finally:
            gateway.close()
        return answer.status, json.loads(text) if text.startswith(b"{") else text
