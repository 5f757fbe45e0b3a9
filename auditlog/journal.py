"""The one way to write the audit log: an entry shares the transaction of its change, so there is both or neither."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Protocol

from django.db import connection, transaction

from auditlog import origin
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry

ENTRIES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, in words that outlive the person's membership."""

    kind: str  # member | operator | person | system
    name: str
    email: str = ""
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What it was done to."""

    kind: str
    id: str
    name: str
    details: dict[str, Any] = field(default_factory=dict)


class HasActor(Protocol):
    @property
    def actor(self) -> Actor: ...


class HasTarget(Protocol):
    @property
    def target(self) -> Target: ...


class HasPk(Protocol):
    pk: Any


def record(
    action: Action,
    *,
    of: HasPk | None,
    by: HasActor,
    at: datetime,
    target: HasTarget | None = None,
    outcome: Outcome = Outcome.DONE,
    reason: str = "",
    **details: Any,
) -> AuditEntry:
    """Write one entry about an account (`of`), or about none.

    :raises RuntimeError: outside a transaction.
    """
    _require_transaction()
    told = _entry(action, by=by, at=at, target=target, outcome=outcome, reason=reason, details=details)
    told.account_id = of.pk if of else None
    told.save(force_insert=True)
    return told


def record_for_each(
    account_ids: Iterable[int],
    action: Action,
    *,
    by: HasActor,
    at: datetime,
    target: HasTarget,
    reason: str = "",
    **details: Any,
) -> None:
    """Write what concerns many accounts into the log of each.

    :raises RuntimeError: outside a transaction.
    """
    _require_transaction()
    ids = iter(account_ids)
    while some := list(islice(ids, ENTRIES_AT_ONCE)):
        entries = [_entry(action, by=by, at=at, target=target, reason=reason, details=details) for _ in some]
        for account_id, entry in zip(some, entries, strict=True):
            entry.account_id = account_id
        AuditEntry.objects.bulk_create(entries)


def _require_transaction() -> None:
    if not connection.in_atomic_block:
        raise RuntimeError("An audit entry must share the transaction of its change.")


def _entry(
    action: Action,
    *,
    by: HasActor,
    at: datetime,
    target: HasTarget | None,
    details: dict[str, Any],
    outcome: Outcome = Outcome.DONE,
    reason: str = "",
) -> AuditEntry:
    actor = by.actor
    about = target.target if target else Target(kind="", id="", name="")
    came_from = origin.current.get()
    return AuditEntry(
        at=at,
        category=action.category,
        action=action,
        outcome=outcome,
        reason=reason[:200],
        actor_kind=actor.kind,
        actor_id=actor.user_id,
        actor_name=actor.name[:200],
        actor_email=actor.email,
        target_kind=about.kind,
        target_id=about.id,
        target_name=about.name[:200],
        details=about.details | details,
        address=came_from.address,
        user_agent=came_from.user_agent,
        request_id=came_from.request_id,
    )


def record_refusal(
    action: Action, *, of: HasPk, by: HasActor, reason: str, at: datetime, target: HasTarget | None = None
) -> AuditEntry:
    """Write down an attempt that was turned away, in a transaction of its own (G3)."""
    with transaction.atomic():
        return record(action, of=of, by=by, at=at, target=target, outcome=Outcome.REFUSED, reason=reason)
