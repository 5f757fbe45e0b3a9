"""Mails that are owed: who owes one puts a row into the transaction of its change (G6); `accounts.sending` sends it.

A row says whom and about what, never the text: a composer writes that when the mail's turn comes, from what is then so,
or finds that nobody needs the mail any more.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.utils import translation

from accounts import letters, mail_choices, mail_kinds, readers
from accounts.models import OutgoingMail, User

MAILBOX = "mailbox"  # in the place of a person's id, in what a mail is about: it goes to the account's role mailbox

Composer = Callable[[OutgoingMail, datetime], letters.Letter | None]


@dataclass(frozen=True, slots=True)
class Owed:
    kind: str
    about: str  # in the words of the kind's composer
    to: str
    for_morning: bool = True  # waits for the daily mail of whoever wants its kind once a day; not what is over by then


_composers: dict[str, Composer] = {}


def composes(kind: str) -> Callable[[Composer], Composer]:
    """Say that this function writes the mails of a kind; it answers None where one is not due any more."""

    def register(composer: Composer) -> Composer:
        _composers[kind] = composer
        return composer

    return register


def kinds() -> set[str]:
    """Every kind that somebody composes."""
    return set(_composers)


def add(kind: str, *, about: object, to: str, now: datetime) -> None:
    """Owe somebody a mail; the same again is the same mail.

    :raises RuntimeError: outside a transaction.
    """
    add_all([Owed(kind, about=str(about), to=to)], now=now, due_at=now)


def add_all(owed: Iterable[Owed], *, now: datetime, due_at: datetime) -> None:
    """`add` of many mails at once, to be sent from `due_at` on.

    :raises RuntimeError: outside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("An owed mail must share the transaction of what it tells.")
    owed = list(owed)
    mails = [OutgoingMail(kind=one.kind, about=one.about, to=one.to, created_at=now, due_at=due_at) for one in owed]
    may_wait = [mail for mail, one in zip(mails, owed, strict=True) if one.for_morning]
    mornings = mail_choices.mornings(may_wait, now=due_at)
    for mail in may_wait:
        mail.due_at = mornings.get((mail.kind, mail.to), due_at)
    OutgoingMail.objects.bulk_create(mails, ignore_conflicts=True)


def follow(*, before: str, after: str, now: datetime) -> None:
    """Send to a person's new address what is owed to their old one, as far as it may wait: they may read that no more.

    Mails about security stay, so that giving oneself another address keeps no word of what was done from the old one;
    so do a role mailbox's, and what somebody is sending at this moment. What was in a digest goes on by itself.
    """
    waiting = [kind for kind in mail_kinds.KINDS if mail_kinds.may_wait(kind)]
    theirs = OutgoingMail.objects.owed().filter(to=before, kind__in=waiting).exclude(about__endswith=f":{MAILBOX}")
    had_before = OutgoingMail.objects.filter(kind=OuterRef("kind"), about=OuterRef("about"), to=after)
    in_hand = Q(claimed_until__gt=now) | Q(digest__claimed_until__gt=now)
    moved = theirs.exclude(Exists(had_before)).exclude(in_hand).values_list("pk", flat=True)
    OutgoingMail.objects.filter(pk__in=list(moved)).update(to=after, digest=None, letter=None, attempts=0)


def compose(mail: OutgoingMail, *, now: datetime) -> letters.Letter | None:
    """What it says, as its recipient reads; None if nobody needs it any more.

    :raises KeyError: for a kind that this version does not know.
    """
    if not mail_choices.wanted(mail):
        return None
    with _as_the_recipient_reads(mail.to):
        return _composers[mail.kind](mail, now)


def _as_the_recipient_reads(address: str) -> AbstractContextManager[None]:
    """In the language and zone of whoever has the address; to whom the portal does not know, in its first language."""
    person = User.objects.with_address(address).first()
    return readers.written_for(person) if person else translation.override(settings.LANGUAGE_CODE)
