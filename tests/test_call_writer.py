"""The call writer: no call waits for it, what it loses is counted (G7)."""

import time
from collections import Counter
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from apikeys import secrets
from auditlog import call_counts, calls
from auditlog.call_rows import Call as QueuedCall
from auditlog.call_storage import LocalStorage
from auditlog.call_tables import Usage
from auditlog.calls import CallWriter
from auditlog.models import Call, DailyUsage, LastUse
from auditlog.models import CallWriter as WriterRow

pytestmark = pytest.mark.django_db(transaction=True)

CREDENTIAL = uuid4()


def call(
    *, account: int | None = 1, path: bytes = b"/things", at: float = 1_777_777_777.25, day: str | None = "2026-05-03"
) -> QueuedCall:
    who = (account, "api_key", CREDENTIAL.hex) if account else (None, "", None)
    return (who, at, b"GET", path, 204, None, "" if day else "unknown", b"curl/8", "203.0.113.9", uuid4().int, day)


def written(*put: QueuedCall, on_usage: Callable[[Usage], None] = lambda _: None, queue_limit: int = 1000) -> UUID:
    """Have a writer write these and end; the writer's id."""
    writer = CallWriter(LocalStorage(secrets.mask), on_usage=on_usage, queue_limit=queue_limit)
    for one in put:
        writer.put(one)
    writer.start()
    writer.stop()
    return writer.id


def test_stopping_writes_everything_out() -> None:
    before = call_counts.totals()

    writer_id = written(*[call()] * 2_500, queue_limit=10_000)

    assert Call.objects.count() == 2_500
    assert WriterRow.objects.get(id=writer_id).stored == 2_500
    after = call_counts.totals()
    assert (after.issued - before.issued, after.lost - before.lost) == (2_500, 0)


def test_a_full_queue_drops_the_newest_and_counts_them_as_lost() -> None:
    before = call_counts.totals()

    written(*[call(path=b"/%d" % n) for n in range(30)], queue_limit=20)

    assert set(Call.objects.values_list("path", flat=True)) == {f"/{n}" for n in range(20)}
    after = call_counts.totals()
    assert (after.issued - before.issued, after.stored - before.stored, after.lost - before.lost) == (30, 20, 10)


def test_calls_put_while_batches_are_written_are_each_stored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PACK_SIZE", 3)  # the writer's thread takes what is not packed yet as often as it can
    monkeypatch.setattr(calls, "QUIET_SECONDS", 0.0)
    writer = CallWriter(LocalStorage(secrets.mask))
    writer.start()

    for n in range(2_000):
        writer.put(call(path=b"/%d" % n))
        if n % 20 == 0:
            time.sleep(0.0005)
    writer.stop()

    assert Counter(Call.objects.values_list("path", flat=True)) == Counter(f"/{n}" for n in range(2_000))


def test_a_batch_brings_the_days_total_back() -> None:
    DailyUsage.objects.create(account_id=1, day="2026-05-03", calls=40)
    heard: list[tuple[int, str, int, int]] = []

    written(call(), call(), call(account=2), call(day=None), on_usage=heard.extend)

    assert sorted(heard) == [(1, "2026-05-03", 2, 42), (2, "2026-05-03", 1, 1)]


def test_last_use_is_the_last_accepted_call() -> None:
    LastUse.objects.create(credential_id=CREDENTIAL, at="2026-05-03T03:09:37.5Z")

    written(call(at=1_777_777_777.25), call(at=1_777_777_778.75), call(at=1_777_777_779.75, day=None))

    assert LastUse.objects.get().at.timestamp() == 1_777_777_778.75


def test_an_older_batch_does_not_set_last_use_back() -> None:
    written(call(at=1_777_777_778.75))

    written(call(at=1_777_777_777.25))

    assert LastUse.objects.get().at.timestamp() == 1_777_777_778.75


def test_texts_are_bounded_and_made_storable() -> None:
    secret = secrets.generate(secrets.Kind.API_KEY)
    raw = b"/" + b"a" * 2_000

    written(call(path=raw), call(path=b"/\xff\0"), call(path=f"/oauth/{secret}/x".encode()))

    assert set(Call.objects.values_list("path", flat=True)) == {
        "/" + "a" * 1023, "/\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}", "/oauth/kp_…/x",
    }  # fmt: skip


def test_calls_of_nobody_have_no_account() -> None:
    written(call(account=None, day=None))

    stored = Call.objects.get()
    assert (stored.account_id, stored.credential_id, stored.reason) == (None, None, "unknown")
    assert (stored.agent, stored.network) == ("curl", "203.0.113.0/24")


def test_while_the_store_is_locked_calls_wait_in_the_queue_and_are_then_written_once() -> None:
    writer = CallWriter(LocalStorage(secrets.mask))
    with transaction.atomic():
        Call.objects.select_for_update().first()  # SQLite: the transaction itself locks
        if connection.vendor == "postgresql":
            connection.cursor().execute("LOCK TABLE auditlog_call")
        for _ in range(100):
            writer.put(call())
        writer.start()
        time.sleep(0.3)  # the writer has begun to wait

    writer.stop()

    assert Call.objects.count() == 100
    assert DailyUsage.objects.get().calls == 100
