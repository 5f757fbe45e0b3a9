"""What operators do: limits, suspending, closing and reopening accounts, and saying who is an operator."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts import operations, operators, revisions, second_factors
from accounts.actors import SHELL, NoOperatorError, Operator
from accounts.models import Account, Change, User
from apikeys.gate import direct
from apikeys.gate.reasons import Reason
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests import gates
from tests.factories import NOW, PASSWORD, AccountFactory, ApiKeyFactory, MemberFactory, SuperAdminFactory, UserFactory
from tests.visitors import path, signed_in

pytestmark = pytest.mark.django_db

Path = str


def _operator_at_the_pages(**fields: object) -> Client:
    user = UserFactory.create(is_staff=True, **fields)
    client = Client()
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    return client


@pytest.fixture
def operator() -> Client:
    return _operator_at_the_pages(email="olivia@portal.example", name="Olivia")


def _page(name: str, *args: object) -> Path:
    return reverse(f"admin:accounts_{name}", args=args)


def _verdict(secret: str) -> Reason:
    headers = [("Authorization", f"Bearer {secret}")]
    return direct.decide(direct.ApiRequest(method="GET", target="/", headers=headers, address=None)).reason


# --- Suspending, closing, reopening ---------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("operation", "reason"),
    [(operations.suspend_account, Reason.SUSPENDED), (operations.close_account, Reason.CLOSED)],
)
def test_no_credential_of_a_suspended_or_closed_account_passes_until_it_is_reopened(
    operation: operations.ChangesState, reason: Reason
) -> None:
    key = ApiKeyFactory.create()

    operation(account=key.account, reason="Unpaid", by=SHELL, now=NOW)
    meanwhile = _verdict(key.secret())
    operations.reopen_account(account=key.account, reason="Paid", by=SHELL, now=NOW)

    direct.close()
    assert meanwhile == reason
    assert _verdict(key.secret()) == Reason.ACCEPTED
    direct.close()


@pytest.mark.settles
@pytest.mark.django_db(transaction=True)
def test_a_gate_that_kept_the_key_refuses_from_the_moment_that_suspending_returned() -> None:
    key = ApiKeyFactory.create()
    credential = gates.bearer(key.secret())

    with gates.ThreadGate() as gate:
        before = gates.ask(gate.port, credential).status
        operations.suspend_account(account=key.account, reason="Unpaid", by=SHELL, now=NOW)
        suspended = gates.ask(gate.port, credential).status
        operations.reopen_account(account=key.account, reason="Paid", by=SHELL, now=NOW)
        reopened = gates.ask(gate.port, credential).status

    assert (before, suspended, reopened) == (204, 403, 204)


def test_another_account_keeps_passing() -> None:
    key = ApiKeyFactory.create()

    operations.suspend_account(account=AccountFactory.create(), reason="Unpaid", by=SHELL, now=NOW)

    assert not direct.is_refused(key)


@pytest.mark.parametrize("operation", [operations.suspend_account, operations.close_account])
def test_it_returns_only_when_no_gate_can_judge_by_the_old_state(
    operation: operations.ChangesState, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = AccountFactory.create()
    changes_when_settling: list[int | None] = []
    monkeypatch.setattr(
        revisions, "settle", lambda: changes_when_settling.append(Change.objects.latest("revision").account_id)
    )

    operation(account=account, reason="Unpaid", by=SHELL, now=NOW)

    assert changes_when_settling == [account.pk]


def test_each_change_of_state_is_an_entry_with_its_reason() -> None:
    account = AccountFactory.create()
    olivia = Operator(UserFactory.create(name="Olivia", is_staff=True))

    operations.suspend_account(account=account, reason="Unpaid", by=olivia, now=NOW)
    operations.close_account(account=account, reason="Gone", by=olivia, now=NOW)
    operations.reopen_account(account=account, reason="Back", by=olivia, now=NOW)

    entries = AuditEntry.objects.filter(account_id=account.pk).order_by("id")
    assert list(entries.values_list("action", "reason", "actor_name", "actor_kind")) == [
        (Action.ACCOUNT_SUSPENDED, "Unpaid", "Olivia", "operator"),
        (Action.ACCOUNT_CLOSED, "Gone", "Olivia", "operator"),
        (Action.ACCOUNT_REOPENED, "Back", "Olivia", "operator"),
    ]
    assert entries[1].details == {"before": "suspended", "after": "closed"}


@pytest.mark.parametrize(
    ("state", "operation"),
    [
        ("suspended", operations.suspend_account),
        ("closed", operations.suspend_account),
        ("closed", operations.close_account),
        ("open", operations.reopen_account),
    ],
)
def test_a_state_that_leads_nowhere_is_refused_and_named(state: str, operation: operations.ChangesState) -> None:
    account = AccountFactory.create(state=state)

    with pytest.raises(operations.StateError, match=f"This account is {state}"):
        operation(account=account, reason="Because", by=SHELL, now=NOW)

    assert not Change.objects.exists()
    assert not AuditEntry.objects.exists()


def test_of_two_who_suspend_with_old_knowledge_the_second_is_told() -> None:
    account = AccountFactory.create()
    seen_earlier = Account.objects.get(pk=account.pk)
    operations.suspend_account(account=account, reason="Unpaid", by=SHELL, now=NOW)

    with pytest.raises(operations.StateError):
        operations.suspend_account(account=seen_earlier, reason="Unpaid", by=SHELL, now=NOW)


@pytest.mark.parametrize(("state", "says"), [("suspended", "is suspended"), ("closed", "is closed"), ("open", None)])
def test_members_read_on_every_page_that_all_calls_are_refused(state: str, says: str | None) -> None:
    member = MemberFactory.create(account__state=state)

    text = signed_in(member).get(path("accounts:members", member.account)).content.decode()

    assert ("every call is refused" in text) == (says is not None)
    assert says is None or says in text


# --- In the admin ---------------------------------------------------------------------------------------------------


def test_an_operator_suspends_and_reopens_an_account_in_the_admin(operator: Client) -> None:
    account = AccountFactory.create()

    operator.post(_page("account_suspend", account.pk), {"reason": "Unpaid"})
    suspended = Account.objects.get(pk=account.pk).state
    operator.post(_page("account_reopen", account.pk), {"reason": "Paid"})

    assert suspended == Account.State.SUSPENDED
    assert Account.objects.get(pk=account.pk).state == Account.State.OPEN
    entry = AuditEntry.objects.get(action=Action.ACCOUNT_SUSPENDED)
    assert (entry.actor_name, entry.reason, entry.account_id) == ("Olivia", "Unpaid", account.pk)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "a\x00b"])
def test_without_a_reason_that_can_be_read_nothing_is_suspended(operator: Client, reason: str) -> None:
    account = AccountFactory.create()

    answer = operator.post(_page("account_suspend", account.pk), {"reason": reason})

    assert answer.status_code == 400
    assert Account.objects.get(pk=account.pk).state == Account.State.OPEN


def test_what_is_suspended_already_is_said_on_the_form(operator: Client) -> None:
    account = AccountFactory.create(state="suspended")

    answer = operator.post(_page("account_suspend", account.pk), {"reason": "Unpaid"})

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

    text = operator.get(_page("account_change", account.pk)).content.decode()

    deeds = {"plan", "suspend", "close", "reopen"}
    assert {deed for deed in deeds if _page(f"account_{deed}", account.pk) in text} == offered


def test_an_operator_changes_a_plan_in_the_admin(operator: Client) -> None:
    account = AccountFactory.create()

    operator.post(_page("account_plan", account.pk), {"burst_limit": "190", "daily_limit": "625000"})

    account.refresh_from_db()
    assert (account.burst_limit, account.daily_limit) == (190, 625_000)
    assert AuditEntry.objects.get(action=Action.ACCOUNT_PLAN_CHANGED).actor_name == "Olivia"


@pytest.mark.parametrize("limit", ["-1", "0", "many", "", "1" * 5000, "1e3"])
def test_a_limit_that_is_none_changes_nothing(operator: Client, limit: str) -> None:
    account = AccountFactory.create()

    answer = operator.post(_page("account_plan", account.pk), {"burst_limit": limit, "daily_limit": "5"})

    assert answer.status_code == 400
    assert Account.objects.get(pk=account.pk).daily_limit == 250_000


OF_AN_ACCOUNT = ["account_plan", "account_suspend", "account_close", "account_reopen"]


def _operation_pages(about: Account, person: User) -> list[Path]:
    return [
        *(_page(name, about.pk) for name in OF_AN_ACCOUNT),
        _page("user_add_operator"),
        _page("user_remove_operator", person.pk),
    ]


def test_opening_a_page_changes_nothing_and_shows_its_form(operator: Client) -> None:
    account, person = AccountFactory.create(), UserFactory.create(is_staff=True)
    before = AuditEntry.objects.count()

    answers = [operator.get(page) for page in _operation_pages(account, person)]

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

    statuses = {client.post(page, sent).status_code for page in _operation_pages(member.account, member.user)}

    member.refresh_from_db()
    assert statuses <= {302, 403}
    assert (member.account.state, member.account.burst_limit, member.user.is_staff) == ("open", 100, False)


def test_an_operator_whose_proof_is_old_is_asked_for_it_again() -> None:
    account = AccountFactory.create()
    client = Client()
    client.force_login(UserFactory.create(is_staff=True))

    answer = client.post(_page("account_suspend", account.pk), {"reason": "Unpaid"})

    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert Account.objects.get(pk=account.pk).state == Account.State.OPEN


def test_a_form_of_the_admin_without_its_token_changes_nothing() -> None:
    account = AccountFactory.create()
    user = UserFactory.create(is_staff=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)

    answer = client.post(_page("account_suspend", account.pk), {"reason": "Unpaid"})

    assert answer.status_code == 403
    assert Account.objects.get(pk=account.pk).state == Account.State.OPEN


# --- Who is an operator ---------------------------------------------------------------------------------------------


def test_an_operator_adds_and_removes_another_in_the_admin(operator: Client) -> None:
    grace = UserFactory.create(email="grace@portal.example")

    operator.post(_page("user_add_operator"), {"email": "Grace@portal.example"})
    added = User.objects.get(pk=grace.pk).is_staff
    operator.post(_page("user_remove_operator", grace.pk))

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

    answer = operator.post(_page("account_suspend", account.pk), {"reason": "Revenge"})

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

    answer = operator.post(_page("user_remove_operator", olivia.pk))

    assert answer.status_code == 400
    assert "is the last operator" in answer.content.decode()
    assert User.objects.get(pk=olivia.pk).is_staff


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

    answer = operator.post(_page("user_add_operator"), {"email": email})

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
