"""Operators switch a person's sign-in off, at once and everywhere, and on again; no account is left alone (G12)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import operations, operators, standing
from accounts.actors import SHELL
from accounts.models import Member, User
from accounts.permissions import Role
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import NOW, PASSWORD, AccountFactory, MemberFactory, SuperAdminFactory, UserFactory
from tests.visitors import path, signed_in

pytestmark = pytest.mark.django_db

LOGIN = reverse("account_login")


@pytest.fixture
def operator() -> Client:
    client = Client()
    user = UserFactory.create(is_staff=True, email="olivia@portal.example", name="Olivia")
    client.post(LOGIN, {"login": user.email, "password": PASSWORD})
    return client


def _off(user: User) -> None:
    standing.deactivate(user=user, reason="Stolen laptop", by=SHELL, now=NOW)


def test_open_sessions_end_at_once_and_no_new_one_begins() -> None:
    member = MemberFactory.create()
    windows = [signed_in(member), signed_in(member)]
    page = path("accounts:members", member.account)

    _off(member.user)

    assert [window.get(page).status_code for window in windows] == [302, 302]
    assert not Session.objects.exists()
    again = Client()
    again.post(LOGIN, {"login": member.user.email, "password": PASSWORD})
    assert again.get(page).status_code == 302


def test_switched_on_again_they_sign_in_anew_and_find_their_places() -> None:
    member = MemberFactory.create(role=Role.AUDITOR)
    window = signed_in(member)
    page = path("auditlog:audit-log", member.account)
    _off(member.user)

    standing.reactivate(user=member.user, reason="Found", by=SHELL, now=NOW)

    assert window.get(page).status_code == 302
    assert signed_in(member).get(page).status_code == 200


def test_each_account_of_the_person_has_an_entry_with_the_reason() -> None:
    user = UserFactory.create()
    accounts = [MemberFactory.create(user=user).account.pk for _ in range(2)]

    _off(user)
    standing.reactivate(user=user, reason="Found", by=SHELL, now=NOW)

    entries = AuditEntry.objects.order_by("id").values_list(
        "account_id", "action", "reason", "actor_name", "target_name"
    )
    said = ("operator (shell)", user.name)
    assert sorted(entries) == sorted(
        [(account, Action.PERSON_DEACTIVATED, "Stolen laptop", *said) for account in accounts]
        + [(account, Action.PERSON_REACTIVATED, "Found", *said) for account in accounts]
    )


def test_of_a_member_of_no_account_the_entry_belongs_to_none() -> None:
    _off(UserFactory.create())

    assert AuditEntry.objects.get().account_id is None


def test_the_only_super_admin_of_an_account_stays_and_the_account_is_named() -> None:
    admin = SuperAdminFactory.create(account__name="Acme")
    elsewhere = SuperAdminFactory.create(user=admin.user)
    SuperAdminFactory.create(account=elsewhere.account)

    with pytest.raises(operations.LastSuperAdminError, match="only super admin of: Acme"):
        _off(admin.user)

    assert User.objects.get(pk=admin.user.pk).is_active


def test_the_last_operator_stays() -> None:
    with pytest.raises(operators.LastOperatorError):
        _off(UserFactory.create(is_staff=True))


@pytest.mark.parametrize(("active", "run"), [(False, standing.deactivate), (True, standing.reactivate)])
def test_what_is_so_already_is_refused(active: bool, run: standing.ChangesStanding) -> None:  # noqa: FBT001 -- pytest passes it
    user = UserFactory.create(is_active=active)

    with pytest.raises(standing.StandingError):
        run(user=user, reason="Because", by=SHELL, now=NOW)

    assert not AuditEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_20_super_admins_who_are_switched_off_or_demoted_at_once_leave_one() -> None:
    account = AccountFactory.create()
    admins = SuperAdminFactory.create_batch(20, account=account)

    def end(number: int) -> None:
        try:
            if number % 2:
                standing.deactivate(user=admins[number].user, reason="x", by=SHELL, now=timezone.now())
            else:
                operations.change_role(member=admins[number], role=Role.MEMBER, by=SHELL, now=timezone.now())
        except operations.LastSuperAdminError:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(end, range(20)))

    assert account.super_admins().count() == 1


@pytest.mark.django_db(transaction=True)
def test_operators_who_are_all_switched_off_at_once_leave_one() -> None:
    operators_there = UserFactory.create_batch(8, is_staff=True)

    def off(user: User) -> None:
        try:
            _off(user)
        except operators.LastOperatorError:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(off, operators_there))

    assert User.objects.operators().count() == 1


def test_an_operator_switches_a_sign_in_off_and_on_in_the_admin(operator: Client) -> None:
    member = MemberFactory.create()
    pages = [reverse(f"admin:accounts_user_{verb}", args=[member.user.pk]) for verb in ("deactivate", "reactivate")]

    asked = operator.get(pages[0])
    without = operator.post(pages[0], {"reason": " "})
    operator.post(pages[0], {"reason": "Stolen laptop"})
    off = User.objects.get(pk=member.user.pk).is_active
    operator.post(pages[1], {"reason": "Found"})

    assert (asked.status_code, without.status_code) == (200, 400)
    assert (off, User.objects.get(pk=member.user.pk).is_active) == (False, True)
    entry = AuditEntry.objects.get(action=Action.PERSON_DEACTIVATED)
    assert (entry.actor_name, entry.account_id, entry.reason) == ("Olivia", member.account_id, "Stolen laptop")


def test_the_admin_says_why_the_only_super_admin_stays(operator: Client) -> None:
    admin = SuperAdminFactory.create()

    answer = operator.post(reverse("admin:accounts_user_deactivate", args=[admin.user.pk]), {"reason": "Gone"})

    assert answer.status_code == 400
    assert b"is the only super admin of" in answer.content
    assert Member.objects.active().get(pk=admin.pk).is_active
