"""Roles change, people are removed and leave; an account always has an active super admin (G12)."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import pytest
from django.db import connection
from django.utils import timezone

from accounts import operations
from accounts.actors import SHELL
from accounts.models import Account, Member
from accounts.permissions import Role, may_hand_on
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import NOW, AccountFactory, MemberFactory, SuperAdminFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_a_super_admin_changes_a_members_role() -> None:
    admin = SuperAdminFactory.create()
    member = MemberFactory.create(account=admin.account)

    operations.change_role(member=member, role=Role.AUDITOR, by=admin, now=NOW)

    member.refresh_from_db()
    assert member.role == Role.AUDITOR
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_email, entry.at) == (Action.MEMBER_ROLE_CHANGED, admin.user.email, NOW)
    assert entry.details == {"role": "auditor", "previous_role": "member"}


def test_the_role_that_somebody_has_already_is_no_change() -> None:
    admin = SuperAdminFactory.create()

    operations.change_role(member=admin, role=Role.SUPER_ADMIN, by=admin, now=NOW)

    assert not AuditEntry.objects.exists()


def test_a_removed_member_keeps_their_name_in_the_log_and_loses_their_place() -> None:
    admin = SuperAdminFactory.create()
    member = MemberFactory.create(account=admin.account, joined_at=NOW)

    operations.remove(member=member, by=admin, now=NOW)

    assert list(admin.account.members.active()) == [admin]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target_name) == (Action.MEMBER_REMOVED, str(member))


def test_a_member_leaves_on_their_own() -> None:
    member = MemberFactory.create(joined_at=NOW)

    operations.leave(member=member, now=NOW)

    assert not member.account.members.active().exists()
    assert AuditEntry.objects.get().action == Action.MEMBER_LEFT


def test_who_joined_by_a_clock_that_runs_ahead_can_leave() -> None:
    member = MemberFactory.create(joined_at=timezone.now())

    operations.leave(member=member, now=NOW)

    assert not member.account.members.active().exists()


def test_who_has_left_has_no_role_to_change() -> None:
    admin = SuperAdminFactory.create()
    member = MemberFactory.create(account=admin.account, joined_at=NOW)
    member.leave(at=NOW)

    with pytest.raises(operations.NotAMemberError):
        operations.change_role(member=member, role=Role.SUPER_ADMIN, by=admin, now=NOW)


def test_who_was_demoted_a_moment_ago_changes_nothing_any_more() -> None:
    admin, other = (SuperAdminFactory.create(account=account) for account in [AccountFactory.create()] * 2)
    Member.objects.filter(pk=admin.pk).update(role=Role.MEMBER)  # while `admin` still says otherwise

    with pytest.raises(operations.NotAllowedError):
        operations.change_role(member=other, role=Role.MEMBER, by=admin, now=NOW)
    with pytest.raises(operations.NotAllowedError):
        operations.remove(member=other, by=admin, now=NOW)

    refused = AuditEntry.objects.filter(outcome=Outcome.REFUSED, account_id=admin.account_id)
    assert set(refused.values_list("action", flat=True)) == {Action.MEMBER_ROLE_CHANGED, Action.MEMBER_REMOVED}


def test_a_super_admin_of_another_account_changes_nothing_here() -> None:
    member = MemberFactory.create()

    with pytest.raises(operations.NotAllowedError):
        operations.remove(member=member, by=SuperAdminFactory.create(), now=NOW)


def test_the_only_super_admin_stays() -> None:
    admin = SuperAdminFactory.create()
    MemberFactory.create(account=admin.account)

    with pytest.raises(operations.LastSuperAdminError, match="Make somebody else super admin first"):
        operations.leave(member=admin, now=NOW)
    with pytest.raises(operations.LastSuperAdminError):
        operations.remove(member=admin, by=SHELL, now=NOW)
    with pytest.raises(operations.LastSuperAdminError):
        operations.change_role(member=admin, role=Role.DEVELOPER, by=admin, now=NOW)

    assert list(admin.account.super_admins()) == [admin]
    entries = AuditEntry.objects.order_by("id")
    assert list(entries.values_list("action", "outcome", "actor_name", "target_name")) == [
        (Action.MEMBER_LEFT, Outcome.REFUSED, str(admin), str(admin)),
        (Action.MEMBER_REMOVED, Outcome.REFUSED, "operator (shell)", str(admin)),
        (Action.MEMBER_ROLE_CHANGED, Outcome.REFUSED, str(admin), str(admin)),
    ]
    assert "is the only super admin" in entries[0].reason


def test_a_super_admin_who_may_not_sign_in_is_none_to_rely_on() -> None:
    admin = SuperAdminFactory.create()
    SuperAdminFactory.create(account=admin.account, user=UserFactory.create(is_active=False))

    with pytest.raises(operations.LastSuperAdminError):
        operations.leave(member=admin, now=NOW)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["demote", "remove", "leave"])
def test_100_super_admins_who_end_each_other_at_once_leave_one(how: str) -> None:
    account = AccountFactory.create()
    admins = SuperAdminFactory.create_batch(100, account=account)

    def end(number: int) -> bool:
        one, other = admins[number], admins[number - 1]
        try:
            if how == "demote":
                operations.change_role(member=other, role=Role.MEMBER, by=one, now=timezone.now())
            elif how == "remove":
                operations.remove(member=other, by=one, now=timezone.now())
            else:
                operations.leave(member=one, now=timezone.now())
        except operations.PeopleError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(16) as pool:
        ended = sum(pool.map(end, range(100)))

    remaining = account.super_admins().count()
    assert remaining == 100 - ended
    assert remaining >= 1
    if how == "leave":
        assert remaining == 1


def test_without_the_rule_an_account_would_lose_its_last_super_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows that the tests above would find it."""
    admin = SuperAdminFactory.create()
    monkeypatch.setattr(operations.members, "_require_another_super_admin", lambda _member: None)

    operations.leave(member=admin, now=timezone.now())

    assert not admin.account.super_admins().exists()


