"""The account API key's life: create, show, rotate, deactivate (G2, G3)."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.actors import SHELL
from accounts.models import Change, Member
from accounts.permissions import Role
from accounts.sealing import UnsealError
from apikeys.models import ApiKey
from apikeys.operations import api_keys
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import NOW, AccountFactory, ApiKeyFactory, SuperAdminFactory

pytestmark = pytest.mark.django_db


def test_creating_issues_generation_one_and_says_so() -> None:
    admin = SuperAdminFactory.create()

    issued = api_keys.create_api_key(account=admin.account, by=admin, now=NOW)

    assert issued.key.generation == 1
    assert issued.key.last4 == issued.secret[-4:]
    assert issued.key.secret() == issued.secret
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_email, entry.at) == (Action.API_KEY_CREATED, admin.user.email, NOW)
    assert Change.objects.get().account_id == admin.account.pk


def test_an_account_with_a_key_gets_no_second_one() -> None:
    admin = SuperAdminFactory.create()
    key = ApiKeyFactory.create(account=admin.account, created_by=admin)

    with pytest.raises(api_keys.KeyExistsError):
        api_keys.create_api_key(account=key.account, by=admin, now=NOW)


def test_rotating_ends_the_old_generation_and_issues_the_next() -> None:
    admin = SuperAdminFactory.create()
    old = ApiKeyFactory.create(account=admin.account, created_by=admin)
    later = NOW + timedelta(days=3)

    issued = api_keys.rotate_api_key(account=old.account, generation=1, by=admin, now=later)

    old.refresh_from_db()
    assert (old.end, old.deactivated_at, old.deactivated_by) == ("rotated", later, admin)
    assert issued.key.generation == 2
    assert old.account.api_keys.active().get() == issued.key


def test_rotating_an_ended_generation_says_who_was_first() -> None:
    admin = SuperAdminFactory.create()
    old = ApiKeyFactory.create(account=admin.account, created_by=admin)
    api_keys.rotate_api_key(account=old.account, generation=1, by=admin, now=NOW)

    with pytest.raises(
        api_keys.KeyNotCurrentError, match=f"by .*{admin.user.email}. on Monday, May 4, 2026, 9:30:00 AM UTC"
    ):
        api_keys.rotate_api_key(account=old.account, generation=1, by=admin, now=NOW)


@pytest.mark.parametrize(
    ("attempt", "action"),
    [
        (lambda key: api_keys.create_api_key(account=key.account, by=SHELL, now=NOW), Action.API_KEY_CREATED),
        (
            lambda key: api_keys.rotate_api_key(account=key.account, generation=7, by=SHELL, now=NOW),
            Action.API_KEY_ROTATED,
        ),
        (
            lambda key: api_keys.deactivate_api_key(account=key.account, generation=7, by=SHELL, now=NOW),
            Action.API_KEY_DEACTIVATED,
        ),
    ],
)
def test_an_attempt_that_is_refused_changes_nothing_and_is_an_entry(
    attempt: Callable[[ApiKey], object], action: Action
) -> None:
    key = ApiKeyFactory.create()

    with pytest.raises(api_keys.RefusedError) as refusal:
        attempt(key)

    entry = AuditEntry.objects.get()
    assert (entry.action, entry.outcome, entry.reason) == (action, Outcome.REFUSED, str(refusal.value))
    assert not Change.objects.exists()


def test_a_showing_without_a_key_and_one_that_cannot_be_opened_are_refused_in_the_log() -> None:
    account = AccountFactory.create()
    key = ApiKeyFactory.create()
    ApiKey.objects.update(sealed_with="lost-key")

    with pytest.raises(api_keys.NoKeyError):
        api_keys.show_api_key(account=account, by=SHELL, now=NOW)
    with pytest.raises(UnsealError):
        api_keys.show_api_key(account=key.account, by=SHELL, now=NOW)

    refused = AuditEntry.objects.filter(action=Action.API_KEY_VIEWED, outcome=Outcome.REFUSED)
    assert set(refused.values_list("account_id", flat=True)) == {account.pk, key.account_id}


@pytest.mark.parametrize("loses", ["the role", "the place"])
def test_who_lost_the_role_or_left_while_waiting_for_the_lock_changes_nothing(loses: str) -> None:
    admin = SuperAdminFactory.create()
    key = ApiKeyFactory.create(account=admin.account, created_by=admin)
    if loses == "the role":
        Member.objects.filter(pk=admin.pk).update(role=Role.MEMBER)  # `admin` still holds what was read before
    else:
        Member.objects.get(pk=admin.pk).leave(at=NOW)

    with pytest.raises(api_keys.MayNotError):
        api_keys.rotate_api_key(account=key.account, generation=1, by=admin, now=NOW)

    assert key.account.api_keys.active().get() == key
    assert AuditEntry.objects.get().outcome == Outcome.REFUSED


@pytest.mark.django_db(transaction=True)
def test_a_key_has_settled_only_after_the_wait_for_the_lock_and_for_the_gates() -> None:
    admin = SuperAdminFactory.create()
    old = ApiKeyFactory.create(account=admin.account, created_by=admin)

    def rotate() -> None:
        api_keys.rotate_api_key(account=old.account, generation=1, by=admin, now=timezone.now())
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            old.account.lock()
            rotating = pool.submit(rotate)
            time.sleep(0.2)
            still_held_at = timezone.now()
        rotating.result()

    old.refresh_from_db()
    assert old.settled_at is not None
    assert old.settled_at > still_held_at


def test_after_the_clock_was_set_back_a_key_can_be_rotated_and_deactivated() -> None:
    admin = SuperAdminFactory.create()
    ApiKeyFactory.create(account=admin.account, created_by=admin, created_at=NOW)
    earlier = NOW - timedelta(minutes=5)

    api_keys.rotate_api_key(account=admin.account, generation=1, by=admin, now=earlier)
    api_keys.deactivate_api_key(account=admin.account, generation=2, by=admin, now=earlier - timedelta(minutes=5))

    assert list(admin.account.api_keys.values_list("deactivated_at", flat=True).order_by("generation")) == [
        NOW,
        earlier,
    ]
    assert set(AuditEntry.objects.values_list("at", flat=True)) == {earlier, earlier - timedelta(minutes=5)}


def test_a_secret_is_not_given_out_where_its_entry_could_still_be_rolled_back() -> None:
    admin = SuperAdminFactory.create()
    key = ApiKeyFactory.create(account=admin.account, created_by=admin)

    with pytest.raises(RuntimeError, match="durable"), transaction.atomic(), transaction.atomic():
        api_keys.show_api_key(account=key.account, by=admin, now=NOW)

    assert not AuditEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_64_parallel_rotations_of_one_generation_one_wins() -> None:
    admin = SuperAdminFactory.create()
    key = ApiKeyFactory.create(account=admin.account, created_by=admin)

    def rotate(_: int) -> str:
        try:
            api_keys.rotate_api_key(account=key.account, generation=1, by=admin, now=NOW)
        except api_keys.KeyNotCurrentError as refusal:
            return str(refusal)
        finally:
            connection.close()
        return "rotated"

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(rotate, range(64)))

    assert answers.count("rotated") == 1
    assert sum(f"was rotated away by {admin}" in answer for answer in answers) == 63
    assert AuditEntry.objects.filter(outcome=Outcome.REFUSED).count() == 63
    assert list(key.account.api_keys.active().values_list("generation", flat=True)) == [2]
