"""Create, show, rotate and deactivate the account API key.

Each takes its audit entry in the transaction of the change, and gives the secret out only after that has been
committed (G3). Whatever revokes waits, after the commit, until no gate can still accept the old secret (G1).
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts import revisions
from accounts.actors import By, as_member
from accounts.models import Account
from apikeys import secrets
from apikeys.models import ApiKey
from auditlog import journal
from auditlog.actions import Action


class KeyNotCurrentError(Exception):
    """The generation that somebody means to change is not the active one any more."""


class KeyExistsError(Exception):
    """The account has an active key; there is at most one."""


class NoKeyError(Exception):
    """The account has no active key."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    key: ApiKey
    secret: str

    def __repr__(self) -> str:  # the secret must not reach a log or a traceback
        return f"IssuedKey({self.key})"


def create_api_key(*, account: Account, by: By, now: datetime) -> IssuedKey:
    """Issue the account's next key.

    :raises KeyExistsError: if one is active.
    """
    with _outermost():
        account.lock()
        active = account.api_keys.active().first()
        if active is not None:
            raise KeyExistsError(f"This account has an active API key already: generation {active.generation}.")
        issued = _issue(account=account, by=by, now=now)
        journal.record(Action.API_KEY_CREATED, of=account, by=by, target=issued.key, at=now)
        revisions.take(account=account, now=now)
    return issued


def show_api_key(*, account: Account, by: By, now: datetime) -> IssuedKey:
    """Give out the secret of the active key, once the entry that says so is durable.

    :raises NoKeyError: if none is active.
    """
    with _outermost():
        account.lock()
        key = _active(account)
        journal.record(Action.API_KEY_VIEWED, of=account, by=by, target=key, at=now)
    return IssuedKey(key, key.secret())


def rotate_api_key(*, account: Account, generation: int, by: By, now: datetime) -> IssuedKey:
    """Deactivate this generation of the account's key and issue the next, then settle (about a second).

    :raises KeyNotCurrentError: if that generation is not the active one any more.
    """
    with _outermost():
        account.lock()
        old = _current(account, generation)
        old.deactivate(at=now, by=as_member(by), end=ApiKey.End.ROTATED)
        issued = _issue(account=account, by=by, now=now)
        journal.record(Action.API_KEY_ROTATED, of=account, by=by, target=issued.key, at=now, replaced=old.last4)
        revisions.take(account=account, now=now)
    settle(old)
    return issued


def deactivate_api_key(*, account: Account, generation: int, by: By, now: datetime) -> ApiKey:
    """Leave the account without a key, then settle (about a second).

    :raises KeyNotCurrentError: if that generation is not the active one any more.
    """
    with _outermost():
        account.lock()
        key = _current(account, generation)
        key.deactivate(at=now, by=as_member(by), end=ApiKey.End.DEACTIVATED)
        journal.record(Action.API_KEY_DEACTIVATED, of=account, by=by, target=key, at=now)
        revisions.take(account=account, now=now)
    settle(key)
    return key


def settle(ended: ApiKey) -> datetime:
    """Wait until no gate can still accept an ended key, and note when that was; to be called after the commit.

    Whoever finds the note missing, because the process that ended the key died while it waited, may call this too.
    """
    revisions.settle()
    # `now` of the operation is from before it held the lock: only the clock after the wait is late enough.
    ended.settled_at = settled_at = timezone.now()
    ApiKey.objects.filter(pk=ended.pk, settled_at=None).update(settled_at=settled_at)
    return settled_at


def _outermost() -> transaction.Atomic:
    """A transaction that really commits when it ends; inside another one, nothing would be durable yet."""
    return transaction.atomic(durable=True)


def _issue(*, account: Account, by: By, now: datetime) -> IssuedKey:
    newest = account.api_keys.order_by("-generation").values_list("generation", flat=True).first()
    secret = secrets.generate(secrets.Kind.API_KEY)
    key = ApiKey(account=account, generation=(newest or 0) + 1, created_at=now, created_by=as_member(by))
    key.keep(secret)
    key.save(force_insert=True)
    return IssuedKey(key, secret)


def _active(account: Account) -> ApiKey:
    key = account.api_keys.active().first()
    if key is None:
        raise NoKeyError("This account has no active API key.")
    return key


def _current(account: Account, generation: int) -> ApiKey:
    key = account.api_keys.active().filter(generation=generation).first()
    if key is not None:
        return key
    meant = account.api_keys.select_related("deactivated_by__user").filter(generation=generation).first()
    if meant is None or meant.deactivated_at is None:
        raise KeyNotCurrentError("This account has no such API key.")
    who = meant.deactivated_by or "an operator"
    raise KeyNotCurrentError(f"This API key was {meant.get_end_display()} by {who} a moment ago.")
