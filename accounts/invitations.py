"""Places in an account, offered by mail: invite, send again, withdraw, accept.

The token of a link is worked out from the invitation's issue with SECRET_KEY: the mail can be written when its turn
comes, while the store holds a digest alone, from which nobody makes a link.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from accounts import notices, outbox, site
from accounts.actors import By, as_member
from accounts.models import Account, Invitation, Member, Notice, User
from accounts.operations import (
    AlreadyMemberError,
    NotAllowedError,
    PeopleError,
    join,
    prove_address,
    refusal_is_entry,
    require_manager,
)
from accounts.permissions import Permission, Role, may_hand_on
from auditlog import journal
from auditlog.actions import Action

LASTS = timedelta(days=7)
MOST_OPEN = 100  # in one account
PAUSE = timedelta(minutes=1)  # between two mails of one invitation
MAIL = "accounts.invitation"
_NOTICES_ABOUT = "invitation:"


class AlreadyInvitedError(PeopleError):
    """An invitation to this address waits already."""


class TooManyError(PeopleError):
    """More invitations than an account may have open, or mails than one address should get."""


class VoidError(PeopleError):
    """The invitation cannot be accepted: used, withdrawn, expired, or by somebody who may not invite any more."""


class NotForYouError(PeopleError):
    """The invitation is bound to another address."""


def token_of(issue: UUID) -> str:
    digest = salted_hmac("accounts.invitations", str(issue), algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def path_of(invitation: Invitation) -> str:
    return reverse("invitation", args=[token_of(invitation.issue)])


def link_of(invitation: Invitation) -> str:
    return site.link_to("invitation", token_of(invitation.issue))


def found_by(token: str) -> Invitation | None:
    return Invitation.objects.select_related("account", "invited_by__user").filter(token_digest=_digest(token)).first()


def offered_to(user: User, *, now: datetime) -> list[tuple[Invitation, str]]:
    """The places that a person could take now, each with the path of its link."""
    not_in = Account.objects.exclude(members__user=user, members__left_at__isnull=True)
    found = Invitation.objects.open().to(user.email).filter(account__in=not_in)
    open_ones = found.select_related("account", "invited_by__user").order_by("-sent_at")
    return [(one, path_of(one)) for one in open_ones if not why_void(one, now=now)]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An invitation that nobody has accepted, and why nobody can any more; empty: they still can."""

    invitation: Invitation
    void: str


def waiting(account: Account, *, now: datetime) -> list[Waiting]:
    """The account's open invitations, the newest first."""
    found = account.invitations.open().select_related("invited_by__user").order_by("-sent_at", "-pk")
    return [Waiting(one, why_void(one, now=now)) for one in found]


def invite(*, account: Account, email: str, role: Role, by: By, now: datetime) -> Invitation:
    """Offer a place to an address, by mail, and behind the bell of who signs in with it.

    :param email: as `accounts.addresses.parse` gave it.
    :raises PeopleError: if `by` may not, if they are in or invited already, or if too many invitations are open.
    """
    invitation = Invitation(account=account, email=email, role=role, created_at=now)
    with refusal_is_entry(Action.MEMBER_INVITED, target=invitation, by=by, at=now), transaction.atomic():
        account.lock()
        _require_right_to_give(role, by, account=account)
        _make_room(invitation, now=now)
        _issue(invitation, by=by, now=now)
        journal.record(Action.MEMBER_INVITED, of=account, by=by, target=invitation, at=now)
    return invitation


def _make_room(invitation: Invitation, *, now: datetime) -> None:
    """Put an expired invitation of the same address aside.

    :raises PeopleError: if they need none, or if there are too many.
    """
    account, email = invitation.account, invitation.email
    if account.members.active().filter(user__in=User.objects.with_address(email)).exists():
        raise AlreadyMemberError(_("%(email)s is a member of this account already.") % {"email": email})
    before = account.invitations.to(email).order_by("-sent_at").first()
    if before is not None and before.is_open:
        if not before.is_expired(now=now):
            raise AlreadyInvitedError(_("%(email)s is invited already. Send that invitation again.") % {"email": email})
        _withdraw(before, now=now)
    if before is not None:
        _require_pause(before, now=now)
    if account.invitations.open().count() >= MOST_OPEN:
        raise TooManyError(_("100 invitations wait already. Withdraw some that nobody needs any more."))


def send_again(*, invitation: Invitation, by: By, now: datetime) -> None:
    """Send a new link, good for another seven days; the old one works no longer.

    :raises PeopleError: if it has ended, if `by` may not, or if the last mail left only just now.
    """
    with refusal_is_entry(Action.MEMBER_INVITATION_RESENT, target=invitation, by=by, at=now), transaction.atomic():
        current = _alone_with(invitation)
        _require_right_to_give(Role(current.role), by, account=current.account)
        _require_open(current)
        _require_pause(current, now=now)
        _issue(current, by=by, now=now)
        journal.record(Action.MEMBER_INVITATION_RESENT, of=current.account, by=by, target=current, at=now)


def withdraw(*, invitation: Invitation, by: By, now: datetime) -> None:
    """Take an invitation back; its link works no longer.

    :raises PeopleError: if it has ended already, or if `by` may not.
    """
    with refusal_is_entry(Action.MEMBER_INVITATION_WITHDRAWN, target=invitation, by=by, at=now), transaction.atomic():
        current = _alone_with(invitation)
        require_manager(by, account=current.account)
        _require_open(current)
        _withdraw(current, now=now)
        journal.record(Action.MEMBER_INVITATION_WITHDRAWN, of=current.account, by=by, target=current, at=now)


