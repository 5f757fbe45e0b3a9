"""Whether a person may sign in at all. Operators switch that off, and on again."""

from datetime import datetime
from typing import Protocol

from allauth.usersessions.models import UserSession
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.actors import By, require_operator
from accounts.models import Account, User
from accounts.operations import LastSuperAdminError, PeopleError, note
from accounts.operators import LastOperatorError
from auditlog.actions import Action


class ChangesStanding(Protocol):
    """One of `deactivate`, `reactivate`."""

    def __call__(self, *, user: User, reason: str, by: By, now: datetime) -> None: ...


class StandingError(PeopleError):
    """They may sign in already, or may not."""


@transaction.atomic
def deactivate(*, user: User, reason: str, by: By, now: datetime) -> None:
    """Let a person sign in no more, and end all of their sessions. Their places in accounts wait for them.

    :raises StandingError: if they may not already.
    :raises LastOperatorError: if nobody could look after the portal any more.
    :raises LastSuperAdminError: if an account would be left without an active super admin (G12).
    """
    locked = _lock_accounts_of(user)
    operators = list(User.objects.operators().order_by("pk").select_for_update())
    require_operator(by)
    current = _lock(user, in_accounts=locked)
    if not current.is_active:
        raise StandingError(_("%(email)s may not sign in already.") % {"email": current.email})
    if operators == [current]:
        raise LastOperatorError(_("%(email)s is the last operator. Add another one first.") % {"email": current.email})
    _require_other_super_admins(current)
    note(Action.PERSON_DEACTIVATED, user=current, by=by, now=now, reason=reason)
    current.is_active = False
    current.save(update_fields=["is_active"])
    for session in UserSession.objects.filter(user=current):
        session.end()


@transaction.atomic
def reactivate(*, user: User, reason: str, by: By, now: datetime) -> None:
    """Let a person sign in again.

    :raises StandingError: if they may already.
    """
    locked = _lock_accounts_of(user)
    require_operator(by)
    current = _lock(user, in_accounts=locked)
    if current.is_active:
        raise StandingError(_("%(email)s may sign in already.") % {"email": current.email})
    current.is_active = True
    current.save(update_fields=["is_active"])
    note(Action.PERSON_REACTIVATED, user=current, by=by, now=now, reason=reason)


def _lock_accounts_of(user: User) -> set[Account]:
    """Before any person: whoever changes an account's people locks in that order, too."""
    accounts = set(_accounts_of(user))
    for account in sorted(accounts, key=lambda one: one.pk):
        account.lock()
    return accounts


def _lock(user: User, *, in_accounts: set[Account]) -> User:
    """The person as they are now, whom nobody gives a place until commit.

    :raises PeopleError: if somebody did between the two locks.
    """
    current = User.objects.select_for_update().get(pk=user.pk)
    if set(_accounts_of(current)) - in_accounts:
        raise PeopleError(_("%(email)s came into another account just now. Try again.") % {"email": current.email})
    return current


def _accounts_of(user: User) -> list[Account]:
    return list(Account.objects.filter(members__user=user, members__left_at__isnull=True))


def _require_other_super_admins(user: User) -> None:
    alone = [
        account.name for account in _accounts_of(user) if [one.user_id for one in account.super_admins()] == [user.pk]
    ]
    if alone:
        raise LastSuperAdminError(
            _("%(email)s is the only super admin of: %(accounts)s. Make somebody else super admin first.")
            % {"email": user.email, "accounts": ", ".join(sorted(alone))}
        )
