"""`./portal up`, for real: three processes that start together, answer, and stop together."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from email import message_from_bytes, policy
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

BASE = Path(__file__).resolve().parent.parent
PYTHON = os.environ.get("UP_PYTHON", sys.executable)  # of an environment with what the portal needs to run
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")


@dataclass
class Portal:
    process: "subprocess.Popen[str]"
    data: Path
    port: int
    gate_port: int
    started: str  # what it printed until it was ready

    def pid(self, name: str) -> int:
        found = re.search(rf"{name} started \(pid=(\d+)\)", self.started)
        assert found is not None
        return int(found.group(1))

    def rest(self) -> str:
        said, _ = self.process.communicate(timeout=60)
        return said


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        port, gate_port = one.getsockname()[1], two.getsockname()[1]
    variables = {name: os.environ[name] for name in KEPT if name in os.environ} | {"DATA_DIR": str(tmp_path)}
    command = [PYTHON, "-m", "keyportal.processes", str(port), str(gate_port), "--demo"]
    with subprocess.Popen(
        command, cwd=BASE, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        started = _until(process, "Ctrl-C stops everything")
        yield Portal(process, tmp_path, port, gate_port, started)
        process.send_signal(signal.SIGTERM)


def _until(process: "subprocess.Popen[str]", words: str) -> str:
    assert process.stdout is not None
    said = ""
    while words not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    return said


def _status(port: int, path: str, **headers: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _secret(portal: Portal) -> str:
    variables = {
        "DATA_DIR": str(portal.data),
        "PATH": os.environ["PATH"],
        "SITE_ORIGIN": f"http://127.0.0.1:{portal.port}",
    }
    command = [PYTHON, "manage.py", "api_key", "show", "acme", "--json"]
    shown = subprocess.run(command, cwd=BASE, env=variables, capture_output=True, text=True, check=True).stdout
    found = re.search(r'"secret": "([^"]+)"', shown)
    assert found is not None
    return found.group(1)


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_browsers_that_keep_their_connections_open_keep_nobody_out(portal: Portal) -> None:
    """A browser keeps up to six; granian's backpressure counts connections, idle ones too, not requests."""
    with ExitStack() as kept:
        for _ in range(60):
            connection = HTTPConnection("127.0.0.1", portal.port, timeout=10)
            kept.callback(connection.close)
            connection.request("GET", "/livez")
            assert connection.getresponse().read()

        assert _status(portal.port, "/auth/login/") == 200


def test_the_portal_and_its_gate_answer_and_ctrl_c_loses_no_call(portal: Portal) -> None:
    key = _secret(portal)
    pages = [_status(portal.port, "/auth/login/"), _status(portal.port, "/livez")]
    calls = [_status(portal.gate_port, "/check", **{"X-API-Key": key, "X-Original-URI": "/once"}) for _ in range(50)]

    portal.process.send_signal(signal.SIGINT)
    said = portal.rest()

    for words in ("demonstration", f":{portal.port}/", f":{portal.gate_port}/check", "superadmin@acme.example"):
        assert words in portal.started
    assert pages == [200, 200]
    assert calls == [204] * 50
    assert portal.process.returncode == 0, said
    with closing(sqlite3.connect(portal.data / "keyportal.sqlite3")) as store:
        assert store.execute("SELECT count(*) FROM auditlog_call WHERE path = '/once'").fetchone() == (50,)
    assert all(_is_gone(portal.pid(name)) for name in ("web", "gate", "jobs"))
    assert key not in portal.started + said


