"""A protected API that writes down what reaches it, and the gateways of `deploy/` in front of it and of a gate."""

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest
from django.conf import settings

from tests.gates import HOST, free_port

DEPLOY = Path(settings.BASE_DIR) / "deploy"
START_SECONDS = 10
NOBODY = 9  # a port that nothing listens on


@dataclass
class Received:
    method: str
    target: str
    headers: dict[str, str]  # by lower-case name
    body: bytes


@dataclass
class ProtectedApi:
    """Answers 200 with `body`, or as `status` says; `received` is what came through."""

    status: int = 200
    body: bytes = b'{"results": []}'
    received: list[Received] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)  # that it answers with

    def __enter__(self) -> Self:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                api.received.append(Received(self.command, self.path, headers, self.rfile.read(length)))
                self.send_response(api.status)
                self.send_header("Content-Type", "application/json")
                for name, value in api.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(api.body)))
                self.end_headers()
                self.wfile.write(api.body)

            do_GET = do_POST = do_DELETE = handle_one  # noqa: N815 -- the names that http.server calls

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def nginx(directory: Path, *, gate: int, api: int, collector: int = 0) -> Iterator[int]:
    """Debian's nginx with `deploy/nginx.conf`, but for its addresses; its port."""
    port = free_port()
    program = _program("nginx")
    logs = directory / "logs"
    logs.mkdir()
    example = _changed(
        DEPLOY / "nginx.conf",
        {
            "127.0.0.1:8001": f"{HOST}:{gate}",
            "127.0.0.1:9000": f"{HOST}:{api}",
            "listen 8080": f"listen {HOST}:{port}",
            "/var/log/nginx": str(logs),
            "127.0.0.1:8002": f"{HOST}:{collector or NOBODY}",
        },
    )
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {directory}/pid; error_log {logs}/start.log alert;\n"
        f"events {{ }}\nhttp {{\n{temporary}{example}\n}}\n"
    )
    with _running([program, "-p", str(directory), "-e", str(logs / "start.log"), "-c", "nginx.conf"], port):
        yield port


@contextmanager
def caddy(directory: Path, *, gate: int, api: int, collector: int = 0) -> Iterator[int]:
    """Debian's Caddy with `deploy/Caddyfile`, but for its addresses and the marks of its comment; its port."""
    port = free_port()
    program = _program("caddy")
    (directory / "logs").mkdir()
    text = _changed(
        DEPLOY / "Caddyfile",
        {
            "127.0.0.1:8001": f"{HOST}:{gate}",
            "127.0.0.1:8002": f"{HOST}:{collector or NOBODY}",
            "127.0.0.1:9000": f"{HOST}:{api}",
            ":8080 {": f"http://:{port} {{\n\tbind {HOST}",
            "/var/log/caddy": str(directory / "logs"),
        },
    )
    if collector:
        text = re.sub(r"^\t#([\tl}])", r"\t\1", text, flags=re.MULTILINE)
    (directory / "Caddyfile").write_text(text)
    with _running([program, "run", "--config", str(directory / "Caddyfile"), "--adapter", "caddyfile"], port):
        yield port


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"{name}: not installed")
    return found


def _changed(example: Path, changes: Mapping[str, str]) -> str:
    text = example.read_text()
    for old, new in changes.items():
        assert old in text, f"{example.name} has no {old}"
        text = text.replace(old, new)
    return text


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.communicate()


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"{process.args!r} ended at its start: {process.communicate()[1]}")
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"{process.args!r} did not open its port.")
