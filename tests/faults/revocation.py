"""What the tests of G1 are made of: callers, rotators and gates that may be killed, a log of calls, and three checks.

Callers present an account's newest secrets, older ones, and the next one, which is no key yet. One clock, this
machine's, orders everything. Only 204 and 401 are verdicts; other answers, and calls without one, claim nothing.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from typing import IO, Self

from django.conf import settings
from django.utils import timezone

from accounts.actors import SHELL
from apikeys import secrets
from apikeys.operations import api_keys
from apikeys.secrets import Kind
from tests.factories import AccountFactory
from tests.gates import Connection, ProcessGate, bearer, database_url, request

LONG = os.environ.get("GATE_FAULTS") == "long"
CALLERS = 8
ACCOUNTS = 8 if LONG else 2  # each with a rotator, which spends nearly all of its time waiting
OUT_OF_THE_WAY = 10**9
PRESENTED = 5  # generations, the next one included
PATIENCE = 2.0  # seconds for an answer
PAUSE = 0.002  # between two calls of a caller, so that more than callers get to run
HASTE = 0.25  # seconds between rotations that do not wait: more than a poll's
ACCEPTED, REFUSED = 204, 401


# --- What happened ----------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Generation:
    """A secret, and the rotation that makes it the key; one that has not returned claims nothing."""

    secret: str = field(default_factory=lambda: secrets.generate(Kind.API_KEY))
    started: float = inf
    returned: float = inf


@dataclass(slots=True)
class History:
    """An account's keys, oldest first, and the next one."""

    slug: str
    generations: list[Generation]


@dataclass(frozen=True, slots=True)
class Seen:
    gate: str
    account: int
    generation: int  # index into the account's history
    started: float
    ended: float
    status: int


@dataclass
class Log:
    """What callers saw of the accounts' keys."""

    histories: list[History]
    parts: list[list[Seen]] = field(default_factory=list)  # one of each caller's own

    @property
    def seen(self) -> list[Seen]:
        return [call for part in self.parts for call in part]

    def calls(self) -> int:
        return sum(map(len, self.parts))

    def rotations(self) -> int:
        """How many have returned."""
        return sum(made.returned < inf for one in self.histories for made in one.generations[1:])

    def accepted_too_late(self) -> list[Seen]:
        """Accepts that began after a rotation to a later generation had returned."""
        return [call for call in self._with(ACCEPTED) if call.started > min(self._returns_after(call), default=inf)]

    def refused_while_current(self) -> list[Seen]:
        """401s that began after the rotation to it had returned and ended before the next one began."""
        return [
            call
            for call in self._with(REFUSED)
            if call.started > self._made(call).returned and call.ended < self._of(call)[call.generation + 1].started
        ]

    def accepted_too_early(self) -> list[Seen]:
        """Accepts that ended before the rotation to it began."""
        return [call for call in self._with(ACCEPTED) if call.ended < self._made(call).started]

    def __str__(self) -> str:
        verdicts = Counter(call.status for call in self.seen)
        told = ", ".join(f"{number:,} x {status}" for status, number in sorted(verdicts.items()))
        return f"{self.calls():,} calls ({told}), {self.rotations():,} rotations, {len(self.violations())} violations"

    def violations(self) -> list[Seen]:
        return self.accepted_too_late() + self.refused_while_current() + self.accepted_too_early()

    def _with(self, status: int) -> Iterator[Seen]:
        return (call for call in self.seen if call.status == status)

    def _of(self, call: Seen) -> list[Generation]:
        return self.histories[call.account].generations

    def _made(self, call: Seen) -> Generation:
        return self._of(call)[call.generation]

    def _returns_after(self, call: Seen) -> Iterator[float]:
        return (later.returned for later in self._of(call)[call.generation + 1 :])


def new_histories() -> list[History]:
    """Accounts that have a key, out of the limits' way."""
    return [_new_history() for _ in range(ACCOUNTS)]


def _new_history() -> History:
    account = AccountFactory.create(burst_limit=OUT_OF_THE_WAY, daily_limit=OUT_OF_THE_WAY)
    issued = api_keys.create_api_key(account=account, by=SHELL, now=timezone.now())
    return History(account.slug, [Generation(issued.secret, started=0.0, returned=0.0), Generation()])


