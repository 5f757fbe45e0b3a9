"""What the mails about accounts and people say. Each is written when its turn comes, from what is then so."""

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from django.core.mail import EmailMultiAlternatives
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import invitations, outbox
from accounts.models import Account, Invitation, OutgoingMail, User


@outbox.composes(invitations.MAIL)
def invitation(mail: OutgoingMail, now: datetime) -> EmailMultiAlternatives | None:
    """The link that accepts an invitation; nobody needs one that was withdrawn, used, sent anew or is over."""
    offered = Invitation.objects.select_related("account", "invited_by__user").filter(issue=mail.about).first()
    if offered is None or invitations.why_void(offered, now=now):
        return None
    subject = _("You are invited to %(account)s") % {"account": offered.account}
    context = {"invitation": offered, "link": invitations.link_of(offered)}
    with _zone_for(mail.to, account=offered.account):
        return outbox.write(mail, subject=subject, template="invitation", context=context)


def _zone_for(address: str, *, account: Account) -> AbstractContextManager[None]:
    """Who is known has chosen a time zone; who is not most likely lives in that of the account."""
    known = User.objects.filter(email__iexact=address).exists()
    return nullcontext() if known else timezone.override(account.zone)
