"""Create, show, rotate and deactivate the account API key.

Each takes its audit entry in the transaction of the change, and gives the secret out only after that has been
committed (G3). Whatever revokes waits, after the commit, until no gate can still accept the old secret (G1).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from accounts import notices, revisions
from accounts.actors import By, as_member
from accounts.models import Account, Member, Notice
from accounts.permissions import Permission
from accounts.sealing import UnsealError
from apikeys import secrets
from apikeys.models import ApiKey
from apikeys.operations import word_of_changes
from auditlog import journal
from auditlog.actions import Action
from auditlog.models import AuditEntry


class RefusedError(Exception):
    """The operation changed nothing. The text says why, to people; the attempt is an entry (G3)."""


class KeyNotCurrentError(RefusedError):
    """The generation that somebody means to change is not the active one any more.

    :param ended: what that generation is by now; None if the account never had it.
    """

    def __init__(self, ended: ApiKey | None = None) -> None:
        super().__init__(_how_it_ended(ended) if ended else _("This account has no such API key."))
        self.ended = ended


class KeyExistsError(RefusedError):
    """The account has an active key; there is at most one."""


class NoKeyError(RefusedError):
    """The account has no active key."""


class MayNotError(RefusedError, PermissionDenied):
    """The member left or lost the role while the request was under way."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    key: ApiKey
    secret: str

    def __repr__(self) -> str:  # the secret must not reach a log or a traceback
        return f"IssuedKey({self.key})"


def create_api_key(*, account: Account, by: By, now: datetime) -> IssuedKey:
    """Issue the account's next key.

    :raises KeyExistsError: if one is active.
    :raises MayNotError: if `by` is a member who may not any more.
    """
    with _refusal_is_entry(Action.API_KEY_CREATED, of=account, by=by, at=now), _outermost():
        _lock(account, by)
        active = account.api_keys.active().first()
        if active is not None:
            raise KeyExistsError(
                _("This account has an active API key already, ending in %(last4)s.") % {"last4": active.last4}
            )
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
    with _refusal_is_entry(Action.API_KEY_VIEWED, of=account, by=by, at=now):
        with _outermost():
            _lock(account, by)
            key = _active(account)
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
    with _refusal_is_entry(Action.API_KEY_ROTATED, of=account, by=by, at=now), _outermost():
        _lock(account, by)
        old = _current(account, generation)
        old.deactivate(at=now, by=as_member(by), end=ApiKey.End.ROTATED)
        issued = _issue(account=account, by=by, now=now)
        entry = journal.record(Action.API_KEY_ROTATED, of=account, by=by, target=issued.key, at=now, replaced=old.last4)
        notices.is_over(account=account, about=str(old.id), now=now)
        _tell(Notice.Kind.KEY_ROTATED, entry, issued.key, people=old.people_concerned(), by=by, now=now)
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
    with _refusal_is_entry(Action.API_KEY_DEACTIVATED, of=account, by=by, at=now), _outermost():
        _lock(account, by)
        key = _current(account, generation)
        key.deactivate(at=now, by=as_member(by), end=ApiKey.End.DEACTIVATED)
        entry = journal.record(Action.API_KEY_DEACTIVATED, of=account, by=by, target=key, at=now)
        notices.is_over(account=account, about=str(key.id), now=now)
        _tell(Notice.Kind.KEY_DEACTIVATED, entry, key, people=key.people_concerned(), by=by, now=now)
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


@contextmanager
def _refusal_is_entry(action: Action, *, of: Account, by: By, at: datetime) -> Iterator[None]:
    """Write an attempt that fails into the log, after its own transaction was undone."""
    try:
        yield
    except (RefusedError, UnsealError) as refusal:
        journal.record_refusal(action, of=of, by=by, reason=str(refusal), at=at)
        raise


def _lock(account: Account, by: By) -> None:
    """Hold the account, and look once more whether a member may: what let them in was read before the lock."""
    account.lock()
    if isinstance(by, Member):
        current = account.members.active().filter(pk=by.pk).first()
        if current is None or not current.may(Permission.MANAGE_API_KEY):
            raise MayNotError(_("Your role does not allow this any more."))


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


def _active(account: Account) -> ApiKey:
    key = account.api_keys.active().first()
    if key is None:
        raise NoKeyError(_("This account has no active API key."))
    return key


def _current(account: Account, generation: int | None) -> ApiKey:
    if generation is None:
        return _active(account)
    key = account.api_keys.active().filter(generation=generation).first()
    if key is not None:
        return key
    meant = account.api_keys.select_related("deactivated_by__user").filter(generation=generation).first()
    raise KeyNotCurrentError(meant)


def _how_it_ended(key: ApiKey) -> str:
    by = key.deactivated_by
    return _("The API key ending in %(last4)s was %(end)s by %(who)s on %(when)s.") % {
        "last4": key.last4,
        "end": key.get_end_display(),
        "who": f"{by} ({by.user.email})" if by else _("an operator"),  # anybody may choose any name
        "when": formats.date_format(timezone.localtime(key.deactivated_at), "FULL_DATETIME_FORMAT"),
    }
