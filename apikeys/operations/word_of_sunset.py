"""Word by mail of an announced end, to whoever has a key to lose: at once, and 90, 30, 7 and 1 days before (G6).

A moment that was missed, because nothing ran or because it lay before the announcement, is made up for by the newest
alone. Each change of what was announced is told anew. Whether a mail is still due is asked again when its turn comes.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction

from accounts import outbox
from accounts.models import Account
from apikeys.models import ApiKey, Sunset
from apikeys.operations.reminders import KEYS_AT_ONCE, concerned, mailboxes

MAIL = "apikeys.sunset"
AT_ONCE = 0  # in the place of days: word of the announcement, or of its change
DAYS_BEFORE = (90, 30, 7, 1)
NEAR = timedelta(days=2)  # the daily mail of a person who wants such words in it comes up to a day later


def tell(*, now: datetime, mails_a_second: int | None = None) -> int:
    """Owe everybody concerned the word that is due by now; how many mails.

    A second run finds everybody told, and a run that was cut off is made up for by the next.

    :param mails_a_second: spreads the sending; None: all mails are due at once.
    """
    told = 0
    for sunset in Sunset.objects.in_force().filter(authentication_ends_at__gt=now).order_by("pk"):
        days = due(sunset, now=now)
        word = f"{sunset.edition}:{days}"
        if days is None or sunset.told == word:
            continue
        for keys in _keys(sunset):
            after = timedelta(seconds=told // mails_a_second) if mails_a_second else timedelta()
            told += _owe(keys, f"{sunset.pk}:{word}", near=is_near(sunset, now=now), now=now, due_at=now + after)
        Sunset.objects.filter(pk=sunset.pk, edition=sunset.edition).update(told=word)
    return told


def due(sunset: Sunset, *, now: datetime) -> int | None:
    """Of which moment word is due: days before the end, or `AT_ONCE`. None if nothing is to come."""
    end = sunset.authentication_ends_at
    if not sunset.is_in_force or end is None or end <= now:
        return None
    come = [days for days in DAYS_BEFORE if sunset.changed_at < end - timedelta(days=days) <= now]
    return min(come, default=AT_ONCE)


def is_near(sunset: Sunset, *, now: datetime) -> bool:
    """Whether keys are refused so soon, for good or for a rehearsal, that word of it can wait for no daily mail."""
    refused_from = [sunset.authentication_ends_at, *(one.starts_at for one in sunset.rehearsals)]
    return any(at is not None and now < at <= now + NEAR for at in refused_from)


def to_come(sunset: Sunset, *, now: datetime) -> list[int]:
    """How many days before the end word comes again."""
    end = sunset.authentication_ends_at
    return [days for days in DAYS_BEFORE if end is not None and end - timedelta(days=days) > now]


def _keys(sunset: Sunset) -> Iterator[list[ApiKey]]:
    """The active keys that it ends, in handfuls."""
    theirs = sunset.accounts().filter(state=Account.State.OPEN)
    keys = ApiKey.objects.active().filter(account__in=theirs).select_related("created_by").order_by("account_id")
    last = 0
    while found := list(keys.filter(account_id__gt=last)[:KEYS_AT_ONCE]):
        yield found
        last = found[-1].account_id


@transaction.atomic
def _owe(keys: list[ApiKey], event: str, *, near: bool, now: datetime, due_at: datetime) -> int:
    people, boxes = concerned(keys), mailboxes(key.account_id for key in keys)
    owed = [
        outbox.Owed(MAIL, about=f"{event}:{key.account_id}:{user_id}", to=email, for_morning=not near)
        for key in keys
        for user_id, email in people[key.account_id].items()
    ]
    owed += [
        outbox.Owed(MAIL, about=f"{event}:{account_id}:{outbox.MAILBOX}", to=box)
        for account_id, box in boxes.items()
        if box not in people[account_id].values()
    ]
    outbox.add_all(owed, now=now, due_at=due_at)
    return len(owed)
