"""Calls that the store does not take wait on the disk, and are stored once (G7)."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from django.db import connection

from apikeys import secrets
from auditlog import call_counts, call_spool, call_storage, calls
from auditlog.call_rows import Call as QueuedCall
from auditlog.call_rows import Cleaner
from auditlog.call_storage import LocalStorage
from auditlog.calls import CallWriter
from auditlog.models import Call, CallsByCaller, DailyUsage

pytestmark = pytest.mark.django_db(transaction=True)

CREDENTIAL = uuid4()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(call_storage, "ASK_AGAIN", 0.05)
    monkeypatch.setattr(calls, "REST_SECONDS", 0.05)
    call_spool.directory().mkdir(exist_ok=True)
    nothing_waits()  # of another file's gate, which was killed while the store was slow
    yield
    nothing_waits()


def nothing_waits() -> None:
    for path in call_spool.directory().glob("*"):
        path.unlink()


@contextmanager
def store_away() -> Iterator[None]:
    """Nothing can be stored meanwhile."""
    table, elsewhere = "auditlog_callwriter", "auditlog_elsewhere"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {elsewhere}")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE {elsewhere} RENAME TO {table}")


def call(path: bytes = b"/things", *, agent: bytes = b"curl/8") -> QueuedCall:
    who = (1, "api_key", CREDENTIAL.hex)
    return (who, 1_777_777_777.25, b"GET", path, 204, None, "", agent, "203.0.113.9", uuid4().int, "2026-05-03")


def new_writer() -> CallWriter:
    return CallWriter(LocalStorage(secrets.mask))


def written(*put: QueuedCall) -> CallWriter:
    """Have a writer write these and end, without waiting for the store."""
    writer = new_writer()
    for one in put:
        writer.put(one)
    writer.start()
    writer.stop(patience=0)
    return writer


def started_anew(until: Callable[[], object] = lambda: not call_spool.segments()) -> None:
    """Have another process's writer look at what waits."""
    writer = new_writer()
    writer.start()
    eventually(until)
    writer.stop()


def eventually(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def counts() -> call_counts.Totals:
    return call_counts.totals()


def lost_since(before: call_counts.Totals) -> int:
    return counts().lost - before.lost


def test_what_came_while_the_store_was_away_is_stored_when_it_is_back() -> None:
    before = counts()
    writer = new_writer()
    writer.start()
    with store_away():
        for n in range(300):
            writer.put(call(b"/%d" % n))
        eventually(lambda: sum(one.calls for one in call_spool.segments()) == 300)

    eventually(lambda: not call_spool.segments())
    writer.put(call(b"/after"))
    writer.stop()

    assert Counter(Call.objects.values_list("path", flat=True)) == Counter(["/after", *(f"/{n}" for n in range(300))])
    assert DailyUsage.objects.get().calls == CallsByCaller.objects.get().calls == 301
    assert lost_since(before) == 0


def test_a_clean_stop_without_the_store_keeps_the_calls_for_whoever_starts_next() -> None:
    before = counts()
    with store_away():
        written(*[call(b"/%d" % n) for n in range(50)])
    between = counts()

    for _ in range(2):
        started_anew()

    assert (between.waiting, between.stored - before.stored, between.lost - before.lost) == (50, 0, 0)
    assert Counter(Call.objects.values_list("path", flat=True)) == Counter(f"/{n}" for n in range(50))
    after = counts()
    assert (after.waiting, after.stored - before.stored, after.lost - before.lost) == (0, 50, 0)


def test_a_batch_that_was_stored_just_before_its_file_went_is_not_stored_again() -> None:
    with store_away():
        written(call())
    [segment] = call_spool.segments()
    text = segment.path.read_bytes()
    started_anew()
    segment.path.write_bytes(text)  # as a process leaves it that dies between the commit and the removal

    waiting = counts().waiting
    started_anew()

    assert waiting == 0
    assert Call.objects.count() == 1


def test_what_a_killed_writer_had_not_finished_goes_at_the_next_start() -> None:
    living = new_writer()
    unfinished = [call_spool.directory() / f"{one}.000000000001.part" for one in (uuid4(), living.id)]
    for path in unfinished:
        path.touch()

    started_anew()

    assert [path.exists() for path in unfinished] == [False, True]
    living.start()
    living.stop()


def test_calls_of_a_living_writer_are_left_to_it() -> None:
    living = new_writer()  # which holds its file, and whose thread is not started
    call_spool.write(
        call_spool.Segment(living.id, 1, 1), [call(b"/of-the-living")], clean=Cleaner(secrets.mask).cleaned
    )
    with store_away():
        written(call(b"/of-the-dead"))

    started_anew(until=lambda: len(call_spool.segments()) == 1)
    by_then = list(Call.objects.values_list("path", flat=True))
    living.start()
    eventually(lambda: not call_spool.segments())
    living.stop()

    assert by_then == ["/of-the-dead"]
    assert set(Call.objects.values_list("path", flat=True)) == {"/of-the-living", "/of-the-dead"}


def test_where_the_disk_takes_nothing_either_the_loss_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the spool is for: with it switched off, the same stop loses every call."""
    before = counts()
    monkeypatch.setattr(call_spool, "LIMIT", -1)

    with store_away():
        written(*[call()] * 30)

    assert not Call.objects.exists()
    assert lost_since(before) == 30


def test_no_secret_is_written_down() -> None:
    secret = secrets.generate(secrets.Kind.API_KEY)

    with store_away():
        written(call(f"/oauth/{secret}/x".encode(), agent=f"curl/8 {secret}".encode()))

    [segment] = call_spool.segments()
    assert secret not in segment.path.read_text()
    assert segment.path.stat().st_mode & 0o077 == 0


def test_what_the_disk_garbled_is_laid_aside_and_counted_as_lost() -> None:
    before = counts()
    with store_away():
        written(*[call()] * 3)
        [garbled] = call_spool.segments()
        garbled.path.write_text('[[[1,"api_key"')
        written(call(b"/whole"))

    started_anew()

    assert set(Call.objects.values_list("path", flat=True)) == {"/whole"}
    assert not call_spool.segments()
    assert lost_since(before) == 3


def test_what_a_dead_writer_left_settles_nothing_that_this_process_counted() -> None:
    heard: list[tuple[int, str, int, int]] = []
    with store_away():
        written(call(), call())

    writer = CallWriter(LocalStorage(secrets.mask), on_usage=heard.extend)
    writer.start()
    eventually(lambda: not call_spool.segments())
    writer.stop()

    assert heard == [(1, "2026-05-03", 0, 2)]
