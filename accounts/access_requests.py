"""A member who needs the API key asks its super admins, in the portal."""

from datetime import datetime, timedelta

from django.core.exceptions import PermissionDenied
from django.db import transaction

from accounts import notices, outbox
from accounts.models import AccessRequest, Member, Notice
from accounts.permissions import Permission
from auditlog import journal
from auditlog.actions import Action

MAIL = "accounts.access_requested"
ASK_AGAIN_AFTER = timedelta(days=1)


class MayAlreadyError(Exception):
    """Who asks may do it without asking."""


class MayNotError(PermissionDenied):
    """The member left or lost the role while the request was under way."""


class AskedLatelyError(Exception):
    """This member asked less than a day ago."""


@transaction.atomic
def ask_for_key(*, member: Member, reason: str, now: datetime) -> AccessRequest:
    """Ask the account's super admins; takes the place of an earlier request that is still open.

    :raises MayAlreadyError: for a super admin.
    :raises AskedLatelyError: within a day of the last time.
    :raises MayNotError: if they have left.
    """
    account = member.account
    if _as_they_are(member).may(Permission.MANAGE_API_KEY):
        raise MayAlreadyError
    if asked_lately(member, now=now):
        raise AskedLatelyError
    for earlier in AccessRequest.objects.open().filter(member=member):
        _end(earlier, by=None, now=now)
    request = AccessRequest.objects.create(member=member, reason=reason, asked_at=now)
    journal.record(Action.MEMBER_ASKED_FOR_KEY, of=account, by=member, target=member, at=now, reason=reason)
    notices.tell(
        account.super_admins().values_list("user_id", flat=True),
        kind=Notice.Kind.ACCESS_REQUESTED,
        event=str(request.pk),
        about=_about(request),
        account=account,
        now=now,
        who=member.actor.name,
    )
    for admin in account.super_admins():
        outbox.add(MAIL, about=request.pk, to=admin.user.email, now=now)
    return request


@transaction.atomic
def dismiss(*, request: AccessRequest, by: Member, now: datetime) -> None:
    """Take a request off the super admins' page. One that is off it already stays as it is.

    :raises MayNotError: if `by` is no super admin any more.
    """
    account = request.member.account
    if not _as_they_are(by).may(Permission.MANAGE_API_KEY):
        raise MayNotError
    request.refresh_from_db(fields=["ended_at"])
    if request.ended_at is not None:
        return
    _end(request, by=by, now=now)
    journal.record(Action.MEMBER_REQUEST_DISMISSED, of=account, by=by, target=request.member, at=now)


def asked_lately(member: Member, *, now: datetime) -> AccessRequest | None:
    """The member's request of the last day, if there is one."""
    return AccessRequest.objects.filter(member=member, asked_at__gt=now - ASK_AGAIN_AFTER).order_by("-asked_at").first()


def _as_they_are(member: Member) -> Member:
    """The member, read with the account locked: what let them in was read before.

    :raises MayNotError: if they have left.
    """
    member.account.lock()
    current = member.account.members.active().filter(pk=member.pk).first()
    if current is None:
        raise MayNotError
    return current


def _end(request: AccessRequest, *, by: Member | None, now: datetime) -> None:
    request.ended_at, request.ended_by = now, by
    request.save(update_fields=["ended_at", "ended_by"])
    notices.is_over(account=request.member.account, about=_about(request), now=now)


def _about(request: AccessRequest) -> str:
    return f"access_request:{request.pk}"
