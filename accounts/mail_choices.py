"""Which mails a person gets, and when: at once, in one mail a day, or not at all, as far as `mail_kinds` lets them."""

from collections.abc import Collection, Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.core import signing
from django.db import transaction

from accounts import mail_kinds, site
from accounts.models import BouncedAddress, MailChoice, OutgoingMail, User

MORNING = time(8)  # when the daily mail is due, where the person lives
Delivery = MailChoice.Delivery
_SALT = "accounts.mail_choices"


def of(user: User) -> dict[str, Delivery]:
    """How the person wants each kind that may be chosen, the order that of the table."""
    chosen = dict(user.mail_choices.values_list("kind", "delivery"))
    kinds = (kind for kind in mail_kinds.KINDS if mail_kinds.may_wait(kind))
    return {kind: _allowed(kind, chosen.get(kind, Delivery.AT_ONCE)) for kind in kinds}


def offered(kind: str) -> list[Delivery]:
    return [one for one in Delivery if one is not Delivery.NEVER or mail_kinds.is_optional(kind)]


@transaction.atomic
def choose(*, user: User, choices: Mapping[str, str], now: datetime) -> None:
    """Keep what the person chose; what waits for the daily mail and shall not wait any more is due now.

    :raises ValueError: for what may not be chosen.
    """
    for kind, delivery in choices.items():
        if not mail_kinds.may_wait(kind) or delivery not in offered(kind):
            raise ValueError(f"{kind}: {delivery}")
        MailChoice.objects.update_or_create(user=user, kind=kind, defaults={"delivery": delivery})
    at_once = [kind for kind, delivery in choices.items() if delivery == Delivery.AT_ONCE]
    waiting = OutgoingMail.objects.owed().filter(to=user.email, kind__in=at_once, attempts=0)
    waiting.filter(due_at__gt=now).update(due_at=now)


def wanted(mail: OutgoingMail) -> bool:
    """Whether its recipient has not switched off its kind, and reads what is sent there, as far as we know."""
    if not mail_kinds.is_optional(mail.kind):
        return True
    if BouncedAddress.objects.of(mail.to).exists():
        return False
    never = MailChoice.objects.filter(user__email=mail.to, kind=mail.kind, delivery=Delivery.NEVER)
    return not never.exists()


def mornings(mails: Collection[OutgoingMail], *, now: datetime) -> dict[tuple[str, str], datetime]:
    """When those of these mails are due whose readers want them once a day, by kind and address."""
    asked = [mail for mail in mails if mail_kinds.may_wait(mail.kind)]
    if not asked:
        return {}
    daily = MailChoice.objects.filter(
        delivery=Delivery.DAILY,
        kind__in={mail.kind for mail in asked},
        user__email__in={mail.to for mail in asked},
    )
    chosen = daily.values_list("kind", "user__email", "user__time_zone")
    return {(kind, email): next_morning(zone, now=now) for kind, email, zone in chosen}


def next_morning(zone: str, *, now: datetime) -> datetime:
    today = now.astimezone(ZoneInfo(zone)).date()
    mornings = (datetime.combine(today + timedelta(days=days), MORNING, ZoneInfo(zone)) for days in (0, 1))
    return next(morning for morning in mornings if morning > now)


def links(mail: OutgoingMail) -> tuple[str, str]:
    """Where its recipient chooses whether and when such mails come, and what switches them off; "" if they may not."""
    parts = mail.parts.owed().values_list("kind", flat=True) if mail.kind == mail_kinds.DIGEST else [mail.kind]
    kinds = [kind for kind in set(parts) if mail_kinds.may_wait(kind)]
    user = User.objects.filter(email=mail.to).first() if kinds else None
    if user is None:
        return "", ""
    optional = [kind for kind in kinds if mail_kinds.is_optional(kind)]
    return site.link_to("profile") + "#mails", switch_off_link(user, optional) if optional else ""


def switch_off_link(user: User, kinds: Collection[str]) -> str:
    """The address that switches these kinds off for the person when it is posted to, without signing in (RFC 8058)."""
    token = signing.dumps([user.pk, sorted(kinds)], salt=_SALT)
    return site.link_to("mails-switch-off", token)


def read_token(token: str) -> tuple[User, list[str]] | None:
    """Whom and which kinds a link is about; None if we did not make it. It never ends, as the mail does not."""
    try:
        user_id, kinds = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    user = User.objects.filter(pk=user_id).first()
    return (user, [kind for kind in kinds if mail_kinds.is_optional(kind)]) if user else None


def _allowed(kind: str, delivery: str) -> Delivery:
    """A choice from when more was allowed counts as none."""
    return Delivery(delivery) if delivery in offered(kind) else Delivery.AT_ONCE
