"""Reminding people of a key that is due: a notice and a mail, once per person, key and 180 days of its age (G6)."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from accounts import notices, outbox
from accounts.models import Account, Member, Notice, User
from accounts.permissions import Role
from apikeys.models import ApiKey
from apikeys.models.api_key import ROTATE_AFTER

MAIL = "apikeys.rotation_due"
KEYS_AT_ONCE = 500


def remind(*, now: datetime) -> int:
    """Tell each super admin of an account with an old key, and who made the key; how many were told now.

    A second run, at the same time or later, tells nobody twice.
    """
    return sum(_tell(account, now=now) for account in _accounts_due(now=now))


def cycle(key: ApiKey, *, now: datetime) -> int:
    """How many times 180 days have passed since the key was made."""
    return key.age(now=now) // ROTATE_AFTER


def _event(key: ApiKey, *, now: datetime) -> str:
    return f"{key.id}:{cycle(key, now=now)}"


def _accounts_due(*, now: datetime) -> Iterator[Account]:
    """Accounts with an old key of which somebody was not told yet, without holding more than a few at once."""
    due = ApiKey.objects.active().filter(created_at__lte=now - ROTATE_AFTER, account__state=Account.State.OPEN)
    oldest_first = due.select_related("account", "created_by").order_by("created_at", "id")
    last: ApiKey | None = None
    while True:
        later = Q(created_at__gt=last.created_at) | Q(created_at=last.created_at, id__gt=last.id) if last else Q()
        keys = list(oldest_first.filter(later)[:KEYS_AT_ONCE])
        if not keys:
            return
        told = notices.told_of(kind=Notice.Kind.KEY_OLD, events=[_event(key, now=now) for key in keys])
        concerned = _concerned(keys)
        yield from (key.account for key in keys if concerned[key.account_id] - told[_event(key, now=now)])
        last = keys[-1]


def _concerned(keys: list[ApiKey]) -> dict[int, set[int]]:
    """`ApiKey.people_concerned` of many keys, by their accounts."""
    makers = {(key.account_id, key.created_by.user_id) for key in keys if key.created_by}
    asked = Q(role=Role.SUPER_ADMIN) | Q(user_id__in=[user_id for _, user_id in makers])
    members = Member.objects.active().filter(asked, account_id__in=[key.account_id for key in keys])
    found: dict[int, set[int]] = defaultdict(set)
    for account_id, user_id, role in members.values_list("account_id", "user_id", "role"):
        if role == Role.SUPER_ADMIN or (account_id, user_id) in makers:
            found[account_id].add(user_id)
    return found


@transaction.atomic
def _tell(account: Account, *, now: datetime) -> int:
    account.lock()  # a rotation of this moment is either seen here or takes back what is told here
    key = account.api_keys.active().filter(created_at__lte=now - ROTATE_AFTER).select_related("created_by").first()
    if key is None:
        return 0
    event = _event(key, now=now)
    people = key.people_concerned() - notices.told(kind=Notice.Kind.KEY_OLD, event=event)
    notices.tell(
        people,
        kind=Notice.Kind.KEY_OLD,
        event=event,
        about=str(key.id),
        account=account,
        now=now,
        last4=key.last4,
        days=cycle(key, now=now) * ROTATE_AFTER.days,
    )
    for user in User.objects.filter(pk__in=people):
        outbox.add(MAIL, about=f"{event}:{user.pk}", to=user.email, now=now)
    return len(people)
