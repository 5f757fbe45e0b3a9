"""How gate processes are replaced: whoever calls meanwhile notices nothing."""

import signal
import threading
import time
from collections.abc import Callable

import pytest

from apikeys import secrets
from apikeys.gate.protocol import GateProtocol
from apikeys.secrets import Kind
from tests.factories import ApiKeyFactory
from tests.gates import Answer, Connection, ProcessGate, ThreadGate, bearer, request

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.once("processes come and go alike whatever the store"),
]

CALLERS = 4
PASSED_OR_LATE = {204, 503}  # the latter where a busy machine lets a poll come too late
PROCESS_PART = 18  # characters of a request id that its process has to itself


@pytest.fixture
def secret() -> str:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__burst_limit=10**9)
    return secret


def call_on(port: int, secret: str, stop: threading.Event, processes: set[str], errors: list[str]) -> None:
    """Call over kept connections, a new one after each that was said to end; who answered, and what went wrong."""
    while not stop.is_set():
        try:
            with Connection(port) as gate:
                while not stop.is_set():
                    answer = gate.ask(request(bearer(secret)))
                    processes.add(answer.headers["x-request-id"][:PROCESS_PART])
                    if answer.status not in PASSED_OR_LATE:
                        errors.append(f"status {answer.status}")
                    if answer.headers.get("connection") == "close":
                        break
        except (OSError, AssertionError) as failure:
            errors.append(repr(failure))


def test_workers_that_are_replaced_under_load_cost_no_call(secret: str) -> None:
    stop, processes, errors = threading.Event(), set[str](), list[str]()
    with ProcessGate(workers=1) as gate:
        arguments = (gate.port, secret, stop, processes, errors)
        callers = [threading.Thread(target=call_on, args=arguments) for _ in range(CALLERS)]
        for thread in callers:
            thread.start()
        wait_for(lambda: len(processes) == 1)
        gate.send(signal.SIGHUP)
        wait_for(lambda: len(processes) == 2)  # the new one answers
        gate.send(signal.SIGHUP)
        wait_for(lambda: len(processes) == 3)  # and so the first old one is gone
        stop.set()
        for thread in callers:
            thread.join()

    assert errors == []


def ask_while_it_stops(secret: str) -> Answer | None:
    """What a request gets that was sent on a kept, idle connection after the server had begun to stop."""
    with ThreadGate() as gate, Connection(gate.port) as caller:
        caller.ask(request(bearer(secret)))
        protocol = next(iter(gate.gate.connections))
        gate.begin_to_stop()
        wait_for(lambda: protocol.draining or protocol.closing)
        try:
            caller.send(request(bearer(secret)))
            return caller.answer()
        except OSError:
            return None


def test_a_gate_that_stops_gives_each_connection_one_more_answer_and_says_that_it_is_the_last(secret: str) -> None:
    answer = ask_while_it_stops(secret)

    assert answer is not None
    assert (answer.status, answer.headers["connection"]) == (204, "close")


def test_without_that_answer_the_request_is_lost(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def close_at_once(protocol: GateProtocol) -> None:
        protocol.closing = True
        protocol.transport.close()

    monkeypatch.setattr(GateProtocol, "shutdown", close_at_once)

    assert ask_while_it_stops(secret) is None


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "It did not come to that."
        time.sleep(0.02)
