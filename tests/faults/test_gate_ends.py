"""How a gate process ends: a clean stop loses no call, and what a kill loses is counted to the call (G7)."""

import os
import signal
import threading
import time

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.actors import SHELL
from accounts.models import Account
from apikeys import secrets
from apikeys.operations import api_keys
from apikeys.secrets import Kind
from auditlog import call_counts
from auditlog.models import Call
from tests.factories import ApiKeyFactory
from tests.gates import Connection, ProcessGate, ask, bearer, request

pytestmark = pytest.mark.django_db(transaction=True)

CALLERS = 4
OUT_OF_THE_WAY = 10**9


@pytest.fixture
def secret() -> str:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__burst_limit=OUT_OF_THE_WAY)
    return secret


def call_until_it_ends(port: int, secret: str, answered: list[str]) -> None:
    """Keep calling until the gate is gone; the request ids of the answers that came."""
    try:
        with Connection(port) as gate:
            while True:
                gate.send(request(bearer(secret)))
                answer = gate.answer()
                if answer is None:
                    return
                assert answer.status in {204, 503}  # the latter where a busy machine lets a poll come too late
                answered.append(answer.headers["x-request-id"])
    except OSError:
        return


def end_under_load(gate: ProcessGate, secret: str, number: signal.Signals, *, calls: int) -> tuple[int, list[str]]:
    """Send the signal while callers are at it; exit status and the request ids that were answered."""
    logs: list[list[str]] = [[] for _ in range(CALLERS)]
    callers = [threading.Thread(target=call_until_it_ends, args=(gate.port, secret, log)) for log in logs]
    for thread in callers:
        thread.start()
    while sum(map(len, logs)) < calls:
        assert all(thread.is_alive() for thread in callers)
        threading.Event().wait(0.01)
    status = gate.end(number)
    for thread in callers:
        thread.join()
    return status, [request_id for log in logs for request_id in log]


def store_what_waits() -> None:
    """A stop on a busy machine may leave calls on the disk: the next gate stores them."""
    if not call_counts.totals().waiting:
        return
    with ProcessGate():
        end = time.monotonic() + 60
        while call_counts.totals().waiting:
            assert time.monotonic() < end, "The calls on the disk were not stored."
            time.sleep(0.1)


def test_a_clean_stop_under_load_loses_no_call(secret: str) -> None:
    before = call_counts.totals()
    with ProcessGate() as gate:
        status, answered = end_under_load(gate, secret, signal.SIGTERM, calls=3_000)
    store_what_waits()

    stored = {str(one) for one in Call.objects.values_list("request_id", flat=True)}
    after = call_counts.totals()
    assert status == 0
    assert set(answered) <= stored
    assert (after.lost - before.lost, after.issued - before.issued) == (0, len(stored))


def test_after_a_kill_issued_stored_and_lost_agree_with_what_callers_saw(secret: str) -> None:
    before = call_counts.totals()
    with ProcessGate() as gate:
        ask(gate.port, bearer(secret))
        with transaction.atomic(), connection.cursor() as cursor:  # SQLite: the transaction itself locks
            if connection.vendor == "postgresql":
                cursor.execute("LOCK TABLE auditlog_call")
            _, answered = end_under_load(gate, secret, signal.SIGKILL, calls=3_000)

    rows = Call.objects.count()
    after = call_counts.totals()
    issued, stored, lost = (getattr(after, name) - getattr(before, name) for name in ("issued", "stored", "lost"))
    assert stored == rows
    assert lost == issued - stored
    assert lost > 0
    assert len(answered) + 1 <= issued <= len(answered) + 1 + CALLERS  # counted before the answer, so never fewer


def test_when_the_storing_process_is_killed_another_one_stores_each_call_once(secret: str) -> None:
    before = call_counts.totals()
    with ProcessGate() as gate, Connection(gate.port) as caller:
        asked = [caller.ask(request(bearer(secret))).headers["x-request-id"] for _ in range(200)]
        os.kill(gate.storing_pid, signal.SIGKILL)
        asked += [caller.ask(request(bearer(secret))).headers["x-request-id"] for _ in range(200)]
        status = gate.end(signal.SIGTERM)

    after = call_counts.totals()
    assert status == 0
    assert sorted(map(str, Call.objects.values_list("request_id", flat=True))) == sorted(asked)
    assert (after.issued - before.issued, after.lost - before.lost) == (400, 0)


@pytest.mark.settles
def test_a_gate_that_was_stopped_while_a_key_was_rotated_does_not_accept_the_old_one_on_waking(secret: str) -> None:
    account = Account.objects.get()
    with ProcessGate() as gate, Connection(gate.port) as waiting:
        first = waiting.ask(request(bearer(secret))).status
        gate.stop()
        issued = api_keys.rotate_api_key(account=account, generation=1, by=SHELL, now=timezone.now())
        waiting.send(request(bearer(secret)))  # in the gate's socket before it wakes
        gate.send(signal.SIGCONT)
        answer = waiting.answer()
        gate.wait_until_ready()
        afterwards = [ask(gate.port, bearer(one)).status for one in (secret, issued.secret)]

    assert first == 204
    assert answer is not None
    assert answer.status in {401, 503}
    assert afterwards == [401, 204]
