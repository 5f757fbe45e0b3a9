"""Redis, where one runs: the cache that web processes share, and the broker between clock and workers."""

import os
import secrets
from collections.abc import Iterator

import pytest
import redis
from celery import Celery
from django.core.cache.backends.redis import RedisCache

REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/15")


@pytest.fixture
def prefix() -> Iterator[str]:
    """A name of this test's own on a Redis that others may use too; what bears it is gone afterwards."""
    server = redis.Redis.from_url(REDIS_URL, socket_connect_timeout=1)
    try:
        server.ping()
    except redis.ConnectionError:
        pytest.skip(f"redis: none answers at {REDIS_URL}")
    name = f"keyportal-test-{secrets.token_hex(6)}"
    yield name
    for key in server.scan_iter(f"*{name}*"):
        server.delete(key)
    server.close()


def test_what_one_process_puts_into_the_cache_another_one_reads(prefix: str) -> None:
    one, another = (RedisCache(REDIS_URL, {"KEY_PREFIX": prefix}) for _ in range(2))

    one.set("attempts", 3, timeout=60)

    assert another.incr("attempts") == 4
    for cache in (one, another):
        cache.close()


def test_a_task_sent_by_one_process_is_received_by_another(prefix: str) -> None:
    sender, receiver = (Celery(broker=REDIS_URL, set_as_current=False) for _ in range(2))
    sender.send_task("auditlog.tasks.prune_calls", queue=prefix)

    with receiver.connection_for_read() as connection, connection.SimpleQueue(prefix) as queue:
        message = queue.get(timeout=5)
        message.ack()

    assert message.headers["task"] == "auditlog.tasks.prune_calls"
