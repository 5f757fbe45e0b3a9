"""The call log while it cannot be written: no call fails or is slow, no row is lost, what is lost is counted (G7).

A few seconds here; `FAULT_SECONDS=60 ./portal test tests/faults/test_call_log.py` is the promise's attack in full.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from apikeys import secrets
from apikeys.secrets import Kind
from auditlog import call_counts, call_spool
from auditlog.models import Call
from tests.factories import ApiKeyFactory
from tests.gates import Connection, ProcessGate, ask, bearer, request
from tests.test_call_spool import nothing_waits

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = float(os.environ.get("FAULT_SECONDS", "5"))  # more than the three after which a statement is given up
CALLERS = 4
OUT_OF_THE_WAY = 10**9


@pytest.fixture
def secret() -> str:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__burst_limit=OUT_OF_THE_WAY, account__daily_limit=OUT_OF_THE_WAY)
    return secret


@pytest.fixture(autouse=True)
def _nothing_waits_on_the_disk() -> Iterator[None]:
    nothing_waits()
    yield
    nothing_waits()


@contextmanager
def log_locked() -> Iterator[None]:
    with transaction.atomic(), connection.cursor() as cursor:  # SQLite: the transaction itself locks
        if connection.vendor == "postgresql":
            cursor.execute("LOCK TABLE auditlog_call")
        yield


class Load:
    """Callers that call until told to stop or until the gate is gone; the request ids that they got an answer with."""

    def __init__(self, port: int, secret: str) -> None:
        self._stop = threading.Event()
        self.answered: list[list[str]] = [[] for _ in range(CALLERS)]
        self.statuses: set[int] = set()
        self._threads = [threading.Thread(target=self._call, args=(port, secret, log)) for log in self.answered]
        for thread in self._threads:
            thread.start()

    def _call(self, port: int, secret: str, log: list[str]) -> None:
        try:
            with Connection(port) as gate:
                while not self._stop.is_set():
                    gate.send(request(bearer(secret)))
                    answer = gate.answer()
                    if answer is None:
                        return
                    self.statuses.add(answer.status)
                    log.append(answer.headers["x-request-id"])
        except OSError:
            return

    def end(self) -> list[str]:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return [request_id for log in self.answered for request_id in log]


def stored_ids() -> list[str]:
    return sorted(map(str, Call.objects.values_list("request_id", flat=True)))


def eventually(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_log_that_is_locked_costs_no_call_and_no_row(secret: str) -> None:
    before = call_counts.totals()
    with ProcessGate() as gate:
        ask(gate.port, bearer(secret))
        eventually(Call.objects.exists)
        load = Load(gate.port, secret)
        with log_locked():
            time.sleep(SECONDS)
            went_to_disk = bool(call_spool.segments())
        answered = load.end()
        eventually(lambda: not call_spool.segments())
        status = gate.end(signal.SIGTERM)

    after = call_counts.totals()
    assert (status, load.statuses, went_to_disk) == (0, {204}, True)
    assert set(answered) <= set(stored_ids())
    assert len(stored_ids()) == len(answered) + 1
    assert (after.issued - before.issued, after.stored - before.stored, after.lost - before.lost) == (
        len(answered) + 1, len(answered) + 1, 0,
    )  # fmt: skip


def test_after_a_kill_while_calls_wait_on_the_disk_these_are_stored_once_and_the_rest_is_counted(secret: str) -> None:
    before = call_counts.totals()
    with ProcessGate() as gate, log_locked():
        load = Load(gate.port, secret)
        time.sleep(SECONDS)
        eventually(lambda: bool(call_spool.segments()))
        gate.end(signal.SIGKILL)
        answered = load.end()
        waited = sum(one.calls for one in call_spool.segments())

    between = call_counts.totals()
    with ProcessGate() as next_gate:
        eventually(lambda: not call_spool.segments())
        next_gate.end(signal.SIGTERM)

    after = call_counts.totals()
    issued, stored, lost = (getattr(after, name) - getattr(before, name) for name in ("issued", "stored", "lost"))
    assert waited > 0
    assert between.waiting == waited
    assert between.lost - before.lost == lost  # known at once, not when the rest is stored
    assert stored == len(stored_ids()) == len(set(stored_ids()))
    assert lost == issued - stored
    assert len(answered) <= issued <= len(answered) + CALLERS  # counted before the answer
    assert waited <= stored