# --- Who does it ------------------------------------------------------------------------------------------------------
class Rotators:
    """The processes that rotate, one an account; started when first needed, since that takes a while."""

    def __init__(self, store: str = "") -> None:
        self._processes = [self._started(store or database_url()) for _ in range(ACCOUNTS)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            with process:
                _pipe(process.stdin).close()

    def rotate(self, number: int, history: History, verb: str) -> bool:
        """Make the next secret the key; whether that returned."""
        made, process = history.generations[-1], self._processes[number]
        made.started = time.monotonic()
        history.generations.append(Generation())
        _pipe(process.stdin).write(f"{verb} {history.slug} {made.secret}\n")
        answer = _pipe(process.stdout).readline()
        now = time.monotonic()
        assert answer in {"returned\n", "ended\n"}
        if answer == "returned\n":
            made.returned = now
        return made.returned < inf

    @staticmethod
    def _started(store: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.rotator"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, bufsize=1, cwd=settings.BASE_DIR, env={**os.environ, "DATABASE_URL": store},
        )  # fmt: skip


def _pipe(end: IO[str] | None) -> IO[str]:
    assert end is not None
    return end


class Gate:
    """A gate process that is started again where it was killed."""

    def __init__(self, name: str, twist: str, *, store: str, redis_url: str) -> None:
        self.name, self._start = name, partial(ProcessGate, twist=twist, store=store, redis_url=redis_url)
        self.process = self._start()
        self.port = self.process.port

    def kill(self) -> None:
        self.process.end(signal.SIGKILL)
        self.process = self._start(port=self.port)
        self.process.wait_until_ready()

    def call_until(self, stop: threading.Event, histories: list[History], part: list[Seen]) -> None:
        while not stop.is_set():
            with suppress(OSError, AssertionError), Connection(self.port, timeout=PATIENCE) as connection:
                while not stop.is_set():
                    for account, generation, secret in presented(histories):
                        started = time.monotonic()
                        status = connection.ask(request(bearer(secret))).status
                        part.append(Seen(self.name, account, generation, started, time.monotonic(), status))
                        time.sleep(PAUSE)
            time.sleep(0.05)  # killed, stopped or overrun: the call had no verdict

    def stopped(self, seconds: float, histories: list[History], part: list[Seen]) -> None:
        """SIGSTOP it for so long; what its socket holds when it wakes are calls with each secret, begun last."""
        self.process.send(signal.SIGSTOP)
        time.sleep(seconds)
        with ExitStack() as stack:
            asked = []
            for account, generation, secret in presented(histories):
                connection = stack.enter_context(Connection(self.port))
                asked.append((connection, account, generation, time.monotonic()))
                connection.send(request(bearer(secret)))
            self.process.send(signal.SIGCONT)
            for connection, account, generation, started in asked:
                answer = connection.answer()
                assert answer is not None
                part.append(Seen(self.name, account, generation, started, time.monotonic(), answer.status))


def presented(histories: list[History]) -> Iterator[tuple[int, int, str]]:
    """Account, generation and secret of the newest, oldest first."""
    for account, one in enumerate(histories):
        newest = len(one.generations)
        for generation in range(max(newest - PRESENTED, 0), newest):
            yield account, generation, one.generations[generation].secret


# --- All of it, running -----------------------------------------------------------------------------------------------
class Running:
    """Gates by name, each with its twist or none, and callers and rotators at work until the end.

    :param store: URL of the database; the test's own if none is named.
    """

    def __init__(
        self,
        twists: Mapping[str, str],
        rotators: Rotators,
        *,
        store: str = "",
        redis_url: str = "",
        hasty: bool = False,
        histories: list[History] | None = None,
    ) -> None:
        self.log = Log(histories or new_histories())
        self._deaths: list[int] = []  # of rotations, between commit and answer: the accounts'
        self.gates = [Gate(name, twist, store=store, redis_url=redis_url) for name, twist in twists.items()]
        self._rotators, self._verb, self._dying = rotators, "hasten" if hasty else "rotate", SimpleQueue[str]()
        self._calling, self._rotating = threading.Event(), threading.Event()
        self._callers: list[threading.Thread] = []
        self._rotations: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for gate in self.gates:
            gate.process.wait_until_ready()
        for number in range(CALLERS):
            part: list[Seen] = []
            self.log.parts.append(part)
            gate = self.gates[number % len(self.gates)]
            arguments = (self._calling, self.log.histories, part)
            self._callers.append(threading.Thread(target=gate.call_until, args=arguments))
        for number in range(len(self.log.histories)):
            self._rotations.append(threading.Thread(target=self._rotate_on, args=(number,)))
        for thread in [*self._callers, *self._rotations]:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_rotating()
        self._calling.set()
        for thread in self._callers:
            thread.join()
        for gate in self.gates:
            gate.process.__exit__(None, None, None)

    @property
    def deaths(self) -> int:
        return len(self._deaths)

    def go_on(self, *, rotations: int) -> None:
        """Until so many more rotations have returned."""
        until = self.log.rotations() + rotations
        while self.log.rotations() < until:
            assert all(thread.is_alive() for thread in self._rotations)
            time.sleep(0.05)

    def kill_rotators(self) -> None:
        """Have as many of the next rotations as there are accounts killed between commit and answer; until they are."""
        until = self.deaths + ACCOUNTS
        for _ in range(ACCOUNTS):
            self._dying.put("die")
        while self.deaths < until:
            assert all(thread.is_alive() for thread in self._rotations)
            time.sleep(0.05)

    def stop_rotating(self) -> None:
        self._rotating.set()
        for thread in self._rotations:
            thread.join()

    def stop_gate(self, number: int, *, seconds: float) -> None:
        part: list[Seen] = []
        self.log.parts.append(part)
        self.gates[number].stopped(seconds, self.log.histories, part)

    def _rotate_on(self, number: int) -> None:
        while not self._rotating.is_set():
            try:
                verb = self._dying.get_nowait()
            except Empty:
                verb = self._verb
            returned = self._rotators.rotate(number, self.log.histories[number], verb)
            if verb == "die" and not returned:
                self._deaths.append(number)
            if verb == "hasten":
                time.sleep(HASTE)