@pytest.mark.django_db(transaction=True)
def test_100_mutual_demotions_at_once_leave_each_account_one_super_admin() -> None:
    pairs = [SuperAdminFactory.create_batch(2, account=AccountFactory.create()) for _ in range(50)]
    deeds = [deed for one, other in pairs for deed in ((one, other), (other, one))]

    def demote(deed: tuple[Member, Member]) -> None:
        by, member = deed
        try:
            operations.change_role(member=member, role=Role.MEMBER, by=by, now=timezone.now())
        except operations.NotAllowedError:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(demote, deeds))

    assert [one.account.super_admins().count() for one, _ in pairs] == [1] * 50


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("locks", [True, False])
def test_the_accounts_lock_is_what_keeps_two_who_demote_each_other_from_both_succeeding(
    monkeypatch: pytest.MonkeyPatch,
    locks: bool,  # noqa: FBT001 -- pytest passes it
) -> None:
    """Both look whether another super admin remains, before either writes: as far as the lock lets them."""
    pair = SuperAdminFactory.create_batch(2, account=AccountFactory.create())
    require = operations.members._require_another_super_admin  # noqa: SLF001 -- slowed down below
    both_have_looked = Barrier(2)

    def look(member: Member) -> None:
        require(member)
        with suppress(BrokenBarrierError):
            both_have_looked.wait(timeout=0.5)

    def demote(number: int) -> None:
        with suppress(operations.PeopleError):
            operations.change_role(member=pair[number], role=Role.MEMBER, by=pair[1 - number], now=timezone.now())
        connection.close()

    monkeypatch.setattr(operations.members, "_require_another_super_admin", look)
    if not locks:
        monkeypatch.setattr(Account, "lock", lambda _account: None)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(demote, range(2)))

    # On SQLite a transaction is that lock by itself (BEGIN IMMEDIATE).
    holds = locks or connection.vendor == "sqlite"
    assert pair[0].account.super_admins().count() == (1 if holds else 0)


@pytest.mark.parametrize("own", Role)
@pytest.mark.parametrize("other", Role)
def test_nobody_hands_on_more_than_they_have(own: Role, other: Role) -> None:
    all_that_they_have = {
        Role.SUPER_ADMIN: set(Role),
        Role.AUDITOR: {Role.AUDITOR, Role.DEVELOPER, Role.MEMBER},
        Role.DEVELOPER: {Role.DEVELOPER, Role.MEMBER},
        Role.MEMBER: {Role.MEMBER},
    }

    assert may_hand_on(own, other) == (other in all_that_they_have[own])
