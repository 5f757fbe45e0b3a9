"""How batches of calls get to the process that stores them."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from uuid import uuid4

import pytest
from django.db import DEFAULT_DB_ALIAS, connections

from apikeys import secrets
from auditlog import call_counts, call_process
from auditlog.call_process import ProcessStorage
from auditlog.call_rows import Call as QueuedCall
from auditlog.call_storage import LocalStorage, Pack, Storage, StorageRefusedError
from auditlog.calls import CallWriter
from auditlog.models import Call, CallsByRoute
from tests.gates import database_url

CREDENTIAL = uuid4()


def queued(path: str, *, status: int = 204) -> QueuedCall:
    who = (1, "api_key", CREDENTIAL.hex)
    return (who, 1_777_777_777.25, b"GET", path.encode(), status, None, "", b"curl/8", None, uuid4().int, None)


def stored() -> list[str]:
    return sorted(Call.objects.values_list("path", flat=True))


def in_a_child() -> Storage:
    return ProcessStorage(("env", f"DATABASE_URL={database_url()}", sys.executable, "-m", "apikeys.gate.call_storage"))


def in_this_process() -> Storage:
    return LocalStorage(secrets.mask)


@pytest.fixture(autouse=True)
def _connection_of_the_test() -> Iterator[None]:
    """A storage takes a connection of its own for its thread, which is the test's here."""
    kept = connections[DEFAULT_DB_ALIAS]
    yield
    if connections[DEFAULT_DB_ALIAS] is not kept:
        connections[DEFAULT_DB_ALIAS].close()
        connections[DEFAULT_DB_ALIAS] = kept


@pytest.fixture(params=[in_this_process, in_a_child])
def storage(request: pytest.FixtureRequest) -> Iterator[Storage]:
    make: Callable[[], Storage] = request.param
    storage = make()
    storage.open()
    yield storage
    storage.close()


def packed(storage: Storage, *paths: str) -> Sequence[Pack]:
    return [storage.pack([queued(path)]) for path in paths]


@pytest.mark.django_db(transaction=True)
def test_what_comes_ahead_is_stored_with_its_own_batch_alone(storage: Storage) -> None:
    writer, first, second = uuid4(), packed(storage, "/a", "/b"), packed(storage, "/c")

    storage.store(first, writer=writer, number=1, ahead=lambda: second)
    after_the_first = stored()
    storage.store(second, writer=writer, number=2)

    assert after_the_first == ["/a", "/b"]
    assert stored() == ["/a", "/b", "/c"]
    assert CallsByRoute.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_another_batch_may_come_than_the_one_ahead(storage: Storage) -> None:
    writer, first, other = uuid4(), packed(storage, "/a"), packed(storage, "/d")
    second = packed(storage, "/b", "/c")

    storage.store(first, writer=writer, number=1, ahead=lambda: second)
    storage.store(other, writer=writer, number=2, ahead=lambda: second)
    storage.store(other, writer=writer, number=2, ahead=lambda: second)  # as if no answer had come: it is stored once
    storage.store([], writer=writer, number=3)
    storage.store(second, writer=writer, number=3)

    assert stored() == ["/a", "/b", "/c", "/d"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql("SQLite's columns hold whatever comes")
def test_a_batch_at_fault_takes_none_with_it_that_comes_before_or_after(storage: Storage) -> None:
    writer, first, third = uuid4(), packed(storage, "/a"), packed(storage, "/c")
    at_fault = [storage.pack([queued("/b", status=2**15)])]

    storage.store(first, writer=writer, number=1, ahead=lambda: at_fault)
    with pytest.raises(StorageRefusedError):
        storage.store(at_fault, writer=writer, number=2, ahead=lambda: third)
    storage.store(third, writer=writer, number=3)

    assert stored() == ["/a", "/c"]


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_cannot_even_be_cleaned_leaves_the_one_before_it_alone() -> None:
    storage = in_this_process()
    storage.open()
    no_calls: list[Pack] = [Pack(1, [("no", "call")])]

    storage.store(packed(storage, "/a"), writer=uuid4(), number=1, ahead=lambda: no_calls)
    storage.close()

    assert stored() == ["/a"]


@pytest.mark.django_db(transaction=True)
def test_a_writer_with_several_batches_in_its_queue_stores_each_call_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditlog.calls.BATCH_LIMIT", 500)
    before, writer = call_counts.totals(), CallWriter(in_a_child())

    for number in range(3_333):
        writer.put(queued(f"/{number}"))
    writer.start()
    writer.stop(patience=60)

    assert stored() == sorted(f"/{number}" for number in range(3_333))
    after = call_counts.totals()
    assert (after.stored - before.stored, after.lost - before.lost) == (3_333, 0)


@pytest.mark.parametrize("most_parts", [1, 3, 1_000])
def test_all_parts_arrive_in_order_however_much_a_pipe_takes_at_once(
    most_parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_process, "MOST_PARTS", most_parts)
    parts = [bytes([number % 251]) * (number * 977 % 40_000) for number in range(200)]
    out, into = os.pipe()
    received = []

    def read() -> None:
        with os.fdopen(out, "rb", buffering=0) as stream:
            while some := stream.read(7_001):
                received.append(some)

    reader = Thread(target=read)
    reader.start()
    call_process._write(into, parts)  # noqa: SLF001 -- the pipe is what is tried
    os.close(into)
    reader.join()

    assert b"".join(received) == b"".join(parts)
