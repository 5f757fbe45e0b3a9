"""Which accounts will miss an announced end, for operators: by what their keys were presented for in seven days."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apikeys import forecast
from apikeys.models import ApiKey, Sunset
from auditlog import usage
from tests.factories import (
    AccountFactory,
    ApiKeyFactory,
    CallFactory,
    GroupedAccountFactory,
    SunsetFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def calling(slug: str, **call: object) -> ApiKey:
    """The key of an account that made a call with it an hour ago."""
    key = ApiKeyFactory.create(account=AccountFactory.create(slug=slug))
    made = {"at": timezone.now() - timedelta(hours=1), "account_id": key.account_id, "credential_id": key.id}
    CallFactory.create(**made | call)
    return key


def late(sunset: Sunset, **said: object) -> list[str]:
    page = forecast.page(sunset, now=timezone.now(), **said)  # type: ignore[arg-type]  # as `page` takes them
    return [one.key.account.slug for one in page.rows]


def test_accounts_whose_key_was_presented_in_seven_days_will_miss_the_date() -> None:
    calling("lately")
    calling("long-ago", at=timezone.now() - 8 * DAY)
    ApiKeyFactory.create(account=AccountFactory.create(slug="silent"))
    moved = calling("moved", credential_id=ApiKeyFactory.create().id)
    gone = calling("gone")
    ApiKey.objects.filter(pk=gone.pk).update(deactivated_at=timezone.now(), end="deactivated")

    assert late(SunsetFactory.create()) == ["lately"]
    assert moved.is_active


def test_whose_last_call_is_forgotten_meanwhile_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    key = calling("late")
    monkeypatch.setattr(usage, "callers_of_many", lambda accounts, **_: {key: [] for key in accounts})

    assert key.is_active
    assert late(SunsetFactory.create()) == []


def test_only_whom_the_announcement_concerns_is_named() -> None:
    theirs, _other = calling("theirs"), calling("other")
    place = GroupedAccountFactory.create(account=theirs.account)
    everybody, group = SunsetFactory.create(), SunsetFactory.create(group=place.group)

    assert (late(group), late(everybody)) == (["theirs"], ["other"])


def test_a_row_says_how_much_and_who_calls() -> None:
    key = calling("acme", agent="sync")
    same = {"account_id": key.account_id, "credential_id": key.id}
    for agent, calls in (("sync", 4), ("cron", 2), ("a", 1), ("b", 1)):
        CallFactory.create_batch(calls, **same, agent=agent, at=timezone.now() - DAY)
    CallFactory.create(**same, agent="sync", status=401, reason="brownout")

    (row,) = forecast.page(SunsetFactory.create(), now=timezone.now()).rows

    assert row.calls == 10
    assert [(one.agent, one.calls) for one in row.callers] == [("sync", 6), ("cron", 2), ("a", 1)]
    assert row.more_callers == 1


def test_pages_follow_each_other_without_a_gap() -> None:
    for n in range(5):
        calling(f"acme-{n}")
    sunset, now = SunsetFactory.create(), timezone.now()

    first = forecast.page(sunset, now=now, size=2)
    second = forecast.page(sunset, now=now, size=2, after=first.after)
    third = forecast.page(sunset, now=now, size=2, after=second.after)

    pages = [[one.key.account.slug for one in page.rows] for page in (first, second, third)]
    assert pages == [["acme-0", "acme-1"], ["acme-2", "acme-3"], ["acme-4"]]
    assert third.after == ""


def test_a_page_costs_two_reads_however_many_accounts_it_names(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for n in range(4):
        calling(f"acme-{n}")
    sunset = SunsetFactory.create()

    with django_assert_num_queries(2):
        forecast.page(sunset, now=timezone.now())


# --- The page -----------------------------------------------------------------------------------------------------
@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(UserFactory.create(is_staff=True))
    return client


def test_operators_read_it_in_the_admin(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "ACCOUNTS_A_PAGE", 1)
    key = calling("acme", agent="<sync>")
    calling("globex")
    address = reverse("admin:apikeys_sunset_forecast", args=[SunsetFactory.create().pk])

    first = operator.get(address).content.decode()
    second = operator.get(address, {"after": "acme"}).content.decode()

    assert f"…{key.last4}" in first
    assert "&lt;sync&gt;, 203.0.113.0/24" in first
    assert ("?after=acme" in first, "globex" in first) == (True, False)
    assert ("globex" in second, "?after=" in second) == (True, False)


def test_where_nobody_calls_it_says_so(operator: Client) -> None:
    address = reverse("admin:apikeys_sunset_forecast", args=[SunsetFactory.create().pk])

    assert "nobody presented a key in the last seven days" in operator.get(address).content.decode()


@pytest.mark.parametrize("after", ["a\0b", "Acme", "x" * 51, "' OR 1=1"])
def test_a_page_that_begins_nowhere_is_refused(operator: Client, after: str) -> None:
    address = reverse("admin:apikeys_sunset_forecast", args=[SunsetFactory.create().pk])

    assert operator.get(address, {"after": after}).status_code == 404
