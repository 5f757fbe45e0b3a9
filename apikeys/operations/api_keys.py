"""Create, show, rotate and deactivate the account API key.

Each takes its audit entry in the transaction of the change, and gives the secret out only after that has been
committed (G3). Whatever revokes waits, after the commit, until no gate can still accept the old secret (G1).
"""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import notices, revisions
from accounts.actors import By, as_member
from accounts.models import Account, Notice
from apikeys import secrets
from apikeys.models import ApiKey, Sunset
from apikeys.operations import key_ends, word_of_changes
from apikeys.operations.attempts import (
    KeyNotCurrentError,
    MayNotError,
    NoKeyError,
    RefusedError,
    active_key,
    current_key,
    lock,
    outermost,
    refusal_is_entry,
)
from auditlog import journal
from auditlog.actions import Action
from auditlog.models import AuditEntry

__all__ = [
    "CreationEndedError",
    "IssuedKey",
    "KeyExistsError",
    "KeyNotCurrentError",
    "MayNotError",
    "NoKeyError",
    "RefusedError",
    "create_api_key",
    "deactivate_api_key",
    "rotate_api_key",
    "settle",
    "show_api_key",
]


class KeyExistsError(RefusedError):
    """The account has an active key; there is at most one."""


class CreationEndedError(RefusedError):
    """By an announced end, accounts without a key get none any more."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    key: ApiKey
    secret: str

    def __repr__(self) -> str:  # the secret must not reach a log or a traceback
        return f"IssuedKey({self.key})"


def create_api_key(*, account: Account, by: By, now: datetime) -> IssuedKey:
    """Issue the account's next key.

    :raises KeyExistsError: if one is active.
    :raises CreationEndedError: once an announced end has come.
    :raises MayNotError: if `by` is a member who may not any more.
    """
    with refusal_is_entry(Action.API_KEY_CREATED, of=account, by=by, at=now), outermost():
        lock(account, by)
        active = account.api_keys.active().first()
        if active is not None:
            raise KeyExistsError(
                _("This account has an active API key already, ending in %(last4)s.") % {"last4": active.last4}
            )
        if Sunset.objects.creation_has_ended_for(account):
            raise CreationEndedError(_("No new API keys are created any more. Use a private app or OAuth instead."))
        issued = _issue(account=account, by=by, now=now)
        entry = journal.record(Action.API_KEY_CREATED, of=account, by=by, target=issued.key, at=now)
        _tell(Notice.Kind.KEY_CREATED, entry, issued.key, people=issued.key.people_concerned(), by=by, now=now)
        revisions.take(account=account, now=now)
    return issued


def show_api_key(*, account: Account, by: By, now: datetime) -> IssuedKey:
    """Give out the secret of the active key, once the entry that says so is durable.

    :raises NoKeyError: if none is active.
    :raises MayNotError: if `by` is a member who may not any more.
    :raises UnsealError: if the secret cannot be opened.
    """
    with refusal_is_entry(Action.API_KEY_VIEWED, of=account, by=by, at=now):
        with outermost():
            lock(account, by)
            key = active_key(account)
            entry = journal.record(Action.API_KEY_VIEWED, of=account, by=by, target=key, at=now)
            if word_of_changes.is_from_elsewhere(entry):
                word_of_changes.owe(entry, people=key.people_concerned(), now=now)
        return IssuedKey(key, key.secret())


def rotate_api_key(*, account: Account, generation: int | None, by: By, now: datetime) -> IssuedKey:
    """Deactivate this generation of the account's key and issue the next, then settle (about a second).

    :param generation: the one that `by` saw; None: whichever is active.
    :raises KeyNotCurrentError: if that generation is not the active one any more.
    :raises NoKeyError: if none was named and none is active.
    :raises MayNotError: if `by` is a member who may not any more.
    """
    with refusal_is_entry(Action.API_KEY_ROTATED, of=account, by=by, at=now), outermost():
        lock(account, by)
        old = current_key(account, generation)
        old.deactivate(at=now, by=as_member(by), end=ApiKey.End.ROTATED)
        issued = _issue(account=account, by=by, now=now)
        entry = journal.record(Action.API_KEY_ROTATED, of=account, by=by, target=issued.key, at=now, replaced=old.last4)
        people = old.people_concerned()
        key_ends.close(old, people=people, by=by, now=now)
        _tell(Notice.Kind.KEY_ROTATED, entry, issued.key, people=people, by=by, now=now)
        revisions.take(account=account, now=now)
    settle(old)
    return issued


def deactivate_api_key(*, account: Account, generation: int | None, by: By, now: datetime) -> ApiKey:
    """Leave the account without a key, then settle (about a second).

    :param generation: the one that `by` saw; None: whichever is active.
    :raises KeyNotCurrentError: if that generation is not the active one any more.
    :raises NoKeyError: if none was named and none is active.
    :raises MayNotError: if `by` is a member who may not any more.
    """
    with refusal_is_entry(Action.API_KEY_DEACTIVATED, of=account, by=by, at=now), outermost():
        lock(account, by)
        key = current_key(account, generation)
        key.deactivate(at=now, by=as_member(by), end=ApiKey.End.DEACTIVATED)
        entry = journal.record(Action.API_KEY_DEACTIVATED, of=account, by=by, target=key, at=now)
        people = key.people_concerned()
        key_ends.close(key, people=people, by=by, now=now)
        _tell(Notice.Kind.KEY_DEACTIVATED, entry, key, people=people, by=by, now=now)
        revisions.take(account=account, now=now)
    settle(key)
    return key


def settle(*ended: ApiKey) -> datetime:
    """Wait until no gate can still accept these ended keys, and note when that was; to be called after the commit.

    Whoever finds the note missing, because the process that ended the key died while it waited, may call this too.
    """
    revisions.settle()
    # `now` of the operation is from before it held the lock: only the clock after the wait is late enough.
    settled_at = timezone.now()
    ApiKey.objects.filter(pk__in=[key.pk for key in ended], settled_at=None).update(settled_at=settled_at)
    return settled_at


def _issue(*, account: Account, by: By, now: datetime) -> IssuedKey:
    newest = account.api_keys.order_by("-generation").values_list("generation", flat=True).first()
    secret = secrets.generate(secrets.Kind.API_KEY)
    key = ApiKey(account=account, generation=(newest or 0) + 1, created_at=now, created_by=as_member(by))
    key.keep(secret)
    key.save(force_insert=True)
    return IssuedKey(key, secret)


def _tell(kind: Notice.Kind, entry: AuditEntry, key: ApiKey, *, people: set[int], by: By, now: datetime) -> None:
    """A mail to each of these people, and a notice to each but the one who did it."""
    word_of_changes.owe(entry, people=people, now=now)
    others = people - {by.actor.user_id}
    facts = {"who": by.actor.name, "last4": key.last4}
    notices.tell(others, kind=kind, event=str(key.id), account=key.account, now=now, **facts)
