"""The call log's days on PostgreSQL: made ahead, dropped whole, and never in the way of a row (G9)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction
from django.utils import timezone

from auditlog import partitions, retention, tasks, usage
from auditlog.models import Call
from auditlog.pagination import PAGE_SIZE
from tests.factories import NOW, CallFactory
from tests.gates import database_url

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.postgresql("SQLite has no partitions"),
]

DAY = timedelta(days=1)


def _call(at: datetime) -> Call:
    return CallFactory.create(at=at, account_id=None)


def _place(call: Call) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM auditlog_call WHERE id = %s", [call.pk])
        return str(cursor.fetchone()[0])


def test_a_call_goes_into_the_partition_of_its_utc_day() -> None:
    partitions.make(NOW - DAY, NOW)

    places = [_place(_call(at)) for at in (NOW.replace(hour=0, minute=0), NOW.replace(hour=23, minute=59), NOW - DAY)]

    assert places == ["auditlog_call_20260504", "auditlog_call_20260504", "auditlog_call_20260503"]


def test_a_call_whose_day_has_none_is_stored_all_the_same() -> None:
    assert _place(_call(NOW - 400 * DAY)) == partitions.DEFAULT


def test_the_clock_makes_days_ahead_and_may_knock_twice() -> None:
    for _ in range(2):
        tasks.make_partitions()

    now = timezone.now()
    assert _place(_call(now)) == f"auditlog_call_{now:%Y%m%d}"
    assert _place(_call(now + 2 * DAY)) == f"auditlog_call_{now + 2 * DAY:%Y%m%d}"


def test_a_day_that_the_default_partition_has_calls_of_stays_there_and_stops_no_other() -> None:
    early = _call(NOW)

    partitions.make(NOW, NOW + DAY)

    assert _place(early) == _place(_call(NOW)) == partitions.DEFAULT
    assert _place(_call(NOW + DAY)) == "auditlog_call_20260505"


def test_a_day_is_dropped_when_its_last_call_is_too_old_and_not_before() -> None:
    midnight = datetime(2026, 5, 4, tzinfo=UTC)
    partitions.make(midnight - 2 * DAY, midnight + 7 * DAY)
    old = [_call(midnight - timedelta(minutes=1)), _call(midnight - DAY)]
    young = [_call(midnight), _call(midnight + 7 * DAY)]

    one_moment_early = retention.prune_calls(now=midnight + 7 * DAY - timedelta(microseconds=1))
    in_time = retention.prune_calls(now=midnight + 7 * DAY)
    again = retention.prune_calls(now=midnight + 7 * DAY)

    assert (one_moment_early, in_time, again) == (0, 2, 0)
    assert set(Call.objects.all()) == set(young)
    assert not Call.objects.filter(pk__in=[call.pk for call in old]).exists()


def test_a_drop_that_was_cut_off_between_its_steps_is_finished_by_the_next() -> None:
    partitions.make(NOW, NOW)
    _call(NOW)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE auditlog_call DETACH PARTITION auditlog_call_20260504")

    assert partitions.drop(before=NOW + DAY) == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('auditlog_call_20260504')")
        assert cursor.fetchone() == (None,)


def _plan_of_the_first_page() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL random_page_cost = 4")  # PostgreSQL's own, whatever the server has
    return usage.calls_of(1, now=NOW).order_by("-at", "-id")[: PAGE_SIZE + 1].explain()


def _busy_day(calls: int) -> None:
    """One account's calls in the day's partition, which nobody has analyzed: a new day, or a restored backup."""
    values = "1, %s - n * interval '1 ms', 'GET', '/', 204, '', '', '', '', '', gen_random_uuid()"
    columns = "account_id, at, method, path, status, reason, credential_kind, agent, network, user_agent, request_id"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO auditlog_call ({columns}) SELECT {values} FROM generate_series(1, {calls}) n",  # noqa: S608 -- words of our own
            [NOW],
        )


@pytest.mark.parametrize("calls", [2_000, 30_000])
def test_the_first_page_is_read_from_the_index_before_a_day_was_analyzed_too(calls: int) -> None:
    """Else all of the account's calls of that day would be sorted."""
    partitions.make(NOW - 8 * DAY, NOW + 3 * DAY)
    _busy_day(calls)

    plan = _plan_of_the_first_page()

    assert "Index Scan Backward using auditlog_call_20260504" in plan
    assert "Sort" not in plan
    assert partitions.DEFAULT not in plan  # so older days are not even looked at


@pytest.fixture
def reader() -> Iterator[psycopg.Connection]:
    """Somebody who reads the log in a transaction that does not end."""
    with psycopg.connect(database_url()) as other:
        other.execute("SELECT count(*) FROM auditlog_call")
        yield other
        other.rollback()


@pytest.mark.django_db(transaction=True)
def test_who_reads_the_log_is_not_waited_for(reader: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever came after us would have to wait, too. The next hour tries again."""
    monkeypatch.setattr(partitions, "LOCK_SECONDS", 0.05)
    far = NOW + 365 * DAY

    partitions.make(far, far)
    stored = Call.objects.create(at=far, method="GET", path="/", status=204, request_id=uuid4())
    while_read = _place(stored)
    stored.delete()
    reader.rollback()
    partitions.make(far, far)

    assert while_read == partitions.DEFAULT
    assert _place(Call.objects.create(at=far, method="GET", path="/", status=204, request_id=uuid4())) != while_read
    with transaction.atomic():
        partitions.drop(before=far + DAY)
