"""Several mails that are due to one person at once go out as one.

Which mails those are is fixed in the transaction that makes the digest, and what each says on its first attempt: a
retry sends the same (G6). What has ended meanwhile is left out, as it would be by itself.
"""

from datetime import datetime

import structlog
from django.db import transaction

from accounts import letters, mail_kinds, outbox
from accounts.models import OutgoingMail

PARTS_AT_MOST = 50

_log = structlog.get_logger(__name__)


@transaction.atomic
def gather(mail: OutgoingMail, *, now: datetime) -> OutgoingMail:
    """The digest that this mail now is a part of; the mail itself if nothing else that may wait is due to its person.

    What was tried before is left to itself: it may have arrived.
    """
    if not mail_kinds.may_wait(mail.kind) or mail.attempts:
        return mail
    waiting = [kind for kind in mail_kinds.KINDS if mail_kinds.may_wait(kind)]
    due = OutgoingMail.objects.claimable(now=now).filter(to=mail.to, kind__in=waiting, attempts=0)
    parts = list(due.select_for_update().order_by("created_at", "pk")[:PARTS_AT_MOST])
    if len(parts) <= 1:
        return mail
    about = str(parts[0].pk)  # which is in no other
    digest = OutgoingMail.objects.create(kind=mail_kinds.DIGEST, about=about, to=mail.to, created_at=now, due_at=now)
    OutgoingMail.objects.filter(pk__in=[part.pk for part in parts]).update(digest=digest)
    return digest


@outbox.composes(mail_kinds.DIGEST)
def digest(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
    written = [_letter(part, now=now) for part in mail.parts.owed()]
    due = sorted((letter for letter in written if letter), key=lambda letter: letter.subject)
    return letters.together(due) if due else None


def _letter(part: OutgoingMail, *, now: datetime) -> letters.Letter | None:
    """What the part says, the same each time; None if nobody needs it any more, or if it cannot be written."""
    try:
        letter = outbox.compose(part, now=now)
    except Exception:  # noqa: BLE001 -- a mistake in one mail must not hold up the others: it goes on by itself
        _log.exception("mail_not_written", mail=str(part.id), kind=part.kind)
        OutgoingMail.objects.filter(pk=part.pk).update(digest=None, attempts=1)
        return None
    if letter is None:
        OutgoingMail.objects.filter(pk=part.pk).update(dropped_at=now, letter=None)
        return None
    if part.letter is None:
        part.letter = letter.to_row()
        part.save(update_fields=["letter"])
    return letters.Letter.from_row(part.letter)
