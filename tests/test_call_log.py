"""The call log's page: the last seven days, newest first, narrowed by what may be asked."""

import re
from datetime import datetime, timedelta
from html import unescape
from urllib.parse import urlencode

import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account
from accounts.permissions import Role
from apikeys.gate.reasons import Reason
from auditlog import pagination, words
from auditlog.filters import InstantField
from auditlog.models import Call
from auditlog.pagination import PAGE_SIZE
from tests.factories import ApiKeyFactory, CallFactory, MemberFactory
from tests.visitors import path, signed_in

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
CALLS = "auditlog:calls"


@pytest.fixture
def account() -> Account:
    return MemberFactory.create(role=Role.DEVELOPER).account


@pytest.fixture
def client(account: Account) -> Client:
    return signed_in(account.members.get())


def _paths(client: Client, account: Account, **query: str) -> list[str]:
    """The paths that the page lists, in its order."""
    answer = client.get(path(CALLS, account), query)
    assert answer.status_code == 200, answer.content
    return [call.path for call in answer.context["page"].rows]


def test_calls_are_listed_newest_first(client: Client, account: Account) -> None:
    now = timezone.now()
    CallFactory.create(account_id=account.pk, path="/older", at=now - SECOND)
    CallFactory.create(account_id=account.pk, path="/newer", at=now)

    assert _paths(client, account) == ["/newer", "/older"]


def test_a_call_older_than_seven_days_is_not_shown(client: Client, account: Account) -> None:
    week = timedelta(days=7)
    CallFactory.create(account_id=account.pk, path="/just-in", at=timezone.now() - week + timedelta(minutes=1))
    CallFactory.create(account_id=account.pk, path="/gone", at=timezone.now() - week - SECOND)

    assert _paths(client, account) == ["/just-in"]
    assert _paths(client, account, since="2001-01-01T00:00") == ["/just-in"]


def test_calls_of_another_account_are_not_shown(client: Client, account: Account) -> None:
    CallFactory.create(account_id=account.pk + 1, path="/theirs")
    CallFactory.create(account_id=None, path="/nobodys")

    assert _paths(client, account) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"method": "POST"}, ["/b"]),
        ({"status": "4"}, ["/c%_"]),
        ({"path": "/a"}, ["/a"]),
        ({"path": "%"}, ["/c%_"]),
        ({"path": "_"}, ["/c%_"]),
        ({"caller": "zapier"}, ["/b"]),
        ({"caller": "198.51.100."}, ["/c%_"]),
        ({"method": "POST", "status": "4"}, []),
        ({"method": "", "status": "", "path": "", "caller": "", "since": "", "until": ""}, ["/c%_", "/b", "/a"]),
    ],
)
def test_filters_narrow_the_log(client: Client, account: Account, query: dict[str, str], found: list[str]) -> None:
    now = timezone.now()
    CallFactory.create(account_id=account.pk, path="/a", at=now - 3 * SECOND)
    CallFactory.create(account_id=account.pk, path="/b", at=now - 2 * SECOND, method="POST", agent="Zapier")
    CallFactory.create(account_id=account.pk, path="/c%_", at=now - SECOND, status=404, address="198.51.100.7")

    assert _paths(client, account, **query) == found


def test_the_log_can_be_narrowed_to_one_generation_of_the_key(client: Client, account: Account) -> None:
    key = ApiKeyFactory.create(account=account)
    CallFactory.create(account_id=account.pk, path="/with", credential_id=key.id)
    CallFactory.create(account_id=account.pk, path="/without")

    assert _paths(client, account, credential=str(key.id)) == ["/with"]


def test_from_and_until_are_in_the_readers_zone(client: Client, account: Account) -> None:
    user = account.members.get().user
    user.time_zone = "Asia/Kolkata"  # +05:30
    user.save()
    at = timezone.now().replace(second=0, microsecond=0) - timedelta(hours=1)
    CallFactory.create(account_id=account.pk, path="/then", at=at)
    local = (at + timedelta(hours=5, minutes=30)).strftime("%Y-%m-%dT%H:%M")

    assert _paths(client, account, since=local, until=local) == ["/then"]
    assert _paths(client, account, since=at.isoformat(), until=at.isoformat()) == ["/then"]


