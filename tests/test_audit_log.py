"""The audit log's pages: who did what, or tried to, when, from where."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import operations
from accounts.actors import SHELL
from accounts.models import Account, Member
from accounts.permissions import Role
from apikeys.operations import api_keys
from auditlog import journal
from auditlog.actions import Action
from auditlog.models import AuditEntry
from auditlog.origin import Origin, current
from auditlog.pagination import PAGE_SIZE
from tests.factories import AccountFactory, MemberFactory, SuperAdminFactory, UserFactory
from tests.visitors import path, signed_in

pytestmark = pytest.mark.django_db

LOG, ENTRY, KEY = "auditlog:audit-log", "auditlog:audit-log-entry", "apikeys:api-key"
OPERATOR = '<span class="pill">operator</span>'
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def account() -> Account:
    return AccountFactory.create()


@pytest.fixture
def ada(account: Account) -> Member:
    return SuperAdminFactory.create(account=account, user__name="Ada", user__email="ada@acme.example")


@pytest.fixture
def client(account: Account) -> Client:
    return signed_in(MemberFactory.create(account=account, role=Role.AUDITOR, user__name="Otto"))


def _listed(client: Client, account: Account, **query: str) -> list[str]:
    answer = client.get(path(LOG, account), query)
    assert answer.status_code == 200, answer.content
    return [entry.action for entry in answer.context["page"].rows if entry.actor_name == "Ada"]


def test_what_was_done_is_listed_newest_first(client: Client, ada: Member) -> None:
    now = timezone.now()
    api_keys.create_api_key(account=ada.account, by=ada, now=now - timedelta(minutes=2))
    api_keys.show_api_key(account=ada.account, by=ada, now=now - timedelta(minutes=1))

    assert _listed(client, ada.account) == [Action.API_KEY_VIEWED, Action.API_KEY_CREATED]


def test_who_takes_an_operators_name_is_told_from_one_by_address_and_mark(client: Client, account: Account) -> None:
    mallory = SuperAdminFactory.create(account=account, user__name="operator (shell)")
    api_keys.create_api_key(account=account, by=mallory, now=timezone.now())
    (forged,) = AuditEntry.objects.filter(actor_email=mallory.user.email)

    addresses = [path(LOG, account), path(ENTRY, account, forged.pk), path(KEY, account)]
    texts = [client.get(address).content.decode() for address in addresses]

    assert all(mallory.user.email in text for text in texts)
    assert not any(OPERATOR in text for text in texts)


def test_an_operator_is_marked_as_one(client: Client, account: Account) -> None:
    api_keys.create_api_key(account=account, by=SHELL, now=timezone.now())
    entry = AuditEntry.objects.get(action=Action.API_KEY_CREATED)

    addresses = [path(LOG, account), path(ENTRY, account, entry.pk), path(KEY, account)]
    texts = [client.get(address).content.decode() for address in addresses]

    assert all(OPERATOR in text for text in texts)


def test_an_attempt_that_was_refused_is_listed_as_one(client: Client, ada: Member) -> None:
    journal.record_refusal(Action.API_KEY_VIEWED, of=ada.account, by=ada, reason="No.", at=timezone.now())

    text = client.get(path(LOG, ada.account)).content.decode()

    assert "tried to show the API key" in text
    assert text.count("viewed the API key") == 1, "the filter's choice, and no entry"


def test_who_adds_a_member_is_not_said_to_have_joined(client: Client, ada: Member) -> None:
    joiner = operations.join(
        account=ada.account, user=UserFactory.create(), role=Role.MEMBER, by=ada, now=timezone.now()
    )

    answer = client.get(path(LOG, ada.account), {"category": "member"})

    assert "added a member" in answer.content.decode()
    assert joiner.user.name in answer.content.decode()


def test_entries_of_another_account_are_not_shown(client: Client, account: Account) -> None:
    theirs = SuperAdminFactory.create(user__name="Ada")
    api_keys.create_api_key(account=theirs.account, by=theirs, now=timezone.now())
    entry = AuditEntry.objects.get(account_id=theirs.account_id, action=Action.API_KEY_CREATED)

    assert _listed(client, account) == []
    assert client.get(path(ENTRY, account, entry.pk)).status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"category": "api_key"}, [Action.API_KEY_CREATED]),
        ({"category": "sign_in"}, []),
        ({"action": "api_key.created"}, [Action.API_KEY_CREATED]),
        ({"action": "api_key.viewed"}, []),
        ({"person": "ADA@"}, [Action.API_KEY_CREATED]),
        ({"person": "A%a"}, []),
        ({"since": "2026-01-01T00:00"}, [Action.API_KEY_CREATED]),
        ({"until": "2026-01-01T00:00"}, []),
    ],
)
def test_filters_narrow_the_log(client: Client, ada: Member, query: dict[str, str], found: list[str]) -> None:
    api_keys.create_api_key(account=ada.account, by=ada, now=timezone.now())

    assert _listed(client, ada.account, **query) == found


@pytest.mark.parametrize(
    "query", ["category=x", "action=x", "person=%00", "actor_email=a", "person=a&person=b", "cursor=x", "until=24:00"]
)
def test_what_the_log_cannot_answer_is_refused(client: Client, account: Account, query: str) -> None:
    assert client.get(f"{path(LOG, account)}?{query}").status_code == 400


@pytest.mark.parametrize("number", [0, 10**9, 10**30])
def test_an_entry_that_is_none_is_not_found(client: Client, account: Account, number: int) -> None:
    assert client.get(path(ENTRY, account, number)).status_code == 404


def test_an_entry_says_from_where_and_with_what(client: Client, ada: Member) -> None:
    token = current.set(Origin(address="203.0.113.9", user_agent=FIREFOX, request_id="req-17"))
    api_keys.create_api_key(account=ada.account, by=ada, now=timezone.now())
    current.reset(token)
    entry = AuditEntry.objects.get(action=Action.API_KEY_CREATED)

    text = client.get(path(ENTRY, ada.account, entry.pk)).content.decode()

    assert "Ada created the API key" in text
    assert "203.0.113.9" in text
    assert "Firefox on Linux" in text
    assert "req-17" in text


def test_an_entry_says_what_a_change_changed_and_what_it_was_before(client: Client, account: Account) -> None:
    operations.change_plan(account=account, burst_limit=100, daily_limit=777_000, by=SHELL, now=timezone.now())
    entry = AuditEntry.objects.get(action=Action.ACCOUNT_PLAN_CHANGED)

    text = client.get(path(ENTRY, account, entry.pk)).content.decode()

    assert "<dt>Calls a day</dt><dd>777000, before: 250000</dd>" in text
    assert "Calls in any 10 seconds" not in text
    assert "{" not in text.partition("<main")[2].partition("</main>")[0]


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.MEMBER])
def test_who_may_not_read_it_is_told_whom_to_ask(ada: Member, role: Role) -> None:
    member = MemberFactory.create(account=ada.account, role=role)

    answer = signed_in(member).get(path(LOG, ada.account))

    assert answer.status_code == 403
    assert "ada@acme.example" in answer.content.decode()


def test_a_page_costs_the_same_however_many_entries_it_lists(
    client: Client, ada: Member, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with transaction.atomic():
        for _ in range(PAGE_SIZE + 5):
            journal.record(Action.API_KEY_VIEWED, of=ada.account, by=ada, at=timezone.now())

    with django_assert_max_num_queries(8):
        client.get(path(LOG, ada.account))
