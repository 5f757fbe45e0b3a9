"""What every operation on keys and connections begins with: the account held, a refusal written down."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from accounts.actors import By
from accounts.models import Account, Member
from accounts.permissions import Permission
from accounts.sealing import UnsealError
from apikeys.models import ApiKey
from auditlog import journal
from auditlog.actions import Action


class RefusedError(Exception):
    """The operation changed nothing. The text says why, to people; the attempt is an entry (G3)."""


class KeyNotCurrentError(RefusedError):
    """The generation that somebody means to change is not the active one any more.

    :param ended: what that generation is by now; None if the account never had it.
    """

    def __init__(self, ended: ApiKey | None = None) -> None:
        super().__init__(_how_it_ended(ended) if ended else _("This account has no such API key."))
        self.ended = ended


class NoKeyError(RefusedError):
    """The account has no active key."""


class MayNotError(RefusedError, PermissionDenied):
    """The member left or lost the role while the request was under way."""


def outermost() -> transaction.Atomic:
    """A transaction that really commits when it ends; inside another one, nothing would be durable yet."""
    return transaction.atomic(durable=True)


@contextmanager
def refusal_is_entry(
    action: Action, *, of: Account, by: By, at: datetime, target: journal.HasTarget | None = None
) -> Iterator[None]:
    """Write an attempt that fails into the log, after its own transaction was undone."""
    try:
        yield
    except (RefusedError, UnsealError) as refusal:
        journal.record_refusal(action, of=of, by=by, target=target, reason=str(refusal), at=at)
        raise


def lock(account: Account, by: By, *, to: Permission = Permission.MANAGE_API_KEY) -> None:
    """Hold the account, and look once more whether a member may: what let them in was read before the lock."""
    account.lock()
    if isinstance(by, Member):
        current = account.members.active().filter(pk=by.pk).first()
        if current is None or not current.may(to):
            raise MayNotError(_("Your role does not allow this any more."))


def active_key(account: Account) -> ApiKey:
    key = account.api_keys.active().first()
    if key is None:
        raise NoKeyError(_("This account has no active API key."))
    return key


def current_key(account: Account, generation: int | None) -> ApiKey:
    if generation is None:
        return active_key(account)
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
