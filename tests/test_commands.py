"""The operator's commands: what they print, what they refuse, what they write down."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.exceptions import ValidationError
from django.core.management import CommandError
from django.db.models import Sum
from django.utils import timezone
from pytest_django import Settings

from accounts import operations, second_factors
from accounts.actors import SHELL
from accounts.models import Account, User
from apikeys import secrets
from apikeys.models import ApiKey
from auditlog.actions import Action
from auditlog.models import AuditEntry, Call, CallsByCaller, DailyUsage
from tests.commands import facts, run
from tests.factories import NOW, AccountFactory, ApiKeyFactory, CallFactory, SuperAdminFactory
from tests.second_factors import add_app

pytestmark = pytest.mark.django_db


def test_account_create_opens_an_account_with_its_super_admin() -> None:
    answer = facts("account", "create", "Acme Inc.", "--slug", "acme", "--super-admin", "ada@acme.example")

    account = Account.objects.get(slug="acme")
    assert answer == {
        "account": "acme",
        "number": account.number,
        "name": "Acme Inc.",
        "super_admin": "ada@acme.example",
    }
    assert [member.user.email for member in account.super_admins()] == ["ada@acme.example"]
    assert set(AuditEntry.objects.values_list("actor_name", flat=True)) == {"operator (shell)"}


@pytest.mark.parametrize("name", ["", "   ", "\u200d", "\u3164", "Acme\u202e", "Acme\x07", "kp_123456789"])
def test_account_create_refuses_a_name_that_cannot_be_shown_as_it_is(name: str) -> None:
    with pytest.raises(CommandError, match="name: "):
        run("account", "create", name, "--slug", "acme", "--super-admin", "ada@acme.example")

    assert not Account.objects.exists()
    assert not User.objects.exists()


def test_account_create_keeps_the_address_in_small_letters() -> None:
    answer = facts("account", "create", "Acme Inc.", "--slug", "acme", "--super-admin", "Ada@Acme.example")

    assert answer["super_admin"] == User.objects.get().email == "ada@acme.example"


@pytest.mark.parametrize(
    ("slug", "email", "complaint"),
    [
        ("acme", "ada@acme.example", "slug: Account with this Slug already exists."),
        ("a b", "ada@acme.example", "slug: Enter a valid"),
        ("CAPS", "ada@acme.example", "slug: Use a-z, 0-9 and hyphens alone."),
        ("under_score", "ada@acme.example", "slug: Use a-z, 0-9 and hyphens alone."),
        ("fine", "ada", "email: This is not an e-mail address."),
    ],
)
def test_account_create_refuses_with_the_reason_and_keeps_nothing(slug: str, email: str, complaint: str) -> None:
    AccountFactory.create(slug="acme")

    with pytest.raises(CommandError, match=complaint):
        run("account", "create", "Acme", "--slug", slug, "--super-admin", email)

    assert Account.objects.count() == 1
    assert not User.objects.exists()


def test_account_plan_changes_only_the_limit_that_is_named() -> None:
    AccountFactory.create(slug="acme")

    answer = facts("account", "plan", "acme", "--burst", "190")

    assert answer == {"account": "acme", "burst": 190, "daily": 250_000}
    entry = AuditEntry.objects.get(action=Action.ACCOUNT_PLAN_CHANGED)
    assert entry.details["before"] == {"burst_limit": 100, "daily_limit": 250_000}


@pytest.mark.parametrize("words", [["--burst", "-1"], ["--daily", "0"], ["--burst", "0"], ["--daily", "many"]])
def test_account_plan_refuses_a_limit_that_lets_nothing_pass(words: list[str]) -> None:
    AccountFactory.create(slug="acme")

    with pytest.raises(CommandError, match="not a whole number from 1 up"):
        run("account", "plan", "acme", *words)


def test_account_plan_without_a_limit_is_wrong_usage_and_no_entry() -> None:
    AccountFactory.create(slug="acme")

    with pytest.raises(CommandError, match="Name a limit") as refused:
        run("account", "plan", "acme")

    assert refused.value.returncode == 2
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("limits", [{"burst_limit": 0}, {"daily_limit": 0}])
def test_a_plan_of_no_calls_is_refused_wherever_it_comes_from(limits: dict[str, int]) -> None:
    account = AccountFactory.create()

    with pytest.raises(ValidationError, match=r"At least 1\."):
        operations.change_plan(account=account, by=SHELL, now=NOW, **limits)

    assert not AuditEntry.objects.exists()


def test_a_plan_that_was_changed_meanwhile_keeps_the_limit_that_is_not_named() -> None:
    stale = AccountFactory.create()
    operations.change_plan(account=Account.objects.get(), daily_limit=625_000, by=SHELL, now=NOW)

    operations.change_plan(account=stale, burst_limit=190, by=SHELL, now=NOW)

    account = Account.objects.get()
    assert (account.burst_limit, account.daily_limit) == (190, 625_000)


def test_a_plan_that_stays_as_it_is_makes_no_entry() -> None:
    operations.change_plan(account=AccountFactory.create(), burst_limit=100, by=SHELL, now=NOW)

    assert not AuditEntry.objects.exists()


def test_api_key_lives_from_create_to_deactivate() -> None:
    AccountFactory.create(slug="acme")

    created = facts("api_key", "create", "acme")
    shown = facts("api_key", "show", "acme")
    rotated = facts("api_key", "rotate", "acme")
    deactivated = facts("api_key", "deactivate", "acme")

    assert created == shown
    assert set(created) == {
        *(
            "account",
            "generation",
            "secret",
            "last4",
            "created_at",
            "created_by",
            "age_days",
            "rotate_by",
            "rotation_planned_for",
        ),
        "last_used_at",
    }
    assert secrets.kind_of(created["secret"]) is secrets.Kind.API_KEY
    assert (rotated["generation"], rotated["created_by"]) == (2, "operator (shell)")
    assert rotated["secret"] != created["secret"]
    assert "secret" not in deactivated
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        Action.API_KEY_CREATED,
        Action.API_KEY_VIEWED,
        Action.API_KEY_ROTATED,
        Action.API_KEY_DEACTIVATED,
    ]


def test_api_key_show_without_json_prints_the_secret_alone() -> None:
    key = ApiKeyFactory.create()

    assert run("api_key", "show", key.account.slug) == f"{key.secret()}\n"


@pytest.mark.parametrize("verb", ["show", "rotate", "deactivate"])
def test_api_key_refuses_what_needs_a_key_where_there_is_none(verb: str) -> None:
    AccountFactory.create(slug="acme")

    with pytest.raises(CommandError, match=r"This account has no active API key\."):
        run("api_key", verb, "acme")


def test_api_key_show_without_its_sealing_key_says_which_one_is_missing(settings: Settings) -> None:
    key = ApiKeyFactory.create()
    settings.KEY_ENCRYPTION_KEYS = {"other": bytes(32)}

    with pytest.raises(CommandError, match=f"key-encryption key '{key.sealed_with}' is not in KEY_ENCRYPTION_KEYS"):
        run("api_key", "show", key.account.slug)


def test_an_account_that_does_not_exist_is_named_in_the_refusal() -> None:
    with pytest.raises(CommandError, match="no account “acme”"):
        run("api_key", "show", "acme")


@pytest.mark.parametrize("count", ["0", "-3", "many"])
def test_seed_keys_makes_no_less_than_one(count: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not a whole number from 1 up"):
        run("seed_keys", count, "--file", str(tmp_path / "keys"))

    assert not (tmp_path / "keys").exists()


def test_seed_keys_gives_each_account_a_number_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    AccountFactory.create(number=7)
    numbers = iter([7, 8, 8, 9, 10])
    monkeypatch.setattr(Account, "new_number", lambda: next(numbers))

    run("seed_keys", "3", "--file", str(tmp_path / "secrets"))

    assert sorted(Account.objects.values_list("number", flat=True)) == [7, 8, 9, 10]


def test_seed_keys_makes_accounts_whose_secrets_open(tmp_path: Path) -> None:
    file = tmp_path / "keys"

    run("seed_keys", "3", "--file", str(file))

    lines = file.read_text().split()
    assert file.stat().st_mode & 0o777 == 0o600
    assert {key.secret() for key in ApiKey.objects.all()} == set(lines)
    assert {account.burst_limit for account in Account.objects.all()} == {10**9}


def test_seed_calls_makes_calls_of_the_last_days_counted_like_any_other() -> None:
    busiest, _ = (ApiKeyFactory.create() for _ in range(2))

    answer = facts("seed_calls", "500", "--days", "2")

    now = timezone.now()
    of_busiest = Call.objects.filter(account_id=busiest.account_id)
    by_caller = CallsByCaller.objects.filter(account_id=busiest.account_id)
    days = DailyUsage.objects.filter(account_id=busiest.account_id)
    assert answer == {"calls": 500, "days": 2}
    assert Call.objects.filter(at__range=(now - timedelta(days=2, minutes=1), now)).count() == 500
    assert of_busiest.count() > 250
    assert by_caller.aggregate(all=Sum("calls"))["all"] == of_busiest.count()
    assert days.aggregate(all=Sum("calls"))["all"] == of_busiest.filter(reason="").count()
    assert AuditEntry.objects.get().action == Action.CALLS_SEEDED


def test_seed_calls_needs_an_account_with_a_key_and_makes_none_that_are_too_old() -> None:
    with pytest.raises(CommandError, match="No account has a key"):
        run("seed_calls", "5")
    with pytest.raises(CommandError, match="cannot be more"):
        run("seed_calls", "5", "--days", "8")

    assert not Call.objects.exists()


def test_prune_calls_is_an_entry_of_the_shells_operator() -> None:
    CallFactory.create(at=timezone.now() - timedelta(days=8))

    answer = facts("prune_calls")

    entry = AuditEntry.objects.get()
    assert answer == {"removed": 1}
    assert (entry.action, entry.actor_name, entry.account_id) == (Action.CALLS_PRUNED, "operator (shell)", None)
    assert entry.details["removed"] == 1


def test_prune_calls_deletes_no_young_call_by_an_instant_that_lies_ahead() -> None:
    CallFactory.create()
    ahead = timezone.now() + timedelta(days=30)

    with pytest.raises(CommandError, match="lies ahead") as refused:
        run("prune_calls", "--now", ahead.isoformat())

    assert refused.value.returncode == 2
    assert Call.objects.count() == 1
    assert not AuditEntry.objects.exists()


@pytest.mark.once("wrong usage ends before the database is asked")
def test_a_benchmark_that_there_is_not_is_wrong_usage() -> None:
    answer = subprocess.run([sys.executable, "-m", "benchmarks", "nosuch"], capture_output=True, text=True, check=False)

    assert answer.returncode == 2
    assert "There is no benchmark 'nosuch'" in answer.stderr


def test_single_sign_on_disconnect_forgets_whom_the_provider_knows_them_as(settings: Settings) -> None:
    settings.OIDC_NAME = "Example Corp"
    user = SuperAdminFactory.create().user
    SocialAccount.objects.create(user=user, provider="https://login.example.com", uid="1")

    answer = facts("single_sign_on", "disconnect", user.email.upper())

    assert answer == {"email": user.email}
    assert not SocialAccount.objects.exists()
    entry = AuditEntry.objects.get(action=Action.PROVIDER_DISCONNECTED)
    assert (entry.actor_name, entry.target_name) == ("operator (shell)", user.name)


def test_single_sign_on_disconnect_refuses_who_is_not_connected_and_who_is_nobody() -> None:
    user = SuperAdminFactory.create().user

    for email, why in ((user.email, "is not connected"), ("nobody@acme.example", "Nobody signs in")):
        with pytest.raises(CommandError, match=why):
            run("single_sign_on", "disconnect", email)


@pytest.mark.django_db(transaction=True)
def test_second_factor_remove_takes_all_of_them_away_and_says_by_whom() -> None:
    member = SuperAdminFactory.create()
    add_app(member.user)

    answer = facts("second_factor", "remove", member.user.email.upper())

    entry = AuditEntry.objects.get(action=Action.SECOND_FACTOR_REMOVED)
    assert answer == {"email": member.user.email, "removed": ["recovery_codes", "totp"]}
    assert not second_factors.has_one(member.user)
    assert (entry.account_id, entry.actor_name, entry.target_name) == (
        member.account_id,
        "operator (shell)",
        member.user.name,
    )


def test_second_factor_remove_refuses_who_has_none_and_who_is_nobody() -> None:
    member = SuperAdminFactory.create()

    for email in (member.user.email, "nobody@acme.example"):
        with pytest.raises(CommandError):
            run("second_factor", "remove", email)
