"""The role mailbox of an account: named by a super admin, confirmed by who reads it, from then on sent every reminder.

Until it is confirmed it gets one mail each time it is named, and nothing else. The link is worked out when that mail is
written; the store holds nothing that makes one.
"""

from datetime import datetime

from django.core import signing
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import bounces, outbox, site
from accounts.actors import By, Person, as_member
from accounts.models import Account, RoleMailbox, User
from accounts.operations import PeopleError, refusal_is_entry, require_manager
from accounts.permissions import Permission
from auditlog import journal
from auditlog.actions import Action

MAIL = "accounts.confirm_role_mailbox"
_SALT = "accounts.role_mailbox"


class ConfirmedAlreadyError(PeopleError):
    """The account's reminders go to this mailbox already."""


class VoidError(PeopleError):
    """Nobody can confirm the mailbox any more: too late, or named by somebody who may not any more."""


class GoneError(PeopleError):
    """The mailbox was removed, or another one took its place."""


def name(*, account: Account, email: str, by: By, now: datetime) -> RoleMailbox:
    """Ask an address whether the account's reminders may go there. A confirmed one keeps getting them until then.

    :param email: as `accounts.addresses.parse` gave it.
    :raises PeopleError: if `by` may not, or if it is confirmed already.
    """
    mailbox = RoleMailbox(account=account, email=email.lower(), named_by=as_member(by), named_at=now)
    with refusal_is_entry(Action.ACCOUNT_MAILBOX_NAMED, target=mailbox, by=by, at=now), transaction.atomic():
        account.lock()
        require_manager(by, account=account, to=Permission.MANAGE_ROLE_MAILBOX)
        if confirmed(account) == mailbox.email:
            raise ConfirmedAlreadyError(_("%(email)s gets the reminders already.") % {"email": mailbox.email})
        account.role_mailboxes.filter(confirmed_at__isnull=True).delete()
        mailbox.save()
        journal.record(Action.ACCOUNT_MAILBOX_NAMED, of=account, by=by, target=mailbox, at=now)
        outbox.add(MAIL, about=mailbox.pk, to=mailbox.email, now=now)
    return mailbox


@transaction.atomic
def confirm(*, mailbox: RoleMailbox, user: User | None, now: datetime) -> None:
    """Let the reminders go to a mailbox, whose link somebody opened; the one before it gets none any more.

    :param user: who is signed in there, if anybody is.
    :raises GoneError: if it waits no more.
    :raises VoidError: if nobody can confirm it any more.
    """
    account = mailbox.account
    account.lock()
    asked = account.role_mailboxes.filter(pk=mailbox.pk, confirmed_at__isnull=True)
    current = asked.select_related("named_by__user").first()
    if current is None:
        raise GoneError(_("This mailbox was confirmed already, or removed again."))
    why = why_void(current, now=now)
    if why:
        raise VoidError(why)
    for before in account.role_mailboxes.exclude(pk=current.pk):
        _give_up(before, now=now)
    current.confirmed_at = now
    current.save(update_fields=["confirmed_at"])
    journal.record(Action.ACCOUNT_MAILBOX_CONFIRMED, of=account, by=Person(user), target=current, at=now)


def remove(*, mailbox: RoleMailbox, by: By, now: datetime) -> None:
    """Send no reminder to it any more, or ask it no more.

    :raises PeopleError: if `by` may not, or if it is gone.
    """
    with refusal_is_entry(Action.ACCOUNT_MAILBOX_REMOVED, target=mailbox, by=by, at=now), transaction.atomic():
        mailbox.account.lock()
        require_manager(by, account=mailbox.account, to=Permission.MANAGE_ROLE_MAILBOX)
        if not RoleMailbox.objects.filter(pk=mailbox.pk).exists():
            raise GoneError(_("%(email)s was removed already.") % {"email": mailbox.email})
        _give_up(mailbox, now=now)
        journal.record(Action.ACCOUNT_MAILBOX_REMOVED, of=mailbox.account, by=by, target=mailbox, at=now)


def _give_up(mailbox: RoleMailbox, *, now: datetime) -> None:
    if not User.objects.filter(email=mailbox.email).exists():
        bounces.forget(email=mailbox.email, now=now)
    RoleMailbox.objects.filter(pk=mailbox.pk).delete()


def confirmed(account: Account) -> str | None:
    """The address that gets the account's reminders, beside its people."""
    return account.role_mailboxes.filter(confirmed_at__isnull=False).values_list("email", flat=True).first()


def waiting(account: Account) -> str | None:
    """The address that was asked, and has not confirmed yet."""
    return account.role_mailboxes.filter(confirmed_at__isnull=True).values_list("email", flat=True).first()


def link_of(mailbox: RoleMailbox) -> str:
    token = signing.dumps([mailbox.pk, mailbox.email], salt=_SALT)
    return site.link_to("role-mailbox-confirm", token)


def found_by(token: str, *, now: datetime) -> RoleMailbox | None:
    """The mailbox that a link confirms; None where it is over: used, removed, or void."""
    try:
        pk, email = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    asked = RoleMailbox.objects.filter(pk=pk, email=email, confirmed_at__isnull=True)
    mailbox = asked.select_related("account", "named_by__user").first()
    return None if mailbox is None or why_void(mailbox, now=now) else mailbox


def why_void(mailbox: RoleMailbox, *, now: datetime) -> str:
    """Why nobody can confirm one that waits, in words; empty: they can."""
    if mailbox.is_expired(now=now):
        return _("Nobody confirmed it: the link was good for 7 days, and they are over.")
    namer = mailbox.named_by
    if namer is not None and not (namer.is_active and namer.may(Permission.MANAGE_ROLE_MAILBOX)):
        return _("Who named it may not any more, so its link confirms nothing.")
    return ""
