"""Suspending, closing and reopening accounts: what passes, who is told, what is refused."""

import pytest

from accounts import operations, revisions
from accounts.actors import SHELL, Operator
from accounts.models import Account, Change
from apikeys.gate import direct
from apikeys.gate.reasons import Reason
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests import gates
from tests.factories import NOW, AccountFactory, ApiKeyFactory, MemberFactory, UserFactory
from tests.visitors import path, signed_in

pytestmark = pytest.mark.django_db


def _verdict(secret: str) -> Reason:
    headers = [("Authorization", f"Bearer {secret}")]
    return direct.decide(direct.ApiRequest(method="GET", target="/", headers=headers, address=None)).reason


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
