"""G1: no call that begins after a rotation has returned is accepted with the old secret, by any gate process.

Callers keep presenting the current and the previous secret of two accounts to two gate processes while both keys are
rotated. One clock orders everything. The same with the wait after the commit taken out must find accepts: so the test
sees what it is there to see.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from django.db import connection
from django.utils import timezone

from accounts.actors import SHELL
from accounts.models import Account
from apikeys.operations import api_keys
from tests.factories import AccountFactory
from tests.gates import Connection, ProcessGate, bearer, request

pytestmark = pytest.mark.django_db(transaction=True)

CALLERS = 8
GATES = 2
CALLS = 20_000
ROTATIONS = 5  # of each account, at least
OUT_OF_THE_WAY = 10**9


@dataclass
class Generation:
    secret: str
    rotation_started: float = 0.0  # of the rotation that made it
    known: float = 0.0  # when that rotation had returned


@dataclass
class History:
    """One account's keys, oldest first; its rotator appends."""

    account: Account
    generations: list[Generation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seen:
    account: int
    generation: int  # index into the account's history
    started: float
    ended: float
    status: int


def history() -> History:
    account = AccountFactory.create(burst_limit=OUT_OF_THE_WAY, daily_limit=OUT_OF_THE_WAY)
    issued = api_keys.create_api_key(account=account, by=SHELL, now=timezone.now())
    return History(account, [Generation(issued.secret)])


def rotate_on(one: History, *, goes_on: Callable[[], bool], pause: float) -> None:
    while goes_on():
        started = time.monotonic()
        number = len(one.generations)
        issued = api_keys.rotate_api_key(account=one.account, generation=number, by=SHELL, now=timezone.now())
        one.generations.append(Generation(issued.secret, started, time.monotonic()))
        time.sleep(pause)
    connection.close()


def call_on(port: int, histories: list[History], seen: list[Seen], *, goes_on: Callable[[], bool]) -> None:
    with Connection(port) as gate:
        while goes_on():
            for account, one in enumerate(histories):
                newest = len(one.generations) - 1
                for generation in {newest, max(newest - 1, 0)}:
                    asked = request(bearer(one.generations[generation].secret))
                    started = time.monotonic()
                    answer = gate.ask(asked)
                    seen.append(Seen(account, generation, started, time.monotonic(), answer.status))


def run(*, calls: int, rotations: int, pause: float) -> tuple[list[History], list[Seen]]:
    """Call and rotate until there are as many of both as asked for."""
    histories = [history(), history()]
    logs: list[list[Seen]] = [[] for _ in range(CALLERS)]

    def goes_on() -> bool:
        few_rotations = any(len(one.generations) <= rotations for one in histories)
        return few_rotations or sum(map(len, logs)) < calls

    rotating = threading.Event()
    with ProcessGate() as one, ProcessGate() as other:
        ports = [one.port, other.port] * (CALLERS // GATES)
        callers = [
            threading.Thread(
                target=call_on, args=(port, histories, log), kwargs={"goes_on": lambda: not rotating.is_set()}
            )
            for port, log in zip(ports, logs, strict=True)
        ]
        rotators = [
            threading.Thread(target=rotate_on, args=(one,), kwargs={"goes_on": goes_on, "pause": pause})
            for one in histories
        ]
        for thread in [*callers, *rotators]:
            thread.start()
        for thread in rotators:
            thread.join()
        rotating.set()
        for thread in callers:
            thread.join()
    return histories, [call for log in logs for call in log]


def accepted_after_the_end(histories: list[History], seen: list[Seen]) -> list[Seen]:
    """Accepts of a generation that began after the rotation that ended it had returned."""
    return [
        call
        for call in seen
        if call.status == 204
        and call.generation + 1 < len(histories[call.account].generations)
        and call.started > histories[call.account].generations[call.generation + 1].known
    ]


def refused_while_current(histories: list[History], seen: list[Seen]) -> list[Seen]:
    """401s of a generation that had been given out, and whose own end had not begun."""

    def end_began(call: Seen) -> float:
        generations = histories[call.account].generations
        later = generations[call.generation + 1 :]
        return later[0].rotation_started if later else float("inf")

    return [call for call in seen if call.status == 401 and call.ended < end_began(call)]


@pytest.mark.settles
def test_after_a_rotation_has_returned_no_gate_accepts_the_old_key_and_each_accepts_the_new_one() -> None:
    histories, seen = run(calls=CALLS, rotations=ROTATIONS, pause=0.0)

    assert len(seen) >= CALLS
    assert accepted_after_the_end(histories, seen) == []
    assert refused_while_current(histories, seen) == []
    assert {204, 401} <= {call.status for call in seen} <= {204, 401, 503}  # 503: neither; the store was too busy


def test_without_the_wait_old_keys_are_accepted_so_this_would_be_noticed() -> None:
    histories, seen = run(calls=0, rotations=2 * ROTATIONS, pause=0.25)

    assert accepted_after_the_end(histories, seen) != []
    assert refused_while_current(histories, seen) == []
