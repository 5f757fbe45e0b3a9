"""Word by mail of what was done to a key: to everybody concerned, so also to the one in whose name it was done."""

from datetime import datetime, timedelta

from accounts import outbox
from accounts.models import User
from auditlog.actions import Action, Outcome
from auditlog.callers import network
from auditlog.models import AuditEntry

MAIL = "apikeys.key_changed"
PREPARED_MAIL = "apikeys.prepared_key_shown"
# What is told of whenever it is done from elsewhere. Doing something else makes no network known.
TOLD = [
    Action.API_KEY_CREATED,
    Action.API_KEY_VIEWED,
    Action.API_KEY_ROTATED,
    Action.API_KEY_DEACTIVATED,
    Action.PREPARED_KEY_VIEWED,
]
REMEMBERED_FOR = timedelta(days=180)  # a network from which nothing came for longer is new again


def owe(entry: AuditEntry, *, people: set[int], now: datetime) -> None:
    """Owe each of these users a mail about what the entry says."""
    for user in User.objects.filter(pk__in=people, is_active=True):
        outbox.add(MAIL, about=f"{entry.pk}:{user.pk}", to=user.email, now=now)


def owe_of_prepared(entry: AuditEntry, *, people: set[int], now: datetime) -> None:
    """Owe each of these users a mail that the key of a planned rotation was shown."""
    for user in User.objects.filter(pk__in=people, is_active=True):
        outbox.add(PREPARED_MAIL, about=f"{entry.pk}:{user.pk}", to=user.email, now=now)


def is_from_elsewhere(entry: AuditEntry) -> bool:
    """Whether this person did nothing with the key from this network before; true for a shell, which has none.

    Only that counts, since it was told of. Signing in does not: whoever stole a sign-in begins with it.
    """
    before = AuditEntry.objects.filter(account_id=entry.account_id, at__gte=entry.at - REMEMBERED_FOR, pk__lt=entry.pk)
    with_the_key = before.filter(action__in=TOLD, outcome=Outcome.DONE, actor_id=entry.actor_id)
    seen = with_the_key.values_list("address", flat=True).distinct()
    return not entry.address or network(entry.address) not in {network(address) for address in seen}
