"""Reminding of a key that is due: a notice and a mail, once per person, key and 180 days of its age (G6).

Once a snooze is over, the reminder comes once more: which snooze that was belongs to what makes two reminders the same.

The account's role mailbox gets the mail as well. However many accounts there are, some hundreds are looked at together,
first without a lock; then, where somebody was not told yet, once more with the accounts locked, so that a rotation of
this moment is either seen here or takes back what is told here.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from accounts import bounces, notices, outbox
from accounts.models import Account, Member, Notice, OutgoingMail, RoleMailbox
from accounts.permissions import Role
from apikeys.models import ApiKey, RotationPlan, Snooze, Sunset
from apikeys.models.api_key import ROTATE_AFTER, ApiKeyQuerySet

MAIL = "apikeys.rotation_due"
KEYS_AT_ONCE = 500


@dataclass(slots=True)
class Untold:
    """An old key, and whom nobody has told of it yet."""

    key: ApiKey
    event: str
    mailed: set[str]  # mailboxes that had the mail; one may be a person's address by now
    people: dict[int, str]  # ids of users -> their addresses
    mailbox: str = ""


def remind(*, now: datetime, mails_a_second: int | None = None) -> int:
    """Tell each super admin of an account with an old key, who made the key, and the account's role mailbox.

    A second run, at the same time or later, tells nobody twice.

    :param mails_a_second: spreads the sending; None: all mails are due at once.
    :returns: how many were told now.
    """
    told = 0
    for accounts in _accounts_due(now=now):
        after = timedelta(seconds=told // mails_a_second) if mails_a_second else timedelta()
        told += _tell(accounts, now=now, due_at=now + after)
    return told


def cycle(key: ApiKey, *, now: datetime) -> int:
    """How many times 180 days have passed since the key was made."""
    return key.age(now=now) // ROTATE_AFTER


def turn(key: ApiKey, *, now: datetime) -> str:
    """Which of a key's reminders is due: the one of its 180 days or, once that was snoozed in them, of the last snooze.

    That none is in force is for the caller to know.
    """
    return _turn(key, _last_snoozes([key], now=now).get(key.id), now=now)


def waits(now: datetime) -> Q:
    """Keys of which nobody is reminded: that is snoozed, or a rotation is planned, of which people were told."""
    snoozed = Snooze.objects.in_force(now=now).filter(key=OuterRef("pk"))
    planned = RotationPlan.objects.open().filter(replaces=OuterRef("pk"))
    return Q(Exists(snoozed)) | Q(Exists(planned))


def _turn(key: ApiKey, snooze: Snooze | None, *, now: datetime) -> str:
    present = cycle(key, now=now)
    if snooze is None or cycle(key, now=snooze.until) < present:
        return str(present)
    return f"{present}.{snooze.number}"


def _last_snoozes(keys: list[ApiKey], *, now: datetime) -> dict[UUID, Snooze]:
    """The newest snooze of each that is over, by the key's id."""
    over = Snooze.objects.filter(key__in=keys, until__lte=now).order_by("number")
    return {snooze.key_id: snooze for snooze in over}


def _events(keys: list[ApiKey], *, now: datetime) -> dict[int, str]:
    """What people are told of, by the keys' accounts."""
    snoozes = _last_snoozes(keys, now=now)
    return {key.account_id: f"{key.id}:{_turn(key, snoozes.get(key.id), now=now)}" for key in keys}


def _accounts_due(*, now: datetime) -> Iterator[list[int]]:
    """Ids of accounts with an old key of which somebody was not told yet, in handfuls, the oldest keys first."""
    last: ApiKey | None = None
    while True:
        keys = list(next_old(now=now, after=last))
        if not keys:
            return
        found = [one.key.account_id for one in _untold(keys, now=now)]
        if found:
            yield found
        last = keys[-1]


def next_old(*, now: datetime, after: ApiKey | None) -> ApiKeyQuerySet:
    """The next handful of old keys, by age and then by id."""
    keys = old(now=now).order_by("created_at", "id")
    if after is not None:
        # The first condition says nothing that the second does not, but finds the place in the index.
        keys = keys.filter(created_at__gte=after.created_at)
        keys = keys.filter(Q(created_at__gt=after.created_at) | Q(id__gt=after.id))
    return keys[:KEYS_AT_ONCE]


