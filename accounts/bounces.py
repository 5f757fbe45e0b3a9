"""Addresses at which mails do not arrive: noted once, told to those who can do something about it, until one arrives.

The members page shows it of members and of the role mailbox. A super admin's and the mailbox's also the account's other
super admins are told, by a notice and a mail; operators, once a mail reaches no super admin of an account any more.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from accounts import notices, outbox
from accounts.models import Account, BouncedAddress, Member, Notice, RoleMailbox, User
from accounts.permissions import Role
from auditlog import journal
from auditlog.actions import Action
from auditlog.journal import Actor
from auditlog.shapes import mask

MAIL = "accounts.mail_bounced"
NOBODY_REACHED_MAIL = "accounts.nobody_reached"
Kind = BouncedAddress.Kind


@dataclass(frozen=True, slots=True)
class _MailServer:
    """Who says that a mail came back, or arrived."""

    actor: Actor


MAIL_SERVER = _MailServer(Actor(kind="system", name="mail server"))


@transaction.atomic
def note(*, email: str, kind: BouncedAddress.Kind, why: str, now: datetime) -> None:
    """Remember that mails to an address do not arrive. Of nobody's address, or said again, it changes nothing."""
    members, mailboxes = list(_members(email)), list(_mailboxes(email))
    if not members and not mailboxes:
        return
    why = mask(why)[:200]
    bounced, new = BouncedAddress.objects.get_or_create(
        email=email.lower(), defaults={"kind": kind, "why": why, "since": now}
    )
    if not new:
        # What was refused while it was sent is disproved by a mail that is taken; what came back later is not.
        BouncedAddress.objects.filter(pk=bounced.pk, kind=Kind.REFUSED).update(kind=kind, why=why)
        return
    for member in members:
        journal.record(Action.MEMBER_MAIL_BOUNCED, of=member.account, by=MAIL_SERVER, target=member, at=now, reason=why)
        _tell(bounced, member, now=now)
    for mailbox in mailboxes:
        bounces = Action.ACCOUNT_MAILBOX_BOUNCED
        journal.record(bounces, of=mailbox.account, by=MAIL_SERVER, target=mailbox, at=now, reason=why)
        _tell_super_admins(bounced, mailbox.account, now=now)


def note_delivery(
    *, email: str, at: datetime, now: datetime, disproves: Collection[BouncedAddress.Kind] = tuple(Kind)
) -> None:
    """Forget that mails did not arrive at an address, since one did, unless it did so before."""
    disproved = BouncedAddress.objects.of(email).filter(since__lte=at, kind__in=disproves)
    if disproved.exists():  # hardly ever: nearly every mail arrives
        _note_delivery(disproved, email=email, now=now)


@transaction.atomic
def _note_delivery(disproved: QuerySet[BouncedAddress], *, email: str, now: datetime) -> None:
    bounced = disproved.select_for_update().first()
    if bounced is not None:
        for member in _members(email):
            journal.record(Action.MEMBER_MAIL_ARRIVED, of=member.account, by=MAIL_SERVER, target=member, at=now)
        _forget(bounced, now=now)


@transaction.atomic
def forget(*, email: str, now: datetime) -> None:
    """Forget an address that its person or account gives up."""
    bounced = BouncedAddress.objects.of(email).select_for_update().first()
    if bounced is not None:
        _forget(bounced, now=now)


def unreached() -> QuerySet[Account]:
    """Open accounts in which a mail reaches no super admin."""
    admins = Member.objects.active().filter(role=Role.SUPER_ADMIN)
    bounced = BouncedAddress.objects.addresses()
    some_bounce = admins.filter(user__email__in=bounced).values("account")
    reached = admins.filter(account__in=some_bounce).exclude(user__email__in=bounced).values("account")
    return Account.objects.filter(state=Account.State.OPEN, pk__in=some_bounce).exclude(pk__in=reached)


def tell_operators(account: Account, *, about: str, now: datetime) -> None:
    """Owe each operator a mail that nobody of the account is reached.

    :param about: what makes two such mails of one account the same.
    """
    operators = User.objects.operators().values_list("email", flat=True)
    mails = [outbox.Owed(NOBODY_REACHED_MAIL, about=f"{account.pk}:{about}", to=email) for email in operators]
    outbox.add_all(mails, now=now, due_at=now)


def of_addresses(emails: Iterable[str]) -> dict[str, BouncedAddress]:
    """Those of these addresses at which mails do not arrive."""
    return {one.email: one for one in BouncedAddress.objects.filter(email__in=list(emails))}


def _tell(bounced: BouncedAddress, member: Member, *, now: datetime) -> None:
    """Behind the bell of who has the address, too: the portal is where they still read something."""
    _notice(bounced, member.account, [member.user_id], now=now)
    if member.role == Role.SUPER_ADMIN:
        _tell_super_admins(bounced, member.account, now=now)


def _tell_super_admins(bounced: BouncedAddress, account: Account, *, now: datetime) -> None:
    others = list(account.super_admins().exclude(user__email=bounced.email))
    _notice(bounced, account, [one.user_id for one in others], now=now)
    mails = [outbox.Owed(MAIL, about=f"{bounced.pk}:{account.pk}", to=one.user.email) for one in others]
    outbox.add_all(mails, now=now, due_at=now)
    if unreached().filter(pk=account.pk).exists():
        tell_operators(account, about=_about(bounced), now=now)


def _notice(bounced: BouncedAddress, account: Account, people: list[int], *, now: datetime) -> None:
    event, about = f"{account.pk}:{bounced.pk}", _about(bounced)
    kind = Notice.Kind.MAIL_BOUNCED
    notices.tell(people, kind=kind, event=event, about=about, account=account, now=now, email=bounced.email)


def _forget(bounced: BouncedAddress, *, now: datetime) -> None:
    accounts = {one.account for one in _members(bounced.email)} | {one.account for one in _mailboxes(bounced.email)}
    for account in accounts:
        notices.is_over(account=account, about=_about(bounced), now=now)
    bounced.delete()


def _about(bounced: BouncedAddress) -> str:
    """How notices name it."""
    return f"bounce:{bounced.pk}"


def _members(email: str) -> QuerySet[Member]:
    return Member.objects.active().filter(user__email=email.lower()).select_related("account", "user").order_by("pk")


def _mailboxes(email: str) -> QuerySet[RoleMailbox]:
    confirmed = RoleMailbox.objects.filter(email=email.lower(), confirmed_at__isnull=False)
    return confirmed.select_related("account").order_by("pk")
