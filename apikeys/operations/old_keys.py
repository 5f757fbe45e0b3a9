"""Telling people in the portal that a key is due: once per person, key and 180 days in which it was not rotated."""

from datetime import datetime

from django.db import transaction

from accounts import notices
from accounts.models import Account, Notice
from apikeys.models import ApiKey
from apikeys.models.api_key import ROTATE_AFTER


def tell_of_old_keys(*, now: datetime) -> None:
    """Tell each super admin of an account with an old key, and who made the key. A second run tells nobody twice."""
    old = ApiKey.objects.active().filter(created_at__lte=now - ROTATE_AFTER, account__state=Account.State.OPEN)
    for key in list(old.select_related("account", "created_by")):
        if _not_told(key, now=now):
            _tell(key.account, now=now)


def _cycle(key: ApiKey, *, now: datetime) -> int:
    """How many times 180 days have passed since the key was made."""
    return key.age(now=now) // ROTATE_AFTER


def _event(key: ApiKey, *, now: datetime) -> str:
    return f"{key.id}:{_cycle(key, now=now)}"


def _not_told(key: ApiKey, *, now: datetime) -> bool:
    return bool(key.people_concerned() - notices.told(kind=Notice.Kind.KEY_OLD, event=_event(key, now=now)))


@transaction.atomic
def _tell(account: Account, *, now: datetime) -> None:
    account.lock()  # a rotation of this moment is either seen here or takes back what is told here
    key = account.api_keys.active().filter(created_at__lte=now - ROTATE_AFTER).select_related("created_by").first()
    if key is None:
        return
    notices.tell(
        key.people_concerned(),
        kind=Notice.Kind.KEY_OLD,
        event=_event(key, now=now),
        about=str(key.id),
        account=account,
        now=now,
        last4=key.last4,
        days=_cycle(key, now=now) * ROTATE_AFTER.days,
    )
