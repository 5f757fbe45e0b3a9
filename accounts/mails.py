"""What the mails about accounts and people say. Each is written when its turn comes, from what is then so."""

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import access_requests, bounces, invitations, letters, names, outbox, role_mailboxes, site
from accounts.models import AccessRequest, Account, BouncedAddress, Invitation, OutgoingMail, RoleMailbox, User


@outbox.composes(invitations.MAIL)
def invitation(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
    """The link that accepts an invitation; nobody needs one that was withdrawn, used, sent anew or is over."""
    offered = Invitation.objects.select_related("account", "invited_by__user").filter(issue=mail.about).first()
    if offered is None or invitations.why_void(offered, now=now):
        return None
    subject = _("You are invited to %(account)s") % {"account": names.in_subject(offered.account)}
    context = {"invitation": offered, "link": invitations.link_of(offered)}
    with _zone_for(mail.to, account=offered.account):
        return letters.write(subject=subject, template="invitation", context=context)


@outbox.composes(access_requests.MAIL)
def access_requested(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- a composer's signature
    """That a member asks for the key; nobody needs it once the request has ended, or who is no super admin by now."""
    asked = AccessRequest.objects.open().select_related("member__account", "member__user").filter(pk=mail.about).first()
    if asked is None or not asked.member.account.super_admins().filter(user__email=mail.to).exists():
        return None
    account = asked.member.account
    subject = _("%(account)s: %(who)s asks for the API key") % {
        "account": names.in_subject(account),
        "who": names.in_subject(asked.member),
    }
    link = site.link_to("apikeys:api-key", account.slug) + "#requests"
    context = {"asked": asked, "account": account, "link": link}
    return letters.write(subject=subject, template="access_requested", context=context)


@outbox.composes(role_mailboxes.MAIL)
def confirm_role_mailbox(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
    """The link that confirms a mailbox; nobody needs one of a mailbox that was confirmed or removed, or is void."""
    waiting = RoleMailbox.objects.filter(pk=mail.about, confirmed_at__isnull=True)
    mailbox = waiting.select_related("account", "named_by__user").first()
    if mailbox is None or role_mailboxes.why_void(mailbox, now=now):
        return None
    subject = _("%(account)s: confirm this mailbox for reminders") % {"account": names.in_subject(mailbox.account)}
    context = {"mailbox": mailbox, "link": role_mailboxes.link_of(mailbox)}
    with _zone_for(mail.to, account=mailbox.account):
        return letters.write(subject=subject, template="confirm_role_mailbox", context=context)


@outbox.composes(bounces.MAIL)
def mail_bounced(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- a composer's signature
    """That mails to a super admin or to the role mailbox do not arrive; nobody needs it once one does."""
    bounced_id, account_id = mail.about.split(":")
    bounced = BouncedAddress.objects.filter(pk=bounced_id).first()
    account = Account.objects.get(pk=account_id)
    if bounced is None or not account.super_admins().filter(user__email=mail.to).exists():
        return None
    subject = _("%(account)s: mails to %(email)s do not arrive") % {
        "account": names.in_subject(account),
        "email": bounced.email,
    }
    context = {
        "bounced": bounced,
        "account": account,
        "member": account.members.active().filter(user__email=bounced.email).select_related("user").first(),
        "link": site.link_to("accounts:members", account.slug),
    }
    return letters.write(subject=subject, template="mail_bounced", context=context)


@outbox.composes(bounces.NOBODY_REACHED_MAIL)
def nobody_reached(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- a composer's signature
    """To an operator: mails reach no super admin of an account. Nobody needs it once somebody is reached again."""
    account = bounces.unreached().filter(pk=mail.about.partition(":")[0]).first()
    if account is None or not User.objects.operators().filter(email=mail.to).exists():
        return None
    subject = _("%(account)s: no super admin can be reached") % {"account": names.in_subject(account)}
    context = {
        "account": account,
        "super_admins": account.super_admins(),
        "link": site.link_to("admin:accounts_account_change", account.pk),
    }
    return letters.write(subject=subject, template="nobody_reached", context=context)


def _zone_for(address: str, *, account: Account) -> AbstractContextManager[None]:
    """Who is known has chosen a time zone; who is not most likely lives in that of the account."""
    known = User.objects.with_address(address).exists()
    return nullcontext() if known else timezone.override(account.zone)
