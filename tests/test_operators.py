"""Who is an operator, by the pages and on the command line."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts import operations, operators, second_factors
from accounts.actors import SHELL, NoOperatorError, Operator
from accounts.models import Account, User
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import NOW, AccountFactory, UserFactory
from tests.operator_pages import operator_at_the_pages, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Client:
    return operator_at_the_pages(email="olivia@portal.example", name="Olivia")


def test_an_operator_adds_and_removes_another_in_the_admin(operator: Client) -> None:
    grace = UserFactory.create(email="grace@portal.example")

    operator.post(page("user_add_operator"), {"email": "Grace@portal.example"})
    added = User.objects.get(pk=grace.pk).is_staff
    operator.post(page("user_remove_operator", grace.pk))

    assert added
    assert not User.objects.get(pk=grace.pk).is_staff
    entries = AuditEntry.objects.filter(category="operator").order_by("id")
    assert list(entries.values_list("action", "account_id", "actor_name", "target_name")) == [
        (Action.OPERATOR_ADDED, None, "Olivia", grace.name),
        (Action.OPERATOR_REMOVED, None, "Olivia", grace.name),
    ]


def test_a_removed_operators_open_session_can_do_nothing_any_more(operator: Client) -> None:
    account = AccountFactory.create()
    UserFactory.create(is_staff=True)
    operators.remove_operator(email="olivia@portal.example", by=SHELL, now=NOW)

    answer = operator.post(page("account_suspend", account.pk), {"reason": "Revenge"})

    assert answer.status_code in {302, 403}
    assert Account.objects.get(pk=account.pk).state == Account.State.OPEN


@pytest.mark.parametrize(
    "operation",
    [
        partial(operations.change_plan, burst_limit=9),
        partial(operations.suspend_account, reason="Mine"),
        partial(operations.close_account, reason="Mine"),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_who_is_no_operator_any_more_changes_no_account(operation: Callable[..., None]) -> None:
    account, was = AccountFactory.create(), UserFactory.create(is_staff=False)

    with pytest.raises(NoOperatorError):
        operation(account=account, by=Operator(was), now=NOW)

    account.refresh_from_db()
    assert (account.state, account.burst_limit) == (Account.State.OPEN, 100)


def test_who_is_no_operator_any_more_makes_no_operators() -> None:
    was, friend = UserFactory.create(is_staff=False), UserFactory.create()

    with pytest.raises(NoOperatorError):
        operators.add_operator(email=friend.email, by=Operator(was), now=NOW)

    friend.refresh_from_db()
    assert not friend.is_staff


def test_an_operators_days_of_grace_begin_with_becoming_one() -> None:
    person = operators.add_operator(email="grace@portal.example", by=SHELL, now=NOW)

    assert person.second_factor_due_at == NOW + second_factors.GRACE


def test_the_last_operator_stays(operator: Client) -> None:
    olivia = User.objects.get(email="olivia@portal.example")
    UserFactory.create(is_staff=True, is_active=False)  # who may not sign in does not count

    answer = operator.post(page("user_remove_operator", olivia.pk))

    assert answer.status_code == 400
    assert "is the last operator" in answer.content.decode()
    assert User.objects.get(pk=olivia.pk).is_staff


def test_one_whose_sign_in_is_switched_off_can_be_removed_and_counts_as_none(operator: Client) -> None:
    gone = UserFactory.create(email="gone@portal.example", is_staff=True, is_active=False)

    operator.post(page("user_remove_operator", gone.pk))

    assert not User.objects.get(pk=gone.pk).is_staff
    assert AuditEntry.objects.get(action=Action.OPERATOR_REMOVED).target_name == gone.name


def test_the_last_who_may_sign_in_stays_whoever_is_switched_off() -> None:
    last = UserFactory.create(is_staff=True)
    UserFactory.create(is_staff=True, is_active=False)

    with pytest.raises(operators.LastOperatorError):
        operators.remove_operator(email=last.email, by=SHELL, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_operators_who_all_remove_each_other_leave_one() -> None:
    people = UserFactory.create_batch(8, is_staff=True)

    def remove(person: User) -> bool:
        try:
            operators.remove_operator(email=person.email, by=SHELL, now=NOW)
        except operators.LastOperatorError:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        removed = list(pool.map(remove, people))

    assert removed.count(False) == 1
    assert User.objects.operators().count() == 1


def test_a_new_person_becomes_an_operator_without_a_password() -> None:
    person = operators.add_operator(email="new@portal.example", by=SHELL, now=NOW)

    assert person.is_staff
    assert not person.has_usable_password()


@pytest.mark.parametrize("fields", [{"is_staff": True}, {"is_active": False}])
def test_who_is_an_operator_or_may_not_sign_in_is_not_made_one(fields: dict[str, bool]) -> None:
    person = UserFactory.create(**fields)

    with pytest.raises(operators.OperatorError):
        operators.add_operator(email=person.email, by=SHELL, now=NOW)

    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("email", ["", "nobody", "a@b", "a@x.example, b@x.example", "a@x.example\nBcc: b@x.example"])
def test_what_is_no_address_makes_nobody(operator: Client, email: str) -> None:
    before = User.objects.count()

    answer = operator.post(page("user_add_operator"), {"email": email})

    assert answer.status_code == 400
    assert User.objects.count() == before


# --- On the command line --------------------------------------------------------------------------------------------


def _run(*words: str) -> str:
    out = StringIO()
    call_command("operator", *words, stdout=out)
    return out.getvalue()


def test_the_command_adds_lists_and_removes() -> None:
    _run("add", "olivia@portal.example")
    added = json.loads(_run("add", "grace@portal.example", "--json"))
    listed = json.loads(_run("list", "--json"))
    _run("remove", "olivia@portal.example")

    assert added == {"operator": "grace@portal.example"}
    assert [one["email"] for one in listed["operators"]] == ["grace@portal.example", "olivia@portal.example"]
    assert _run("list") == "grace@portal.example\n"
    assert set(AuditEntry.objects.values_list("actor_name", "account_id")) == {("operator (shell)", None)}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["remove", "olivia@portal.example"], "is the last operator"),
        (["remove", "nobody@portal.example"], "is no operator"),
        (["add", "olivia@portal.example"], "is an operator already"),
        (["add", "olivia"], "email: This is not an e-mail address"),
    ],
)
def test_the_command_refuses_with_the_reason(words: list[str], complaint: str) -> None:
    operators.add_operator(email="olivia@portal.example", by=SHELL, now=NOW)

    with pytest.raises(CommandError, match=complaint):
        _run(*words)
