"""Rows that are raised many at a time, of whatever values."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlog.call_rollups import BY_CALLER
from auditlog.call_tables import DAYS
from auditlog.models import CallsByCaller, DailyUsage
from auditlog.upserts import Row

pytestmark = pytest.mark.django_db

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SOME_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
BIG = st.integers(0, 2**40)
instants = st.integers(-(10**15), 4 * 10**15)

keys = st.tuples(BIG, instants, st.uuids().map(lambda one: one.hex), SOME_TEXT, SOME_TEXT, SOME_TEXT)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(keys, st.tuples(BIG, BIG, instants, instants), max_size=5))
def test_every_value_arrives_as_it_is_and_is_raised_the_next_time(rows: dict[Row, Row]) -> None:
    with transaction.atomic():
        for _ in range(2):
            BY_CALLER.run([(*key, *values) for key, values in rows.items()])
        found = {
            (*row.pk[:1], _microseconds(row.hour), row.credential_id.hex, row.agent, row.network, row.reason): (
                *(row.calls, row.failed), *map(_microseconds, (row.first_at, row.last_at)),
            )
            for row in CallsByCaller.objects.all()
        }  # fmt: skip
        transaction.set_rollback(True)

    assert found == {key: (2 * calls, 2 * failed, *times) for key, (calls, failed, *times) in rows.items()}


@settings(deadline=None, max_examples=25)
@given(st.dates(date(1900, 1, 1), date(2200, 1, 1)))
def test_days_are_dates_on_any_store(day: date) -> None:
    with transaction.atomic():
        returned = DAYS.run([(7, day.isoformat(), 3)])
        found = list(DailyUsage.objects.values_list("account_id", "day", "calls"))
        transaction.set_rollback(True)

    assert found == [(7, day, 3)]
    assert [(account, str(day), calls) for account, day, calls in returned] == [(7, day.isoformat(), 3)]


def test_nothing_is_raised_by_nothing() -> None:
    assert DAYS.run([]) == []


def _microseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)
