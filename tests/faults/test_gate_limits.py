"""G8: whatever happens, all processes together accept no more calls in any ten seconds, or in a day, than the limit.

Callers hammer one account at several gates, real processes, and at this process as a web process does. One clock orders
everything: a call was accepted between its beginning and its end, so that those that began and ended within some ten
seconds were surely accepted in them. With the sharing switched off the same finds more than the limit.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.actors import SHELL
from accounts.operations import accounts as account_operations
from apikeys import secrets
from apikeys.gate import direct
from apikeys.models import ApiKey
from apikeys.secrets import Kind
from tests.factories import ApiKeyFactory
from tests.gates import Connection, ProcessGate, ThreadGate, ask, bearer, request
from tests.redis_server import RedisServer
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

WINDOW = 10.0
BURST = 60
OUT_OF_THE_WAY = 10**9
PAUSE = 0.004  # between two calls of a caller: so that more than one process gets to run

LEFT, LEFT_TODAY = "x-hubspot-ratelimit-remaining", "x-hubspot-ratelimit-daily-remaining"

Accepted = tuple[float, float]  # a call's beginning and end


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer said is left, of ten seconds and of the day."""

    began: float
    ended: float
    is_accepted: bool
    burst: int
    daily: int


@dataclass
class Callers:
    """Keep calling until they are stopped."""

    secret: str
    accepted: list[Accepted] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def at_gate(self, port: int, *, number: int = 1, pause: float = PAUSE) -> None:
        self._start(lambda: self._call_gate(port, pause), number)

    def at_web(self, *, number: int = 1) -> None:
        self._start(self._call_directly, number)

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _start(self, what: Callable[[], None], number: int) -> None:
        started = [threading.Thread(target=what) for _ in range(number)]
        self._threads += started
        for thread in started:
            thread.start()

    def _call_gate(self, port: int, pause: float) -> None:
        asked = request(bearer(self.secret))
        with suppress(OSError, AssertionError), Connection(port) as gate:  # it may be killed
            while not self._stopping.wait(pause):
                began = time.monotonic()
                answer = gate.ask(asked)
                self._saw(began, answer.status, answer.headers)

    def _call_directly(self) -> None:
        asked = direct.ApiRequest(method="GET", target="/", headers=[bearer(self.secret)], address=None)
        while not self._stopping.wait(PAUSE):
            began = time.monotonic()
            decision = direct.decide(asked)
            headers = {name.lower(): value for name, value in decision.headers}
            self._saw(began, 204 if decision.accepted else decision.status, headers)
        connection.close()

    def _saw(self, began: float, status: int, headers: Mapping[str, str]) -> None:
        ended = time.monotonic()
        if status == 204:
            self.accepted.append((began, ended))
        self.statuses.add(status)
        if LEFT in headers:
            left, left_today = int(headers[LEFT]), int(headers[LEFT_TODAY])
            self.told.append(Told(began, ended, status == 204, left, left_today))


def most_in_any_window(accepted: list[Accepted]) -> int:
    calls = sorted(accepted)
    return max(
        (sum(1 for _, ended in calls[number:] if ended <= began + WINDOW) for number, (began, _) in enumerate(calls)),
        default=0,
    )


def told_too_much(callers: Callers, *, burst: int, daily: int) -> list[Told]:
    """Answers that said that more was left than can have been, whenever in their calls they were made.

    An accepted call is counted before its answer is made; others were if they had ended before it began.
    """
    found = []
    for told in callers.told:
        before = [began for began, ended in callers.accepted if ended < told.began]
        of_late = sum(1 for began in before if began > told.ended - WINDOW)
        itself = int(told.is_accepted)
        if told.burst > burst - of_late - itself or told.daily > daily - len(before) - itself:
            found.append(told)
    return found


@pytest.fixture(autouse=True)
def _web_process_ends() -> Iterator[None]:
    yield
    direct.close()


def new_key(*, burst: int = OUT_OF_THE_WAY, daily: int = OUT_OF_THE_WAY) -> tuple[ApiKey, str]:
    secret = secrets.generate(Kind.API_KEY)
    return ApiKeyFactory.create(secret=secret, account__burst_limit=burst, account__daily_limit=daily), secret


def new_gates(number: int) -> list[ProcessGate]:
    """Gates that start at once; they share by Redis if this process does."""
    return [ProcessGate(redis_url=django_settings.REDIS_URL) for _ in range(number)]


def is_shared(gate: ProcessGate) -> bool:
    return b"keyportal_limits_shared 1.0" in ask(gate.port, target="/metrics").body


@pytest.mark.parametrize(
    "counter", ["table", pytest.param("redis", marks=pytest.mark.once("the numbers are in Redis, whatever the store"))]
)
def test_all_processes_together_accept_exactly_the_burst_limit(counter: str, settings: Settings) -> None:
    _, secret = new_key(burst=BURST)
    callers = Callers(secret)
    with ExitStack() as stack:
        if counter == "redis":
            settings.REDIS_URL = stack.enter_context(RedisServer()).url
        one, other = (stack.enter_context(gate) for gate in new_gates(2))
        began = time.monotonic()
        callers.at_gate(one.port, number=2)
        callers.at_gate(other.port)
        callers.at_web()
        time.sleep(WINDOW + 1)
        callers.stop()

    assert most_in_any_window(callers.accepted) <= BURST
    assert sum(1 for _, ended in callers.accepted if ended < began + WINDOW - 0.5) == BURST
    assert len(callers.accepted) > BURST  # what was used comes back
    assert {204, 429} <= callers.statuses <= {204, 429, 503}  # 503: where the machine is too busy to answer in time


