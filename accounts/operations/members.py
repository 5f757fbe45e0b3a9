"""People's places in accounts: given, changed, ended. An account always keeps an active super admin (G12)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import second_factors
from accounts.actors import By
from accounts.models import Account, Member, User
from accounts.permissions import Permission, Role
from auditlog import journal
from auditlog.actions import Action


class PeopleError(Exception):
    """Why nobody's place was changed, in words for whoever asked."""


class NotAMemberError(PeopleError):
    """They have left, or been removed."""


class AlreadyMemberError(PeopleError):
    """They have a place in the account."""


class NotAllowedError(PeopleError):
    """Who asks may not do it, or may not any more."""


class LastSuperAdminError(PeopleError):
    """The account would be left without an active super admin (G12)."""


@transaction.atomic
def join(*, account: Account, user: User, role: Role, by: By | None, now: datetime, **details: Any) -> Member:
    """Give a person a place in the account.

    :param by: who added them; None: they came on their own, by invitation.
    """
    if role == Role.SUPER_ADMIN:
        second_factors.expect(user, now=now)
    member = Member.objects.create(account=account, user=user, role=role, joined_at=now)
    journal.record(Action.MEMBER_JOINED, of=account, by=by or member, target=member, at=now, **details)
    return member


@transaction.atomic
def add_member(*, account: Account, email: str, role: Role, by: By, now: datetime) -> Member:
    """Give a place without an invitation; to somebody whose address is not known yet as to a new person.

    :raises PeopleError: if they have one, may not sign in, or if `by` may not.
    :raises django.core.exceptions.ValidationError: for what is not an e-mail address.
    """
    account.lock()
    require_manager(by, account=account)
    user = User.objects.find_or_make(email)
    if not user.is_active:
        raise PeopleError(_("%(email)s may not sign in.") % {"email": user.email})
    if account.members.active().filter(user=user).exists():
        raise AlreadyMemberError(_("%(email)s is a member of this account already.") % {"email": user.email})
    return join(account=account, user=user, role=role, by=by, now=now)


def change_role(*, member: Member, role: Role, by: By, now: datetime) -> Member:
    """Give a member another role, from their next request on.

    :raises PeopleError: if they have left, if `by` may not, or if no super admin would remain.
    """
    with refusal_is_entry(Action.MEMBER_ROLE_CHANGED, target=member, by=by, at=now), transaction.atomic():
        current = _alone_with(member)
        require_manager(by, account=current.account)
        before = current.role
        if role == before:
            return current
        if before == Role.SUPER_ADMIN:
            _require_another_super_admin(current)
        if role == Role.SUPER_ADMIN:
            second_factors.expect(current.user, now=now)
        current.role = role
        current.save(update_fields=["role"])
        changed = Action.MEMBER_ROLE_CHANGED
        journal.record(changed, of=current.account, by=by, target=current, at=now, previous_role=before)
        return current


def remove(*, member: Member, by: By, now: datetime) -> None:
    """End a member's place in the account, from their next request on.

    :raises PeopleError: if they have left, if `by` may not, or if no super admin would remain.
    """
    with refusal_is_entry(Action.MEMBER_REMOVED, target=member, by=by, at=now), transaction.atomic():
        current = _alone_with(member)
        require_manager(by, account=current.account)
        _end(current, by=by, action=Action.MEMBER_REMOVED, now=now)


def leave(*, member: Member, now: datetime) -> None:
    """Give up one's own place in the account.

    :raises PeopleError: if it has ended already, or if no super admin would remain.
    """
    with refusal_is_entry(Action.MEMBER_LEFT, target=member, by=member, at=now), transaction.atomic():
        current = _alone_with(member)
        _end(current, by=current, action=Action.MEMBER_LEFT, now=now)


class InAnAccount(journal.HasTarget, Protocol):
    """A member, an invitation."""

    account: Account


@contextmanager
def refusal_is_entry(action: Action, *, target: InAnAccount, by: By, at: datetime) -> Iterator[None]:
    """Write an attempt that fails into the log, after its own transaction was undone."""
    try:
        yield
    except PeopleError as refusal:
        journal.record_refusal(action, of=target.account, by=by, target=target, reason=str(refusal), at=at)
        raise


def require_manager(by: By, *, account: Account, to: Permission = Permission.MANAGE_MEMBERS) -> None:
    """Ask the store, with the account locked, whether `by` may still manage its members, or what else is named.

    :raises NotAllowedError: if not: somebody else may have been faster.
    """
    if not isinstance(by, Member):
        return
    current = account.members.active().filter(pk=by.pk).first()
    if current is None or not current.may(to):
        raise NotAllowedError(_("Only super admins of this account can do this. You are none any more."))


def _alone_with(member: Member) -> Member:
    """The member as they are now, with the account locked: nobody else changes its people until commit.

    :raises NotAMemberError: if they have left.
    """
    member.account.lock()
    current = Member.objects.active().select_related("account", "user").filter(pk=member.pk).first()
    if current is None:
        raise NotAMemberError(_("%(person)s is no member of this account any more.") % {"person": member})
    return current


def _end(current: Member, *, by: By, action: Action, now: datetime) -> None:
    if current.role == Role.SUPER_ADMIN:
        _require_another_super_admin(current)
    current.leave(at=max(now, current.joined_at))
    journal.record(action, of=current.account, by=by, target=current, at=now)


def _require_another_super_admin(member: Member) -> None:
    if not member.account.super_admins().exclude(pk=member.pk).exists():
        raise LastSuperAdminError(
            _("%(person)s is the only super admin of this account. Make somebody else super admin first.")
            % {"person": member}
        )
