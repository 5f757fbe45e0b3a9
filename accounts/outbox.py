"""Mails that are owed. Whoever owes one puts a row into the transaction of its change; the jobs process sends it (G6).

A row says whom and about what, never the text: a composer writes that when the mail's turn comes, from what is then so,
or finds that nobody needs the mail any more. One worker claims a row at a time, by one conditional UPDATE that both
stores know; a claim is a lease, so that a worker that died does not keep the mail.

Death between the mail server's answer and our note of it sends a mail twice; both carry the same Message-ID.

A mail that comes to nothing, for whatever reason, is tried again, less and less often, for five days.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from anymail.exceptions import AnymailError
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.db.models import F, Q
from django.template.loader import render_to_string
from django.utils import translation

from accounts import readers
from accounts.models import OutgoingMail, User
from auditlog.shapes import mask

LEASE = timedelta(minutes=5)  # longer than sending one mail ever takes
FIRST_PAUSE = timedelta(seconds=30)  # after a failure; doubles with each
LONGEST_PAUSE = timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=5)  # RFC 5321, 4.5.4.1
# A row says that its mail was sent, so that it is not owed again: longer than whatever recurs (reminders, 180 days).
KEPT_FOR = timedelta(days=200)

Composer = Callable[[OutgoingMail, datetime], EmailMultiAlternatives | None]

_composers: dict[str, Composer] = {}
_log = structlog.get_logger(__name__)


def composes(kind: str) -> Callable[[Composer], Composer]:
    """Say that this function writes the mails of a kind; it answers None where one is not due any more."""

    def register(composer: Composer) -> Composer:
        _composers[kind] = composer
        return composer

    return register


def add(kind: str, *, about: object, to: str, now: datetime) -> None:
    """Owe somebody a mail; the same again is the same mail.

    :raises RuntimeError: outside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("An owed mail must share the transaction of what it tells.")
    OutgoingMail.objects.get_or_create(kind=kind, about=str(about), to=to, defaults={"created_at": now, "due_at": now})


def write(mail: OutgoingMail, *, subject: str, template: str, context: Mapping[str, Any]) -> EmailMultiAlternatives:
    """A message in the house's look, from `mails/<template>.txt` and `.html`."""
    whole = {**context, "subject": subject, "demo": settings.DEMO, "origin": settings.SITE_ORIGIN}
    message = EmailMultiAlternatives(
        subject=" ".join(subject.split()),
        body=render_to_string(f"mails/{template}.txt", whole),
        to=[mail.to],
        headers={
            "Message-ID": f"<{mail.id}@{urlsplit(settings.SITE_ORIGIN).hostname}>",
            "Auto-Submitted": "auto-generated",  # RFC 3834
        },
    )
    message.attach_alternative(render_to_string(f"mails/{template}.html", whole), "text/html")
    return message


def send_next(*, now: datetime) -> bool:
    """Send one owed mail; False if none is due."""
    mail = _claim(now=now)
    if mail is None:
        return False
    try:
        sent = _send(mail, now=now)
    except (OSError, AnymailError) as failure:  # smtplib's errors are OSErrors
        _try_later(mail, failure, now=now)
    except Exception as failure:  # noqa: BLE001 -- a mistake in one mail must not hold up the others
        _log.exception("mail_not_written", mail=str(mail.id), kind=mail.kind)
        _try_later(mail, failure, now=now)
    else:
        _note(mail, **({"sent_at": now} if sent else {"dropped_at": now}))
    return True


def prune(*, now: datetime) -> int:
    """Forget mails that were sent or dropped long ago; how many those were."""
    ended = Q(sent_at__lt=now - KEPT_FOR) | Q(dropped_at__lt=now - KEPT_FOR)
    removed, _ = OutgoingMail.objects.filter(ended).delete()
    return removed


def _send(mail: OutgoingMail, *, now: datetime) -> bool:
    """False if nobody needs it any more."""
    with _as_the_recipient_reads(mail.to):
        message = _composers[mail.kind](mail, now)
    if message is None:
        return False
    message.send()
    return True


def _try_later(mail: OutgoingMail, failure: Exception, *, now: datetime) -> None:
    why = mask(f"{type(failure).__name__}: {failure}")[:200]
    if now - mail.created_at >= GIVEN_UP_AFTER:
        _log.error("mail_given_up", mail=str(mail.id), kind=mail.kind, attempts=mail.attempts, why=why)
        _note(mail, dropped_at=now, failure=why)
        return
    pause = min(FIRST_PAUSE * 2 ** min(mail.attempts - 1, 10), LONGEST_PAUSE)
    _log.warning("mail_not_sent", mail=str(mail.id), kind=mail.kind, attempts=mail.attempts, why=why)
    _note(mail, due_at=now + pause, claimed_until=None, failure=why)


def _claim(*, now: datetime) -> OutgoingMail | None:
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    owed = OutgoingMail.objects.filter(free, due_at__lte=now, sent_at__isnull=True, dropped_at__isnull=True)
    while (first := owed.order_by("due_at").values_list("pk", flat=True).first()) is not None:
        if owed.filter(pk=first).update(claimed_until=now + LEASE, attempts=F("attempts") + 1):
            return OutgoingMail.objects.get(pk=first)
    return None


def _as_the_recipient_reads(address: str) -> AbstractContextManager[None]:
    """In the language and zone of whoever has the address; to whom the portal does not know, in its first language."""
    person = User.objects.filter(email__iexact=address).first()
    return readers.written_for(person) if person else translation.override(settings.LANGUAGE_CODE)


def _note(mail: OutgoingMail, **facts: datetime | str | None) -> None:
    OutgoingMail.objects.filter(pk=mail.pk).update(**facts)
