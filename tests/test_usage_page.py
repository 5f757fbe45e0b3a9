"""The page of an account's usage: seven days against its limits, from the roll-ups."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account, User
from accounts.permissions import Role
from auditlog import account_usage
from auditlog.account_usage import usage_of
from auditlog.models import Call, DailyUsage
from tests.factories import ApiKeyFactory, CallFactory, MemberFactory
from tests.visitors import path, signed_in

pytestmark = pytest.mark.django_db

USAGE = "auditlog:usage"
HOUR = timedelta(hours=1)
NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


@pytest.fixture
def account() -> Account:
    return MemberFactory.create(role=Role.AUDITOR, account__time_zone="UTC", account__daily_limit=200).account


@pytest.fixture
def client(account: Account) -> Client:
    return signed_in(account.members.get())


def _text(client: Client, account: Account) -> str:
    answer = client.get(path(USAGE, account))
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def _calls(account_id: int, number: int, **facts: object) -> None:
    for _ in range(number):
        CallFactory.create(account_id=account_id, **{"credential_id": uuid4(), **facts})


def test_an_account_without_calls_is_told_how_to_make_one(client: Client, account: Account) -> None:
    assert "How to make a call" in _text(client, account)


def test_a_day_is_shown_against_the_daily_limit_and_the_guideline(client: Client, account: Account) -> None:
    key = ApiKeyFactory.create(account=account)
    _calls(account.pk, 17, credential_id=key.id)
    _calls(account.pk, 3, credential_id=key.id, status=429, reason="burst_limit")
    DailyUsage.objects.create(account_id=account.pk, day=timezone.now().date(), calls=17)

    text = _text(client, account)

    assert "17 of 200 calls" in text
    assert "3 calls were refused for it" in text
    assert "15.0 % of today’s calls; at most 5 % is the guideline" in text
    assert "over 5 %" in text
    assert "8.5 %" in text
    assert f"Key …{key.last4}" in text
    assert "python-requests" in text
    assert "GET /contacts" in text


@pytest.mark.parametrize(
    ("language", "written"), [("en", "Most at 5 PM: 2 calls"), ("en-gb", "Most at 17:00: 2 calls")]
)
def test_hours_are_those_of_the_accounts_day_and_written_as_the_reader_writes(
    client: Client, account: Account, language: str, written: str
) -> None:
    User.objects.update(language=language, time_zone="Asia/Tokyo")
    yesterday = timezone.now() - timedelta(days=1)
    _calls(account.pk, 2, at=yesterday.replace(hour=17, minute=30))

    assert written in _text(client, account)


def test_pictures_need_neither_script_nor_style_and_are_told_to_who_does_not_see_them(
    client: Client, account: Account
) -> None:
    _calls(account.pk, 1)

    text = _text(client, account)
    pictures = re.findall(r'<svg class="hours".*?</svg>', text)

    assert len(pictures) == 8
    assert sum("1 call in an hour" in picture for picture in pictures) == 1
    assert not re.search(r"<svg[^>]*style=|<rect[^>]*style=", text)
    assert re.search(r'<rect class="accepted" x="\d+" y="0.00" width="0.8" height="100.00">', text)


def test_days_and_hours_are_those_of_the_accounts_zone() -> None:
    zone = ZoneInfo("America/New_York")
    _calls(7, 2, at=datetime(2026, 5, 4, 3, 30, tzinfo=UTC))  # half past eleven on the evening before, there
    _calls(7, 1, at=datetime(2026, 5, 4, 4, 30, tzinfo=UTC))

    found = usage_of(7, zone=zone, now=NOW)

    assert [(day.day.day, day.calls, day.busiest) for day in found.days[:2]] == [(4, 1, (0, 1)), (3, 2, (23, 2))]


def test_the_sums_are_those_of_the_calls() -> None:
    for hours in range(0, 24 * 9, 5):
        _calls(7, hours % 3 + 1, at=NOW - hours * HOUR, status=500 if hours % 2 else 200, agent=f"agent-{hours % 4}")

    found = usage_of(7, zone=ZoneInfo("UTC"), now=NOW)

    kept = Call.objects.filter(account_id=7, at__gte=NOW - timedelta(days=7))
    assert found.calls == kept.count() == sum(part.calls for part in found.callers)
    assert sum(day.failed for day in found.days) == kept.filter(status__gte=400).count()
    assert sum(hour.accepted for day in found.days for hour in day.hours.values()) == kept.filter(reason="").count()


def test_the_many_that_are_left_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_usage, "ROWS", 2)
    for n, number in enumerate((3, 5, 1, 2)):
        _calls(7, number, agent=f"agent-{n}", at=NOW)

    found = usage_of(7, zone=ZoneInfo("UTC"), now=NOW)

    assert [(part.what[:1], part.calls) for part in found.callers] == [(("agent-1",), 5), (("agent-0",), 3), ((), 3)]


def test_the_page_costs_the_same_however_many_calls_there_are(
    client: Client, account: Account, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    _calls(account.pk, 30)

    with django_assert_max_num_queries(15):
        client.get(path(USAGE, account))
