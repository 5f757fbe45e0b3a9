"""What the mails about keys say. Each is written when its turn comes, from what is then so."""

from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils.translation import ngettext

from accounts import outbox
from accounts.models import Account, OutgoingMail
from accounts.permissions import Permission
from apikeys.models import ApiKey
from apikeys.models.api_key import ROTATE_AFTER
from apikeys.operations import reminders
from auditlog import usage

CALLERS_NAMED = 5


@outbox.composes(reminders.MAIL)
def rotation_due(mail: OutgoingMail, now: datetime) -> EmailMultiAlternatives | None:
    """The reminder to rotate; not for who has left, nor about a key that is gone or that opens nothing now."""
    key_id, cycle, user_id = mail.about.split(":")
    key = ApiKey.objects.active().filter(pk=key_id).select_related("account").first()
    if key is None or key.account.state != Account.State.OPEN or reminders.cycle(key, now=now) != int(cycle):
        return None
    member = key.account.members.active().filter(user_id=user_id).select_related("account").first()
    if member is None:
        return None
    days = key.age(now=now).days
    callers = usage.callers(usage.calls_of(member.account_id, now=now).filter(credential_id=key.id))
    subject = ngettext(
        "%(account)s: rotate the API key, it is %(days)s day old",
        "%(account)s: rotate the API key, it is %(days)s days old",
        days,
    )
    context = {
        "key": key,
        "account": member.account,
        "days": days,
        "next_days": (int(cycle) + 1) * ROTATE_AFTER.days,
        "may_rotate": member.may(Permission.MANAGE_API_KEY),
        "super_admins": member.account.super_admins(),
        "callers": callers[:CALLERS_NAMED],
        "more_callers": max(len(callers) - CALLERS_NAMED, 0),
        "link": f"{settings.SITE_ORIGIN}{reverse('apikeys:api-key', args=[member.account.slug])}",
    }
    subject %= {"account": member.account, "days": days}
    return outbox.write(mail, subject=subject, template="rotation_due", context=context)