def test_all_processes_together_accept_exactly_the_daily_limit() -> None:
    _, secret = new_key(daily=200)
    callers = Callers(secret)
    first, second = new_gates(2)
    with first as one, second as other:
        callers.at_gate(one.port, number=2)
        callers.at_gate(other.port)
        callers.at_web()
        until(lambda: len(callers.accepted) >= 200)
        time.sleep(1.5)
        callers.stop()

    assert len(callers.accepted) == 200
    assert {204, 429} <= callers.statuses <= {204, 429, 503}  # 503: where the machine is too busy to answer in time


@pytest.mark.parametrize(
    "counter", ["table", pytest.param("redis", marks=pytest.mark.once("the numbers are in Redis, whatever the store"))]
)
def test_no_process_says_that_more_is_left_than_all_together_have(counter: str, settings: Settings) -> None:
    """One is called now and then and hears little of the others, which use up what they can as fast as they can."""
    daily = 3 * BURST // 2
    _, secret = new_key(burst=BURST, daily=daily)
    callers = Callers(secret)
    with ExitStack() as stack:
        if counter == "redis":
            settings.REDIS_URL = stack.enter_context(RedisServer()).url
        slow, *fast = [stack.enter_context(gate) for gate in new_gates(3)]
        callers.at_gate(slow.port, pause=0.3)
        until(lambda: len(callers.accepted) >= 3)
        for gate in fast:
            callers.at_gate(gate.port)
        until(lambda: len(callers.accepted) >= daily)
        time.sleep(1)
        callers.stop()

    assert told_too_much(callers, burst=BURST, daily=daily) == []
    assert {told.burst > 0 for told in callers.told} == {told.daily > 0 for told in callers.told} == {True, False}


def test_without_sharing_more_are_accepted_so_this_would_be_noticed() -> None:
    _, secret = new_key(burst=BURST)
    callers = Callers(secret)
    with ThreadGate() as one, ThreadGate() as other:
        for each in (one, other):
            each.gate.windows.sharing = None
            callers.at_gate(each.port)
        time.sleep(2)
        callers.stop()

    assert most_in_any_window(callers.accepted) == 2 * BURST
    assert told_too_much(callers, burst=BURST, daily=OUT_OF_THE_WAY) != []


def test_what_a_killed_process_held_is_spent() -> None:
    _, secret = new_key(burst=BURST)
    callers = Callers(secret)
    first, second = new_gates(2)
    with first as one, second as other, ExitStack() as stack:
        callers.at_gate(one.port, number=2)
        time.sleep(0.2)
        callers.at_gate(other.port)
        until(lambda: len(callers.accepted) >= BURST // 2)
        one.end(signal.SIGKILL)
        third = stack.enter_context(ProcessGate())
        callers.at_gate(third.port, number=2)
        time.sleep(3)
        callers.stop()

    assert most_in_any_window(callers.accepted) <= BURST


@pytest.mark.parametrize("fault", ["flush", "restart"])
@pytest.mark.once("the numbers are in Redis, whatever the store")
def test_a_redis_that_forgets_lets_nobody_accept_more(fault: str, settings: Settings) -> None:
    """Nearly all is used at one gate before; then the other one, which holds nothing, is asked for all of it."""
    _, secret = new_key(burst=BURST)
    callers = Callers(secret)
    with RedisServer() as server:
        settings.REDIS_URL = server.url
        first, second = new_gates(2)
        with first as one, second as other:
            ask(other.port, bearer(secret))
            callers.at_gate(one.port)
            until(lambda: len(callers.accepted) >= BURST - 5)
            if fault == "flush":
                server.flush()
            else:
                server.stop()
            callers.at_gate(other.port)
            callers.at_web()
            if fault == "restart":
                time.sleep(2.5)
                said = ask(one.port, target="/readyz"), ask(one.port, target="/metrics")
                assert said[0].status == 200
                assert b"each process keeps to its share" in said[0].body
                assert b"keyportal_limits_shared 0.0" in said[1].body
                server.start()
            until(lambda: is_shared(one))
            time.sleep(3)
            callers.stop()

    assert most_in_any_window(callers.accepted) <= BURST


def test_a_redis_that_is_gone_for_good_is_left_by_starting_anew_without_it(settings: Settings) -> None:
    _, secret = new_key(burst=BURST)
    callers = Callers(secret)
    with RedisServer() as server, ExitStack() as stack:
        settings.REDIS_URL = server.url
        old = [stack.enter_context(gate) for gate in new_gates(2)]
        callers.at_gate(old[0].port)
        until(lambda: len(callers.accepted) >= BURST - 5)
        server.stop()
        until(lambda: not is_shared(old[0]))
        settings.REDIS_URL = ""
        new = [stack.enter_context(gate) for gate in new_gates(2)]
        for gate in new:
            callers.at_gate(gate.port)
        for gate in old:
            gate.end(signal.SIGTERM)
        until(lambda: all(map(is_shared, new)))
        time.sleep(3)
        callers.stop()

    assert most_in_any_window(callers.accepted) <= BURST
    assert sum(1 for began, _ in callers.accepted if began > callers.accepted[-1][0] - 3) > 0  # and they go on


def test_a_lowered_limit_counts_what_was_used_before() -> None:
    key, secret = new_key(burst=BURST)
    before, after = Callers(secret), Callers(secret)
    first, second = new_gates(2)
    with first as one, second as other:
        before.at_gate(one.port)
        before.at_gate(other.port)
        until(lambda: len(before.accepted) >= BURST // 2)
        before.stop()
        account_operations.change_plan(
            account=key.account, by=SHELL, now=timezone.now(), burst_limit=BURST // 3, daily_limit=None
        )
        time.sleep(1.2)  # by then every gate has heard
        after.at_gate(one.port)
        after.at_gate(other.port)
        time.sleep(2)
        after.stop()

    assert after.accepted == []
    assert after.statuses <= {429, 503}
