"""`account` and `member`: accounts and their people from the shell, by "operator (shell)"."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.utils import timezone

from accounts.models import Account, Member, User
from accounts.permissions import Role
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.commands import facts, run
from tests.factories import NOW, AccountFactory, MemberFactory, SuperAdminFactory, UserFactory
from tests.test_addresses import REFUSED

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Account:
    """With one super admin, Ada."""
    admin = SuperAdminFactory.create(
        account__slug="acme", account__name="Acme", user__email="ada@acme.example", user__name="Ada", joined_at=NOW
    )
    return admin.account


def _roles(account: Account) -> dict[str, str]:
    return dict(account.members.active().values_list("user__email", "role"))


# --- Accounts -------------------------------------------------------------------------------------------------------


def test_accounts_are_listed_with_their_state_and_limits(acme: Account) -> None:
    AccountFactory.create(slug="globex", state="closed", name="Globex")

    listed = facts("account", "list")["accounts"]

    assert [(one["account"], one["state"], one["burst"], one["daily"]) for one in listed] == [
        ("acme", "open", 100, 250_000),
        ("globex", "closed", 100, 250_000),
    ]
    assert set(listed[0]) == {"account", "number", "name", "state", "burst", "daily", "created_at"}
    assert run("account", "list") == "acme  open  Acme\nglobex  closed  Globex\n"


def test_an_account_is_suspended_closed_and_reopened_each_with_its_reason(acme: Account) -> None:
    answers = [facts("account", verb, "acme", "--reason", f"Why {verb}") for verb in ("suspend", "close", "reopen")]

    assert [one["state"] for one in answers] == ["suspended", "closed", "open"]
    entries = AuditEntry.objects.filter(account_id=acme.pk).order_by("id")
    assert list(entries.values_list("action", "reason", "actor_name")) == [
        (Action.ACCOUNT_SUSPENDED, "Why suspend", "operator (shell)"),
        (Action.ACCOUNT_CLOSED, "Why close", "operator (shell)"),
        (Action.ACCOUNT_REOPENED, "Why reopen", "operator (shell)"),
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["reopen", "acme", "--reason", "Paid"], "This account is open"),
        (["suspend", "acme", "--reason", "  "], "reason: "),
        (["close", "acme", "--reason", "x" * 201], "reason: "),
        (["close", "nowhere", "--reason", "Gone"], "no account “nowhere”"),
    ],
)
def test_what_cannot_be_done_to_an_account_is_refused_with_the_reason(
    acme: Account, words: list[str], complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint) as refused:
        run("account", *words)

    assert refused.value.returncode == 1
    assert not AuditEntry.objects.exists()


# --- Members --------------------------------------------------------------------------------------------------------


def test_members_are_listed_and_those_who_left_are_not(acme: Account) -> None:
    MemberFactory.create(account=acme, user__email="gone@acme.example", joined_at=NOW).leave(at=NOW)
    MemberFactory.create(user__email="elsewhere@globex.example")

    assert facts("member", "list", "acme") == {
        "account": "acme",
        "members": [
            {"email": "ada@acme.example", "name": "Ada", "role": "super_admin", "joined_at": "2026-05-04T09:30:00Z"}
        ],
    }
    assert run("member", "list", "acme") == "ada@acme.example  super_admin\n"


def test_a_new_person_gets_a_place_and_is_told_how_to_sign_in(acme: Account) -> None:
    said = run("member", "add", "acme", "Grace@acme.example", "--role", "developer")

    assert _roles(acme) == {"ada@acme.example": "super_admin", "grace@acme.example": "developer"}
    assert "http://localhost/auth/password/reset/" in said
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_name, entry.details["role"]) == (
        Action.MEMBER_JOINED,
        "operator (shell)",
        "developer",
    )


def test_who_signs_in_already_gets_a_place_in_another_account(acme: Account) -> None:
    known = UserFactory.create(email="grace@globex.example")

    answer = facts("member", "add", "acme", "grace@globex.example")

    assert answer == {"account": "acme", "email": "grace@globex.example", "role": "member"}
    assert Member.objects.get(account=acme, user=known).is_active


def test_roles_change_and_places_end(acme: Account) -> None:
    MemberFactory.create(account=acme, user__email="grace@acme.example", joined_at=NOW)

    changed = facts("member", "role", "acme", "GRACE@acme.example", "auditor")
    between = _roles(acme)
    removed = facts("member", "remove", "acme", "grace@acme.example")

    assert changed == {"account": "acme", "email": "grace@acme.example", "role": "auditor"}
    assert between["grace@acme.example"] == Role.AUDITOR
    assert removed == {"account": "acme", "email": "grace@acme.example"}
    assert _roles(acme) == {"ada@acme.example": "super_admin"}
    assert list(AuditEntry.objects.order_by("id").values_list("action", "actor_name")) == [
        (Action.MEMBER_ROLE_CHANGED, "operator (shell)"),
        (Action.MEMBER_REMOVED, "operator (shell)"),
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["add", "acme", "ada@acme.example"], "is a member of this account already"),
        (["add", "acme", "barred@acme.example"], "may not sign in"),
        (["add", "nowhere", "ada@acme.example"], "no account “nowhere”"),
        (["role", "acme", "ada@acme.example", "member"], "is the only super admin"),
        (["role", "acme", "nobody@acme.example", "member"], "is no member of “Acme”"),
        (["remove", "acme", "ada@acme.example"], "is the only super admin"),
    ],
)
def test_what_cannot_be_done_to_a_member_is_refused_with_the_reason(
    acme: Account, words: list[str], complaint: str
) -> None:
    UserFactory.create(email="barred@acme.example", is_active=False)

    with pytest.raises(CommandError, match=complaint) as refused:
        run("member", *words)

    assert refused.value.returncode == 1
    assert _roles(acme) == {"ada@acme.example": "super_admin"}
    assert not AuditEntry.objects.exclude(outcome=Outcome.REFUSED).exists()


@pytest.mark.parametrize("typed", REFUSED)
def test_what_is_no_address_makes_nobody(acme: Account, typed: str) -> None:
    before = User.objects.count()

    with pytest.raises(CommandError, match="email: "):
        run("member", "add", "acme", typed)

    assert User.objects.count() == before


@pytest.mark.once("wrong usage ends before the database is asked")
@pytest.mark.parametrize(
    "words", [["member"], ["member", "add", "acme"], ["member", "role", "acme", "a@b.example", "x"]]
)
def test_wrong_usage_exits_with_2(words: list[str]) -> None:
    manage = Path(__file__).resolve().parent.parent / "manage.py"
    command = [sys.executable, str(manage), *words]

    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)

    assert answer.returncode == 2
    assert "usage:" in answer.stderr


def test_a_place_that_was_given_by_the_shell_counts_from_now(acme: Account) -> None:
    before = timezone.now()

    run("member", "add", "acme", "grace@acme.example")

    assert Member.objects.get(user__email="grace@acme.example").joined_at >= before
