"""What is kept for a time, and no longer (G9)."""

from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery

from accounts import revisions, tasks
from accounts.models import Change
from auditlog import retention
from auditlog import tasks as auditlog_tasks
from auditlog.models import Call
from keyportal.broker import EmbeddedBroker
from keyportal.celery import app
from tests.factories import NOW

pytestmark = pytest.mark.django_db

INSTANT = timedelta(microseconds=1)


def _call(at: datetime) -> Call:
    return Call.objects.create(at=at, method="GET", path="/", status=204, request_id=uuid4())


def test_calls_older_than_seven_days_are_deleted_and_none_younger() -> None:
    _call(NOW - timedelta(days=7) - INSTANT)
    youngest_kept = _call(NOW - timedelta(days=7))
    newest = _call(NOW)

    removed = retention.prune_calls(now=NOW)

    assert removed == 1
    assert set(Call.objects.all()) == {youngest_kept, newest}


def test_more_calls_than_a_batch_are_all_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    for hours in range(7):
        _call(NOW - timedelta(days=8, hours=hours))

    removed = retention.prune_calls(now=NOW)

    assert removed == 7
    assert not Call.objects.exists()


def test_a_call_that_was_stored_late_is_deleted_too() -> None:
    _call(NOW - timedelta(days=7) + timedelta(minutes=30))
    _call(NOW - timedelta(days=7) - INSTANT)

    assert retention.prune_calls(now=NOW) == 1


def test_changes_older_than_a_day_are_deleted() -> None:
    for revision, hours in ((1, 50), (2, 25), (3, 23), (4, 1)):
        Change.objects.create(revision=revision, mark=revision, at=NOW - timedelta(hours=hours))

    revisions.prune(now=NOW)

    assert set(Change.objects.values_list("revision", flat=True)) == {3, 4}


def test_the_newest_change_is_kept_however_old() -> None:
    for revision in (1, 2):
        Change.objects.create(revision=revision, mark=revision, at=NOW - timedelta(days=90))

    revisions.prune(now=NOW)

    assert Change.objects.get().revision == 2


def test_the_clock_knows_each_task_and_may_knock_twice() -> None:
    _call(NOW - timedelta(days=3650))

    for _ in range(2):
        auditlog_tasks.prune_calls()
        tasks.prune_changes()

    assert not Call.objects.exists()
    app.loader.import_default_modules()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)


@pytest.mark.filterwarnings("ignore:The ``noload``")  # kombu's own models
def test_a_task_that_is_queued_in_the_embedded_file_arrives(tmp_path: Path) -> None:
    sender, receiver = (Celery(broker=f"sqla+sqlite:///{tmp_path / 'jobs'}", set_as_current=False) for _ in range(2))
    sender.send_task("auditlog.tasks.prune_calls")

    with receiver.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
        assert isinstance(connection.transport, EmbeddedBroker)
        message = queue.get(timeout=30)
        message.ack()

    assert message.headers["task"] == "auditlog.tasks.prune_calls"
