"""Groups of accounts: made by operators, and which accounts are in them. What counts for a group, others say."""

from collections.abc import Collection, Sequence
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import revisions
from accounts.actors import By, require_operator
from accounts.models import Account, AccountGroup, GroupedAccount
from auditlog import journal
from auditlog.actions import Action

MOST_ACCOUNTS = 1_000  # in one operation


class GroupError(Exception):
    """Nothing was changed; the text says why."""


def create_group(*, name: str, by: By, now: datetime) -> AccountGroup:
    """Make an empty group.

    :raises django.core.exceptions.ValidationError: for a name that is not valid, or taken.
    """
    group = AccountGroup(name=name, created_at=now)
    try:
        with transaction.atomic():
            require_operator(by)
            group.full_clean()
            group.save()
            journal.record(Action.GROUP_CREATED, of=None, by=by, target=group, at=now)
    except IntegrityError:  # somebody else took the name a moment ago
        group.full_clean()
        raise
    return group


def delete_group(*, group: AccountGroup, by: By, now: datetime) -> None:
    """Forget a group that holds no account.

    :raises GroupError: if it holds some, or something was announced for it, which keeps its name.
    """
    with transaction.atomic():
        require_operator(by)
        journal.record(Action.GROUP_DELETED, of=None, by=by, target=group, at=now)
        try:
            group.delete()
        except ProtectedError as kept:
            if any(isinstance(one, GroupedAccount) for one in kept.protected_objects):
                raise GroupError(_("Accounts are in this group. Take them out first.")) from kept
            raise GroupError(_("Something was announced for this group, and its history names it.")) from kept


def accounts_named(slugs: Collection[str]) -> list[Account]:
    """The accounts with these slugs.

    :raises django.core.exceptions.ValidationError: if one is unknown, or if they are too many for one operation.
    """
    if len(set(slugs)) > MOST_ACCOUNTS:
        raise ValidationError(_("At most %(most)s accounts at once.") % {"most": MOST_ACCOUNTS})
    found = list(Account.objects.filter(slug__in=[one for one in slugs if "\0" not in one]).order_by("pk"))
    unknown = sorted(set(slugs) - {account.slug for account in found})
    if unknown:
        message = ngettext("There is no account %(names)s.", "There are no accounts %(names)s.", len(unknown))
        raise ValidationError(message % {"names": ", ".join(f"“{one}”" for one in unknown)})
    return found


def group_of(account: Account) -> AccountGroup | None:
    place = GroupedAccount.objects.select_related("group").filter(account=account).first()
    return place.group if place else None


def move_accounts(*, accounts: Sequence[Account], group: AccountGroup | None, by: By, now: datetime) -> int:
    """Put accounts into a group, out of the one that they are in; into none for None. How many moved.

    Then settles (about a second, G1): what counts for the new group counts for every call that begins later.
    """
    with transaction.atomic(durable=True):
        require_operator(by)
        moved = [account for account in accounts if _move(account, group, by=by, now=now)]
        if moved:
            revisions.take(account=moved[0] if len(moved) == 1 else None, now=now)
    if moved:
        revisions.settle()
    return len(moved)


def _move(account: Account, group: AccountGroup | None, *, by: By, now: datetime) -> bool:
    account.lock()
    before = group_of(account)
    if before == group:
        return False
    if group is None:
        GroupedAccount.objects.filter(account=account).delete()
    else:
        GroupedAccount.objects.update_or_create(account=account, defaults={"group": group})
    journal.record(
        Action.ACCOUNT_GROUP_CHANGED,
        of=account,
        by=by,
        target=account,
        at=now,
        before=before.name if before else None,
        after=group.name if group else None,
    )
    return True
