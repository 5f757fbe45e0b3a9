"""The end of API keys under load: none is accepted after it, by any gate process, come by itself or brought forward.

One clock orders everything: the database's, which on this machine is `time.time`.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.actors import SHELL
from apikeys import secrets
from apikeys.models import Sunset
from apikeys.operations import sunsets
from apikeys.secrets import Kind
from tests.factories import ApiKeyFactory, SunsetFactory
from tests.gates import Connection, ProcessGate, bearer, request

pytestmark = pytest.mark.django_db(transaction=True)

CALLERS = 4
ROUNDS = 2
REFUSED = 401
PASSED_OR_LATE = {204, 503}  # the latter where a busy machine lets a poll come too late
PATIENCE_SECONDS = 20
OUT_OF_THE_WAY = 10**9


@dataclass(frozen=True, slots=True)
class Seen:
    started: float
    status: int


@pytest.fixture
def secret() -> str:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__burst_limit=OUT_OF_THE_WAY, account__daily_limit=OUT_OF_THE_WAY)
    return secret


def move(sunset: Sunset, end: datetime) -> None:
    sunsets.change(sunset=sunset, creation=None, authentication=end, by=SHELL, now=timezone.now())


def calls_meanwhile(port: int, secret: str, act: Callable[[], None]) -> list[Seen]:
    """What callers got while `act` ran, and for half a second after it, or until somebody is refused."""
    logs: list[list[Seen]] = [[] for _ in range(CALLERS)]
    done = threading.Event()

    def call_on(log: list[Seen]) -> None:
        with Connection(port) as gate:
            while not done.is_set():
                started = time.time()
                log.append(Seen(started, gate.ask(request(bearer(secret))).status))

    threads = [threading.Thread(target=call_on, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    act()
    threading.Event().wait(0.5)
    patience = time.monotonic() + PATIENCE_SECONDS
    while not any(call.status == REFUSED for log in logs for call in log[-1:]) and time.monotonic() < patience:
        threading.Event().wait(0.05)
    done.set()
    for thread in threads:
        thread.join()
    return [call for log in logs for call in log]


def accepted_after_an_end_brought_forward(gate: ProcessGate, secret: str) -> list[Seen]:
    """Accepts that began after the operation had returned, of several rounds."""
    found: list[Seen] = []
    sunset = SunsetFactory.create()
    for _ in range(ROUNDS):
        returned: list[float] = []

        def bring_forward(returned: list[float] = returned) -> None:
            threading.Event().wait(0.3)
            move(sunset, timezone.now())
            returned.append(time.time())

        seen = calls_meanwhile(gate.port, secret, bring_forward)
        assert {204, REFUSED} <= {call.status for call in seen} <= {*PASSED_OR_LATE, REFUSED}
        found += [call for call in seen if call.status == 204 and call.started > returned[0]]
        move(sunset, timezone.now() + timedelta(days=90))
        threading.Event().wait(0.5)  # the next round begins with a key that passes, settled or not
    return found


@pytest.mark.settles
def test_after_an_end_was_brought_forward_no_call_that_begins_later_is_accepted(secret: str) -> None:
    with ProcessGate() as gate:
        assert accepted_after_an_end_brought_forward(gate, secret) == []


@pytest.mark.once("asks for the wait alone, which the gate on each store is seen to need in test_gate_revocation")
def test_without_the_wait_some_are_so_this_would_be_noticed(secret: str) -> None:
    with ProcessGate() as gate:
        assert accepted_after_an_end_brought_forward(gate, secret) != []


@pytest.mark.parametrize("clock", ["an hour ahead", "an hour behind"])
def test_when_the_end_comes_no_call_that_begins_later_is_accepted_whatever_the_gates_clock_says(
    secret: str, clock: str
) -> None:
    sunset = SunsetFactory.create()
    with ProcessGate(twist=clock) as gate:
        end = datetime.fromtimestamp(int(time.time()) + 3, UTC)
        move(sunset, end)
        seen = calls_meanwhile(gate.port, secret, lambda: time.sleep(end.timestamp() - time.time()))

    assert {204, REFUSED} <= {call.status for call in seen} <= {*PASSED_OR_LATE, REFUSED}
    assert [call for call in seen if call.status == 204 and call.started >= end.timestamp()] == []
