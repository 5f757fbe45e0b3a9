"""G1: no call that begins after a rotation has returned is accepted with the old secret, by any gate process.

Eight callers and two rotators, while gates and rotators are killed and stopped, Redis and PostgreSQL go away, wall
clocks are wrong and the database is set back (`tests.faults.revocation` says what is checked). With each of the things
that keep G1 switched off the same finds violations. The short form runs with every test run; `GATE_FAULTS=long ./portal
test -m revocation` goes on for 200,000 calls and 1,000 rotations, and says at its end how many there were.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.db import connection

from accounts.revisions import LEASE_SECONDS
from tests.counted import Tell
from tests.faults.revocation import ACCEPTED, ACCOUNTS, LONG, Log, Rotators, Running, Seen, new_histories
from tests.gates import database_url
from tests.postgresql_server import PostgreSQLServer
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.revocation]

CALLS, ROTATIONS = (200_000, 1_000) if LONG else (1_000, 3)  # at least
UNDISTURBED_CALLS = 20_000
ROUNDS = 20 if LONG else 1
STOPPED = 3.0  # seconds
TRIES = 5  # of what need not happen each time, since it takes calls at the right moments
WRONG_CLOCKS = {"ahead": "an hour ahead", "behind": "an hour behind"}  # none of the gates has the right time


@pytest.fixture(scope="module")
def rotators(django_db_setup: None) -> Iterator[Rotators]:
    with Rotators() as processes:
        yield processes


def assert_kept(log: Log, tell: Tell) -> None:
    """Nothing was violated, and there was something to violate."""
    tell(str(log))
    assert log.accepted_too_late() == []
    assert log.refused_while_current() == []
    assert log.accepted_too_early() == []
    assert {204, 401} <= {call.status for call in log.seen} <= {204, 401, 429, 503}


def test_after_a_rotation_has_returned_no_gate_accepts_the_old_key_and_each_accepts_the_new_one(
    rotators: Rotators, tell: Tell
) -> None:
    with Running({"one": "", "other": ""}, rotators) as under:
        while under.log.calls() < UNDISTURBED_CALLS:
            under.go_on(rotations=1)

    assert_kept(under.log, tell)
    assert {call.gate for call in under.log.seen if call.status == ACCEPTED} == {"one", "other"}


def test_with_wrong_clocks_and_whatever_is_killed_or_stopped_only_the_current_key_is_accepted(
    rotators: Rotators, tell: Tell
) -> None:
    rounds = 0
    with Running(WRONG_CLOCKS, rotators) as under:
        while not rounds or under.log.calls() < CALLS or under.log.rotations() < ROTATIONS:
            under.go_on(rotations=2)
            under.gates[0].kill()
            under.kill_rotators()
            under.go_on(rotations=1)
            under.stop_gate(1, seconds=STOPPED)
            rounds += 1

    assert_kept(under.log, tell)
    assert under.deaths == rounds * ACCOUNTS
    assert {call.gate for call in under.log.seen if call.status == ACCEPTED} == set(WRONG_CLOCKS)


@pytest.mark.once("what happens to Redis is the same whatever the store")
def test_while_redis_is_emptied_or_gone_only_the_current_key_is_accepted(rotators: Rotators, tell: Tell) -> None:
    with RedisServer() as redis, Running({"one": "", "other": ""}, rotators, redis_url=redis.url) as under:
        for _ in range(ROUNDS):
            under.go_on(rotations=1)
            redis.flush()
            under.go_on(rotations=1)
            redis.stop()
            under.go_on(rotations=2)
            redis.start()
        under.go_on(rotations=1)

    assert_kept(under.log, tell)


@pytest.mark.postgresql("SQLite has no server that could be stopped")
def test_while_postgresql_is_stopped_at_once_and_started_only_the_current_key_is_accepted(tell: Tell) -> None:
    histories = new_histories()
    with (
        PostgreSQLServer() as server,
        Rotators(server.url) as rotators,
        Running({"one": "", "other": ""}, rotators, histories=histories, store=server.url) as under,
    ):
        for _ in range(ROUNDS):
            under.go_on(rotations=1)
            server.stop_at_once()
            time.sleep(1.5 * LEASE_SECONDS)
            server.start()
            under.go_on(rotations=2)

    assert_kept(under.log, tell)


# --- The database set back to a dump ----------------------------------------------------------------------------------
Place = tuple[str, Callable[[], None], Callable[[], None]]  # its URL; keep a copy; go back to that


@contextmanager
def store_with_copy(directory: Path) -> Iterator[Place]:
    if connection.vendor == "postgresql":
        with PostgreSQLServer() as server:
            yield server.url, server.keep_copy, server.set_back
        return
    live, copy = connection.settings_dict["NAME"], directory / "copy.sqlite3"

    def put(source: Path | str, target: Path | str) -> None:
        with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target, timeout=30)) as other:
            one.backup(other)

    yield database_url(), lambda: put(live, copy), lambda: put(copy, live)


def test_a_database_set_back_to_a_dump_brings_no_old_key_back_where_gates_notice_it(tmp_path: Path) -> None:
    """The gates go on running. One that starts on such a database cannot know of it: that is G5."""
    gates = {"right": "", "credulous": "takes any store"}
    histories = new_histories()
    with (
        store_with_copy(tmp_path) as (url, keep_copy, set_back),
        Rotators(url) as rotators,
        Running(gates, rotators, histories=histories, store=url) as under,
    ):
        keep_copy()
        under.go_on(rotations=4)
        under.stop_rotating()
        set_back()
        done_at = time.monotonic()
        time.sleep(2 * LEASE_SECONDS)

    since = [call for call in under.log.seen if call.started > done_at + LEASE_SECONDS]
    assert {call.status for call in since if call.gate == "right"} == {503}
    assert {call.gate for call in under.log.violations()} == {"credulous"}


# --- Each of the things that keep G1, switched off --------------------------------------------------------------------
@pytest.mark.once("the store does nothing in this but answer")
def test_with_any_part_of_a_gate_switched_off_this_would_be_noticed(rotators: Rotators) -> None:
    broken = ["asks the clock late", "drops nothing", "trusts for ever"]
    gates = {name: name for name in [*broken, "answers come late"]}
    with Running(gates, rotators) as under:
        for _ in range(TRIES):
            under.go_on(rotations=4)
            under.stop_gate(broken.index("trusts for ever"), seconds=STOPPED)
            under.go_on(rotations=2)
            if {call.gate for call in under.log.accepted_too_late()} == set(broken):
                break

    assert {call.gate for call in under.log.accepted_too_late()} == set(broken)
    assert "drops nothing" in {call.gate for call in under.log.refused_while_current()}
    assert ACCEPTED in {call.status for call in under.log.seen if call.gate == "answers come late"}


def test_without_the_wait_old_keys_are_accepted_so_this_would_be_noticed(rotators: Rotators) -> None:
    few = new_histories()[:2]  # so that each secret is presented often
    with Running({"one": ""}, rotators, hasty=True, histories=few) as under:
        under.go_on(rotations=10)

    assert under.log.accepted_too_late() != []
    assert under.log.accepted_too_early() == []


def test_what_was_accepted_before_its_rotation_began_would_be_noticed() -> None:
    log = Log(new_histories())
    log.parts.append([Seen("gate", 0, 1, started=1.0, ended=2.0, status=ACCEPTED)])
    log.histories[0].generations[1].started = 3.0

    assert log.accepted_too_early() == log.seen
