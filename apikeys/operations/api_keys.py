"""Create, show, rotate and deactivate the account API key.

Each takes its audit entry in the transaction of the change, and gives the secret out only after that has been
committed (G3). Whatever revokes waits, after the commit, until no gate can still accept the old secret (G1).
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts import notices, revisions
from accounts.actors import By, as_member
from accounts.models import Account, Notice
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
        _tell_others(Notice.Kind.KEY_CREATED, issued.key, people=issued.key.people_concerned(), by=by, now=now)
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
        notices.is_over(account=account, about=str(old.id), now=now)
        _tell_others(Notice.Kind.KEY_ROTATED, issued.key, people=old.people_concerned(), by=by, now=now)
        revisions.take(account=account, now=now)
    revisions.settle()
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
        notices.is_over(account=account, about=str(key.id), now=now)
        _tell_others(Notice.Kind.KEY_DEACTIVATED, key, people=key.people_concerned(), by=by, now=now)
        revisions.take(account=account, now=now)
    revisions.settle()
    return key


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


def _tell_others(kind: Notice.Kind, key: ApiKey, *, people: set[int], by: By, now: datetime) -> None:
    """A notice to each of these people but the one who did it."""
    others = people - {by.actor.user_id}
    facts = {"who": by.actor.name, "last4": key.last4}
    notices.tell(others, kind=kind, event=str(key.id), account=key.account, now=now, **facts)


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
