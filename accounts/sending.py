"""Sending the mails that are owed (G6).

One worker claims a row at a time, by one conditional UPDATE that both stores know. A claim is a lease, so that a worker
that died does not keep the mail; who finds the lease in other hands before sending, or before noting what came of it,
lets go.

Death between the mail server's answer and our note of it sends a mail twice; both carry the same Message-ID.

A mail that comes to nothing, for whatever reason, is tried again, less and less often, for five days.
"""

from datetime import datetime, timedelta
from smtplib import SMTPRecipientsRefused

import structlog
from anymail.exceptions import AnymailError, AnymailRecipientsRefused
from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts import bounces, digests, letters, outbox
from accounts.models import BouncedAddress, OutgoingMail
from auditlog.shapes import mask

LEASE = timedelta(minutes=5)  # longer than sending one mail ever takes
FIRST_PAUSE = timedelta(seconds=30)  # after a failure; doubles with each
LONGEST_PAUSE = timedelta(hours=1)
PERMANENT = 500  # statuses from here on mean "never" (RFC 5321, 4.2.1)
GIVEN_UP_AFTER = timedelta(days=5)  # RFC 5321, 4.5.4.1
LEAST_ATTEMPTS = 10  # before that: the jobs process may have stood still for a week
# A row says that its mail was sent, so that it is not owed again: longer than whatever recurs (reminders, 180 days).
KEPT_FOR = timedelta(days=200)
Kind = BouncedAddress.Kind

_log = structlog.get_logger(__name__)


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
        ended = _end(mail, **({"sent_at": now} if sent else {"dropped_at": now}))
        if sent and ended:
            bounces.note_delivery(email=mail.to, at=now, now=now, disproves=[Kind.REFUSED])
    return True


def prune(*, now: datetime) -> int:
    """Forget mails that were sent or dropped long ago; how many those were."""
    ended = Q(sent_at__lt=now - KEPT_FOR) | Q(dropped_at__lt=now - KEPT_FOR)
    removed, _ = OutgoingMail.objects.filter(ended).delete()
    return removed


def _send(mail: OutgoingMail, *, now: datetime) -> bool:
    """False if nobody needs it any more."""
    letter = outbox.compose(mail, now=now)
    if letter is None:
        return False
    message = letters.message_of(mail, letter)
    if _claimed_by_us(mail).exists():  # else another worker has it: we stood still for longer than the lease
        message.send()
    return True


def _try_later(mail: OutgoingMail, failure: Exception, *, now: datetime) -> None:
    why = mask(f"{type(failure).__name__}: {failure}")[:200]
    give_up = now - mail.created_at >= GIVEN_UP_AFTER and mail.attempts >= LEAST_ATTEMPTS
    if _refuses_the_address(failure, at_last=give_up):
        bounces.note(email=mail.to, kind=Kind.REFUSED, why=why, now=now)
    if give_up:
        _log.error("mail_given_up", mail=str(mail.id), kind=mail.kind, attempts=mail.attempts, why=why)
        _end(mail, dropped_at=now, failure=why)
        return
    pause = min(FIRST_PAUSE * 2 ** min(mail.attempts - 1, 10), LONGEST_PAUSE)
    _log.warning("mail_not_sent", mail=str(mail.id), kind=mail.kind, attempts=mail.attempts, why=why)
    _note(mail, due_at=now + pause, claimed_until=None, failure=why)


def _refuses_the_address(failure: Exception, *, at_last: bool) -> bool:
    """Whether the mail server or provider takes no mail for this address, for good or for longer than we try."""
    if isinstance(failure, SMTPRecipientsRefused):
        return at_last or any(status >= PERMANENT for status, _ in failure.recipients.values())
    return isinstance(failure, AnymailRecipientsRefused)


def _claim(*, now: datetime) -> OutgoingMail | None:
    claimable = OutgoingMail.objects.claimable(now=now)
    while (first := claimable.order_by("due_at").first()) is not None:
        mail = digests.gather(first, now=now)
        if claimable.filter(pk=mail.pk).update(claimed_until=now + LEASE, attempts=F("attempts") + 1):
            return OutgoingMail.objects.get(pk=mail.pk)
    return None


def _claimed_by_us(mail: OutgoingMail) -> QuerySet[OutgoingMail]:
    """The row, unless somebody claimed it after us: each claim is an attempt more."""
    return OutgoingMail.objects.filter(pk=mail.pk, attempts=mail.attempts)


@transaction.atomic
def _end(mail: OutgoingMail, **facts: datetime | str) -> bool:
    """The mail is sent or dropped, and with it what it is the digest of; False if another worker has it by now."""
    noted = _note(mail, **facts)
    if noted:
        mail.parts.owed().update(**facts, letter=None)
    return noted


def _note(mail: OutgoingMail, **facts: datetime | str | None) -> bool:
    """False if another worker has it by now."""
    return bool(_claimed_by_us(mail).update(**facts))