def test_the_clock_sends_the_overdue_reminder_within_a_minute_and_the_operator_reads_it(portal: Portal) -> None:
    ends_at = time.monotonic() + 60
    while len(kept := list((portal.data / "mail").glob("*.eml"))) < 2:
        assert time.monotonic() < ends_at, "Nothing was sent."
        time.sleep(0.2)

    mails = [message_from_bytes(file.read_bytes(), policy=policy.strict) for file in kept]
    assert {mail["To"] for mail in mails} == {"superadmin@acme.example", "superadmin2@acme.example"}
    assert {mail["Subject"] for mail in mails} == {"Acme: rotate the API key, it is 203 days old"}
    password = re.search(r"password  (\S+)", portal.started)
    assert password is not None
    said = _signed_in(portal, "operator@portal.example", password.group(1), then="/mail/")
    assert said.count("rotate the API key, it is 203 days old") == 2


def _signed_in(portal: Portal, email: str, password: str, *, then: str) -> str:
    """The page that somebody gets after signing in."""
    origin = f"http://127.0.0.1:{portal.port}"
    browser = build_opener(HTTPCookieProcessor())
    form = browser.open(f"{origin}/auth/login/", timeout=30).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token is not None
    fields = {"csrfmiddlewaretoken": token.group(1), "login": email, "password": password, "next": then}
    page: str = browser.open(f"{origin}/auth/login/", urlencode(fields).encode(), timeout=30).read().decode()
    return page


def test_what_it_writes_is_its_owners_alone_and_commands_know_where_it_stands(portal: Portal) -> None:
    environment = {"DATA_DIR": str(portal.data), "PATH": os.environ["PATH"]}
    words = ["account", "create", "Umbrella", "--slug", "umbrella", "--super-admin", "eve@umbrella.example"]

    said = subprocess.run(
        [PYTHON, "manage.py", *words], cwd=BASE, env=environment, capture_output=True, text=True, check=True
    ).stdout

    collected = portal.data / "static"  # public: what browsers get
    open_to_others = [
        path
        for path in portal.data.rglob("*")
        if path.stat().st_mode & 0o077 and collected not in [path, *path.parents]
    ]
    assert open_to_others == []
    described = (BASE / "docs" / "operating.md").read_text()
    names = {re.sub(r"(\..*|-wal|-shm)$", "", path.name) or path.name for path in portal.data.iterdir()}
    assert {name for name in names if f"`{name}" not in described} == set()
    assert f"http://127.0.0.1:{portal.port}/" in said


def test_when_one_part_dies_all_stop_and_the_status_says_so(portal: Portal) -> None:
    os.kill(portal.pid("gate"), signal.SIGKILL)

    said = portal.rest()

    assert portal.process.returncode == 1
    assert "One part ended by itself" in said
    assert all(_is_gone(portal.pid(name)) for name in ("web", "gate", "jobs"))


def test_a_closed_terminal_leaves_nothing_running(portal: Portal) -> None:
    assert portal.process.stdout is not None
    portal.process.stdout.close()

    portal.process.send_signal(signal.SIGHUP)
    portal.process.wait(60)

    assert all(_is_gone(portal.pid(name)) for name in ("web", "gate", "jobs"))


BREAKS_WHILE_STOPPING = """
import os, signal, sys, threading, time

class Breaks:
    broken = False

    def write(self, text):
        if "SIGTERM to b" in text and not self.broken:
            self.broken = True
            raise BrokenPipeError
        return sys.__stdout__.write(text)

    def __getattr__(self, name):
        return getattr(sys.__stdout__, name)

sys.stdout = Breaks()
from keyportal import processes

processes.commands = lambda *_: dict.fromkeys("abc", "http.server --bind 127.0.0.1 0")
processes.announce = lambda *_: None
threading.Timer(2, os.kill, (os.getpid(), signal.SIGTERM)).start()
sys.exit(processes.run(0, 0, ""))
"""


def test_a_reader_that_goes_while_it_stops_leaves_nothing_running() -> None:
    with subprocess.Popen(
        [PYTHON, "-c", BREAKS_WHILE_STOPPING], cwd=BASE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        said, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert all(_is_gone(int(pid)) for pid in re.findall(r"started \(pid=(\d+)\)", said))