BAD_QUERIES = [
    "color=red",
    "account__name__startswith=A",
    "order=password",
    "page=1",
    "method=GET&method=POST",
    "method=BREW",
    "status=%D9%A4",  # Arabic 4
    "status=404",
    "credential=00000000-0000-0000-0000-000000000000",
    "credential=x",
    "path=%00",
    f"path={'x' * 1_000}",
    "since=yesterday",
    "since=2026-02-29T00:00",
    "since=2026-05-04T24:01",
    "since=2026-05-04T09:30:60",
    "since=%D9%A2026-05-04T09:30",
    "since=0001-01-01T00:00%2B14:00",
    "until=9999-12-31T23:59-12:00",
    "since=2026-05-05T00:00&until=2026-05-04T00:00",
    "cursor=made-up",
    "cursor=%00",
    f"cursor={'A' * 1_000}",
]


@pytest.mark.parametrize("query", BAD_QUERIES, ids=lambda query: query[:40])
def test_what_the_log_cannot_answer_is_refused_with_a_way_on(client: Client, account: Account, query: str) -> None:
    answer = client.get(f"{path(CALLS, account)}?{query}")

    assert answer.status_code == 400
    assert b"Show the whole log" in answer.content


def test_pages_lead_there_and_back_without_losing_or_repeating_a_call(client: Client, account: Account) -> None:
    at = timezone.now()
    for number in range(PAGE_SIZE + 10):  # many at one instant: the id decides
        CallFactory.create(account_id=account.pk, path=f"/{number}", at=at - (number // 20) * SECOND)
    first = client.get(path(CALLS, account)).context["page"]

    second = client.get(path(CALLS, account), {"cursor": first.older}).context["page"]
    back = client.get(path(CALLS, account), {"cursor": second.newer}).context["page"]

    listed = [call.pk for call in first.rows + second.rows]
    assert listed == list(Call.objects.order_by("-at", "-id").values_list("pk", flat=True))
    assert [call.pk for call in back.rows] == [call.pk for call in first.rows]
    assert (first.newer, second.older, back.newer) == ("", "", "")


def test_an_altered_cursor_is_refused(client: Client, account: Account) -> None:
    CallFactory.create_batch(PAGE_SIZE + 1, account_id=account.pk)
    cursor = client.get(path(CALLS, account)).context["page"].older

    answer = client.get(path(CALLS, account), {"cursor": "x" + cursor[1:]})

    assert answer.status_code == 400


def test_what_would_hide_or_run_is_spelled_out(client: Client, account: Account) -> None:
    CallFactory.create(account_id=account.pk, path="/\u202egpj.exe/<script>alert(1)</script>", agent="a\nb")

    text = client.get(path(CALLS, account)).content.decode()

    assert "\\u{202E}gpj.exe/&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "a\\u{000A}b" in text
    assert "\u202e" not in text


def test_a_refused_call_says_why(client: Client, account: Account) -> None:
    CallFactory.create(account_id=account.pk, status=401, reason=Reason.ROTATED)

    assert "The key was rotated away" in client.get(path(CALLS, account)).content.decode()


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_of_the_gate_has_words(reason: Reason) -> None:
    assert reason in words.REASONS


def test_the_page_says_what_to_do_when_nothing_is_there(client: Client, account: Account) -> None:
    nothing = client.get(path(CALLS, account)).content.decode()
    narrowed = client.get(path(CALLS, account), {"path": "/x"}).content.decode()

    assert "How to make a call" in nothing
    assert "Clear the filters" in narrowed


def test_following_asks_for_the_part_that_changes(client: Client, account: Account) -> None:
    CallFactory.create(account_id=account.pk)

    whole = client.get(path(CALLS, account), {"follow": "1", "method": "GET"}).content.decode()
    part = client.get(
        path(CALLS, account), {"follow": "1", "method": "GET"}, headers={"HX-Request": "true"}
    ).content.decode()

    assert f"{path(CALLS, account)}?{urlencode({'follow': 1, 'method': 'GET'}).replace('&', '&amp;')}" in whole
    assert "<html" in whole
    assert "<html" not in part


def test_who_asks_for_more_than_seven_days_is_told(client: Client, account: Account) -> None:
    asked = client.get(path(CALLS, account), {"since": "2001-01-01T00:00"}).content.decode()
    usual = client.get(path(CALLS, account)).content.decode()

    assert "Calls are kept for 7 days. You asked for more" in asked
    assert "You asked for more" not in usual


def test_following_while_signed_out_leads_the_whole_page_to_signing_in(account: Account) -> None:
    answer = Client().get(path(CALLS, account), {"follow": "1"}, headers={"HX-Request": "true"})

    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"].startswith("/auth/login/?next=")
    assert not answer.content


def test_a_page_costs_the_same_however_many_calls_it_lists(
    client: Client, account: Account, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    CallFactory.create_batch(
        PAGE_SIZE + 5, account_id=account.pk, credential_id=ApiKeyFactory.create(account=account).id
    )

    with django_assert_max_num_queries(10):
        client.get(path(CALLS, account))


def test_the_hour_that_the_clock_shows_twice_is_included_whole(client: Client, account: Account) -> None:
    with timezone.override("America/New_York"):
        since, until = (InstantField(late=late).clean("2026-11-01T01:30") for late in (False, True))

    assert (since, until) == (
        datetime.fromisoformat("2026-11-01T05:30Z"),
        datetime.fromisoformat("2026-11-01T06:30Z"),
    )


# --- A search among many calls ------------------------------------------------------------------------------------
@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search looks at three calls, and then its time is over."""
    monkeypatch.setattr(pagination, "FIRST_STEP", 3)
    monkeypatch.setattr(pagination, "SEARCH_SECONDS", 0)


def _ten_calls(account: Account) -> None:
    for n in range(10):
        CallFactory.create(account_id=account.pk, path=f"/{n}", at=timezone.now() - n * SECOND)


def _links(text: str) -> list[str]:
    """Where the links that go on with the search lead."""
    return [unescape(href) for href in re.findall(r'href="([^"]+)"[^>]*>Continue the search<', text)]


@pytest.mark.usefixtures("no_time")
def test_a_search_that_takes_long_says_how_far_it_came_and_goes_on_by_a_link(client: Client, account: Account) -> None:
    _ten_calls(account)
    found, seen = [], []
    address = f"{path(CALLS, account)}?path=/7"

    while address:
        answer = client.get(address)
        text = answer.content.decode()
        found.append([call.path for call in answer.context["page"].rows])
        told = ("Nothing found so far", "Older calls were", "No more calls", "Nothing matches")
        seen.append([words for words in told if words in text])
        address = "".join(f"{path(CALLS, account)}{link}" for link in _links(text))

    assert found == [[], [], ["/7"], []]
    assert seen == [["Nothing found so far"], ["Nothing found so far"], ["Older calls were"], ["No more calls"]]


@pytest.mark.usefixtures("no_time")
def test_every_call_is_found_once_whatever_a_search_stops_at(client: Client, account: Account) -> None:
    _ten_calls(account)
    now = timezone.now()
    for n in range(4):  # of the same instant
        CallFactory.create(account_id=account.pk, path=f"/same/{n}", at=now - 4 * SECOND)
    found: list[str] = []
    address = f"{path(CALLS, account)}?method=GET"

    while address:
        answer = client.get(address)
        found += [call.path for call in answer.context["page"].rows]
        address = "".join(f"{path(CALLS, account)}{link}" for link in _links(answer.content.decode()))

    assert sorted(found) == sorted(Call.objects.values_list("path", flat=True))
    assert len(found) == 14


@pytest.mark.usefixtures("no_time")
def test_a_search_for_newer_calls_says_how_far_it_came_too(client: Client, account: Account) -> None:
    _ten_calls(account)
    oldest = client.get(path(CALLS, account), {"path": "/2"})
    while "/2" not in [call.path for call in oldest.context["page"].rows]:
        oldest = client.get(f"{path(CALLS, account)}{_links(oldest.content.decode())[0]}")
    further = client.get(f"{path(CALLS, account)}{_links(oldest.content.decode())[0]}")
    cursor = signing.dumps(["newer", (timezone.now() - timedelta(minutes=1)).isoformat(), 0], salt=pagination.SALT)

    newer = client.get(path(CALLS, account), {"path": "/2", "cursor": cursor})

    assert "Older ones were not looked at yet" in further.content.decode()
    assert "Newer ones were not looked at yet" in newer.content.decode()


@pytest.mark.usefixtures("no_time")
def test_times_alone_need_no_search(client: Client, account: Account) -> None:
    _ten_calls(account)

    answer = client.get(path(CALLS, account), {"until": timezone.now().isoformat()})

    assert len(answer.context["page"].rows) == 10
    assert answer.context["page"].goes_on == ""


def test_a_search_that_comes_to_the_end_in_time_says_nothing(client: Client, account: Account) -> None:
    _ten_calls(account)

    answer = client.get(path(CALLS, account), {"path": "/7"})

    assert [call.path for call in answer.context["page"].rows] == ["/7"]
    assert "Continue the search" not in answer.content.decode()
