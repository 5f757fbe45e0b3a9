"""Processes that count calls, and what they ask the counters of burst limits (G8)."""

from uuid import UUID, uuid4

from apikeys.gate.sharing import members
from apikeys.gate.sharing.bursts import BurstAsk, Counter
from apikeys.gate.sharing.redis_counter import RedisCounter
from apikeys.gate.sharing.table import TableCounter
from tests.redis_server import RedisServer

LIMIT = 10


def new_redis_counter(server: RedisServer, *, name: UUID | None = None, epoch: int = 0) -> RedisCounter:
    return RedisCounter(server.url, members.Terms(name or uuid4(), epoch, 0))


def new_table(*, epoch: int = 0, equal_shares: int = 0) -> TableCounter:
    return TableCounter(members.Terms(uuid4(), epoch, equal_shares))


def new_process(counter: Counter, **held: int) -> UUID:
    process = uuid4()
    members.register(process, by_table=isinstance(counter, TableCounter))
    counter.check_in(process, held)
    return process


def burst(
    keep: int,
    want: int,
    *,
    key: str = "account:1",
    limit: int = LIMIT,
    urgent: bool = True,
    number: int = 0,
    answers: int = 0,
) -> BurstAsk:
    return BurstAsk(key, limit, keep, want, is_urgent=urgent, number=number, answers=answers)


def look_at(process: UUID) -> members.Look:
    look = members.look(process)
    assert look is not None
    return look
