"""The pages of operators in the admin: plans and states of accounts, and who may not get at them."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account, User
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import PASSWORD, AccountFactory, SuperAdminFactory, UserFactory
from tests.operator_pages import operator_at_the_pages, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Client:
    return operator_at_the_pages(email="olivia@portal.example", name="Olivia")


def test_an_operator_suspends_and_reopens_an_account_in_the_admin(operator: Client) -> None:
    account = AccountFactory.create()

    operator.post(page("account_suspend", account.pk), {"reason": "Unpaid"})
    suspended = Account.objects.get(pk=account.pk).state
    operator.post(page("account_reopen", account.pk), {"reason": "Paid"})

    assert suspended == Account.State.SUSPENDED
    assert Account.objects.get(pk=account.pk).state == Account.State.OPEN
    entry = AuditEntry.objects.get(action=Action.ACCOUNT_SUSPENDED)
    assert (entry.actor_name, entry.reason, entry.account_id) == ("Olivia", "Unpaid", account.pk)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "a\x00b"])
def test_without_a_reason_that_can_be_read_nothing_is_suspended(operator: Client, reason: str) -> None:
    account = AccountFactory.create()

    answer = operator.post(page("account_suspend", account.pk), {"reason": reason})

    assert answer.status_code == 400
    assert Account.objects.get(pk=account.pk).state == Account.State.OPEN


def test_what_is_suspended_already_is_said_on_the_form(operator: Client) -> None:
    account = AccountFactory.create(state="suspended")

    answer = operator.post(page("account_suspend", account.pk), {"reason": "Unpaid"})

    assert answer.status_code == 400
    assert "This account is suspended." in answer.content.decode()


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ("open", {"plan", "suspend", "close"}),
        ("suspended", {"plan", "close", "reopen"}),
        ("closed", {"plan", "reopen"}),
    ],
)
def test_the_page_of_an_account_offers_what_its_state_allows(operator: Client, state: str, offered: set[str]) -> None:
    account = AccountFactory.create(state=state)

    text = operator.get(page("account_change", account.pk)).content.decode()

    deeds = {"plan", "suspend", "close", "reopen"}
    assert {deed for deed in deeds if page(f"account_{deed}", account.pk) in text} == offered


def test_an_operator_changes_a_plan_in_the_admin(operator: Client) -> None:
    account = AccountFactory.create()

    operator.post(page("account_plan", account.pk), {"burst_limit": "190", "daily_limit": "625000"})

    account.refresh_from_db()
    assert (account.burst_limit, account.daily_limit) == (190, 625_000)
    assert AuditEntry.objects.get(action=Action.ACCOUNT_PLAN_CHANGED).actor_name == "Olivia"


@pytest.mark.parametrize("limit", ["-1", "0", "many", "", "1" * 5000, "1e3"])
def test_a_limit_that_is_none_changes_nothing(operator: Client, limit: str) -> None:
    account = AccountFactory.create()

    answer = operator.post(page("account_plan", account.pk), {"burst_limit": limit, "daily_limit": "5"})

    assert answer.status_code == 400
    assert Account.objects.get(pk=account.pk).daily_limit == 250_000


OF_AN_ACCOUNT = ["account_plan", "account_suspend", "account_close", "account_reopen"]


def _operation_pages(about: Account, person: User) -> list[str]:
    return [
        *(page(name, about.pk) for name in OF_AN_ACCOUNT),
        page("user_add_operator"),
        page("user_remove_operator", person.pk),
        page("user_deactivate", person.pk),
        page("user_reactivate", person.pk),
    ]


def test_opening_a_page_changes_nothing_and_shows_its_form(operator: Client) -> None:
    account, person = AccountFactory.create(), UserFactory.create(is_staff=True)
    before = AuditEntry.objects.count()

    answers = [operator.get(address) for address in _operation_pages(account, person)]

    assert {answer.status_code for answer in answers} == {200}
    assert all(b"csrfmiddlewaretoken" in answer.content for answer in answers)
    assert AuditEntry.objects.count() == before
    assert Account.objects.get(pk=account.pk).state == Account.State.OPEN
    assert User.objects.operators().count() == 2


def test_nobody_but_an_operator_gets_at_the_operations() -> None:
    member = SuperAdminFactory.create()
    client = Client()
    client.post(reverse("account_login"), {"login": member.user.email, "password": PASSWORD})
    UserFactory.create(is_staff=True)
    sent = {"reason": "Mine", "burst_limit": "9", "daily_limit": "9", "email": member.user.email}

    statuses = {client.post(address, sent).status_code for address in _operation_pages(member.account, member.user)}

    member.refresh_from_db()
    assert statuses <= {302, 403}
    assert (member.account.state, member.account.burst_limit, member.user.is_staff) == ("open", 100, False)


def test_an_operator_whose_proof_is_old_is_asked_for_it_again() -> None:
    account = AccountFactory.create()
    client = Client()
    client.force_login(UserFactory.create(is_staff=True))

    answer = client.post(page("account_suspend", account.pk), {"reason": "Unpaid"})

    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert Account.objects.get(pk=account.pk).state == Account.State.OPEN


def test_a_form_of_the_admin_without_its_token_changes_nothing() -> None:
    account = AccountFactory.create()
    user = UserFactory.create(is_staff=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)

    answer = client.post(page("account_suspend", account.pk), {"reason": "Unpaid"})

    assert answer.status_code == 403
    assert Account.objects.get(pk=account.pk).state == Account.State.OPEN