def old(*, now: datetime) -> ApiKeyQuerySet:
    """Keys of at least 180 days to be reminded of: in accounts that are open, before an announced end."""
    due = ApiKey.objects.active().filter(created_at__lte=now - ROTATE_AFTER, account__state=Account.State.OPEN)
    reminded = due.exclude(waits(now)).filter(Sunset.objects.all().spared(now=now))
    return reminded.select_related("account", "created_by")


@transaction.atomic
def _tell(account_ids: list[int], *, now: datetime, due_at: datetime) -> int:
    Account.lock_all(account_ids)
    due = _untold(list(old(now=now).filter(account__in=account_ids)), now=now)
    notices.tell_all([notice for one in due for notice in _notices(one, now=now)])
    outbox.add_all([mail for one in due for mail in _mails(one)], now=now, due_at=due_at)
    events = {one.key.account_id: one.event for one in due}
    for account in bounces.unreached().filter(pk__in=events):
        bounces.tell_operators(account, about=events[account.pk], now=now)
    return sum(len(one.people) + bool(one.mailbox) for one in due)


def _notices(one: Untold, *, now: datetime) -> list[Notice]:
    return notices.of(
        one.people,
        kind=Notice.Kind.KEY_OLD,
        event=one.event,
        about=str(one.key.id),
        account=one.key.account,
        now=now,
        last4=one.key.last4,
        days=cycle(one.key, now=now) * ROTATE_AFTER.days,
    )


def _mails(one: Untold) -> list[outbox.Owed]:
    to_people = [
        outbox.Owed(MAIL, about=f"{one.event}:{user_id}", to=email)
        for user_id, email in one.people.items()
        if email not in one.mailed
    ]
    to_mailbox = [outbox.Owed(MAIL, about=f"{one.event}:{outbox.MAILBOX}", to=one.mailbox)] if one.mailbox else []
    return to_people + to_mailbox


def _untold(keys: list[ApiKey], *, now: datetime) -> list[Untold]:
    """Of these keys those of which somebody was not told yet in their present 180 days."""
    events = _events(keys, now=now)
    told = notices.told_of(kind=Notice.Kind.KEY_OLD, events=list(events.values()))
    mailed = _mailboxes_told(list(events.values()))
    people_of, boxes = concerned(keys), mailboxes(events)
    found = []
    for key in keys:
        event, people, mailbox = events[key.account_id], people_of[key.account_id], boxes.get(key.account_id, "")
        untold = {user_id: email for user_id, email in people.items() if user_id not in told[event]}
        one = Untold(key, event, mailed[event], untold)
        # An address gets one mail, whether it is a person's, the mailbox's, or both.
        if mailbox not in {"", *people.values(), *mailed[event]}:
            one.mailbox = mailbox
        if one.people or one.mailbox:
            found.append(one)
    return found


def concerned(keys: list[ApiKey]) -> dict[int, dict[int, str]]:
    """`ApiKey.people_concerned` of many keys, by their accounts, with people's addresses."""
    makers = {(key.account_id, key.created_by.user_id) for key in keys if key.created_by}
    asked = Q(role=Role.SUPER_ADMIN) | Q(user_id__in=[user_id for _, user_id in makers])
    members = Member.objects.active().filter(asked, account_id__in=[key.account_id for key in keys])
    found: dict[int, dict[int, str]] = defaultdict(dict)
    for account_id, user_id, role, email in members.values_list("account_id", "user_id", "role", "user__email"):
        if role == Role.SUPER_ADMIN or (account_id, user_id) in makers:
            found[account_id][user_id] = email
    return found


def mailboxes(account_ids: Iterable[int]) -> dict[int, str]:
    confirmed = RoleMailbox.objects.filter(account_id__in=list(account_ids), confirmed_at__isnull=False)
    return dict(confirmed.values_list("account_id", "email"))


def _mailboxes_told(events: list[str]) -> dict[str, set[str]]:
    """The role mailboxes that were mailed about these events."""
    found: dict[str, set[str]] = {event: set() for event in events}
    mails = OutgoingMail.objects.filter(kind=MAIL, about__in=[f"{event}:{outbox.MAILBOX}" for event in events])
    for about, address in mails.values_list("about", "to"):
        found[about.removesuffix(f":{outbox.MAILBOX}")].add(address)
    return found