@transaction.atomic
def accept(*, invitation: Invitation, user: User, now: datetime) -> Member:
    """Take the place that was offered.

    :raises PeopleError: if it is not offered (any more), or not to this person.
    """
    current = _alone_with(invitation)
    why = why_void(current, now=now)
    if why:
        raise VoidError(why)
    if user.email.casefold() != current.email.casefold():
        raise NotForYouError(_("This invitation is for %(email)s.") % {"email": current.email})
    if current.account.members.active().filter(user=user).exists():
        raise AlreadyMemberError(_("You are a member of this account already."))
    inviter = current.invited_by
    details = {"invited_by": inviter.user.email if inviter else "operator"}
    member = join(account=current.account, user=user, role=Role(current.role), by=None, now=now, **details)
    current.accepted_at, current.accepted_by = now, member
    current.save(update_fields=["accepted_at", "accepted_by"])
    notices.is_over(account=current.account, about=about(current), now=now)
    return member


def accept_as_new_person(
    *, invitation: Invitation, name: str, password: str, now: datetime, language: str = settings.LANGUAGE_CODE
) -> Member:
    """Take the place as somebody who has not been here before. The link has shown that the address is theirs.

    They begin in the account's time zone.

    :raises PeopleError: if it is not offered (any more), or if somebody signs in with the address by now.
    """
    user = User(email=invitation.email, name=name, language=language, created_at=now)
    user.set_password(password)  # takes its time by design: before SQLite's one lock for all who write
    with transaction.atomic():
        invitation.account.lock()  # before the person, as whoever adds a member by hand does
        invitation.account.refresh_from_db(fields=["time_zone"])
        user.time_zone = invitation.account.time_zone
        try:
            with transaction.atomic():
                user.save(force_insert=True)
        except IntegrityError as error:
            raise AlreadyMemberError(_("Somebody signs in with this address already. Sign in to accept.")) from error
        prove_address(user)
        return accept(invitation=invitation, user=user, now=now)


def why_void(invitation: Invitation, *, now: datetime) -> str:
    """Why nobody can accept it, in words; empty: they can."""
    if invitation.accepted_at is not None:
        return _("It was accepted already.")
    if invitation.withdrawn_at is not None:
        return _("It was withdrawn.")
    if invitation.is_expired(now=now):
        return _("It was good for seven days, and they are over.")
    if invitation.invited_by is not None and not _may_give(Role(invitation.role), invitation.invited_by):
        return _("Who sent it may not invite people to this account any more.")
    return ""


def _may_give(role: Role, inviter: Member) -> bool:
    return inviter.is_active and inviter.may(Permission.MANAGE_MEMBERS) and may_hand_on(Role(inviter.role), role)


def _require_open(invitation: Invitation) -> None:
    if invitation.accepted_at is not None:
        raise VoidError(_("It was accepted already."))
    if invitation.withdrawn_at is not None:
        raise VoidError(_("It was withdrawn already."))


def _require_pause(invitation: Invitation, *, now: datetime) -> None:
    if now - invitation.sent_at < PAUSE:
        left = _("The last mail to %(email)s left a moment ago. Wait a minute.")
        raise TooManyError(left % {"email": invitation.email})


def _require_right_to_give(role: Role, by: By, *, account: Account) -> None:
    require_manager(by, account=account)
    if isinstance(by, Member) and not may_hand_on(Role(by.role), role):
        raise NotAllowedError(_("Nobody can invite others into a role that may do more than their own."))


def _issue(invitation: Invitation, *, by: By, now: datetime) -> None:
    """Save the invitation with a link of its own, and owe its mail."""
    invitation.issue = uuid4()
    invitation.token_digest = _digest(token_of(invitation.issue))
    invitation.invited_by = as_member(by)
    invitation.sent_at, invitation.expires_at = now, now + LASTS
    invitation.save()
    outbox.add(MAIL, about=invitation.issue, to=invitation.email, now=now)
    notices.tell(
        User.objects.with_address(invitation.email).filter(is_active=True).values_list("pk", flat=True),
        kind=Notice.Kind.INVITED,
        event=str(invitation.pk),
        about=about(invitation),
        account=invitation.account,
        now=now,
        who=by.actor.name,
        account_name=invitation.account.name,
    )


def _withdraw(invitation: Invitation, *, now: datetime) -> None:
    invitation.withdraw(at=now)
    notices.is_over(account=invitation.account, about=about(invitation), now=now)


def about(invitation: Invitation) -> str:
    """How notices name it."""
    return f"{_NOTICES_ABOUT}{invitation.pk}"


def links_of_notices(told: Iterable[Notice]) -> dict[int, str]:
    """Where the notices that tell of invitations lead, by their ids."""
    numbers = {one.pk: int(one.about.removeprefix(_NOTICES_ABOUT)) for one in told if one.kind == Notice.Kind.INVITED}
    found = Invitation.objects.in_bulk(numbers.values()) if numbers else {}
    return {notice: path_of(found[number]) for notice, number in numbers.items()}


def _alone_with(invitation: Invitation) -> Invitation:
    """The invitation as it is now, with the account locked."""
    invitation.account.lock()
    return Invitation.objects.select_related("account", "invited_by__user").get(pk=invitation.pk)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
