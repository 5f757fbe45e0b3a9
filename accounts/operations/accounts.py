"""Accounts: opened, given a plan, suspended, closed, reopened."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import revisions
from accounts.actors import By, require_operator
from accounts.models import Account, User
from accounts.names import tidy
from accounts.operations.members import join, require_manager
from accounts.permissions import Permission, Role
from auditlog import journal
from auditlog.actions import Action


class StateError(Exception):
    """The account is in no state from which this leads on; the text says which one it is in."""


class ChangesState(Protocol):
    """One of `suspend_account`, `close_account`, `reopen_account`."""

    def __call__(self, *, account: Account, reason: str, by: By, now: datetime) -> None: ...


@transaction.atomic
def create_account(
    *, name: str, slug: str, super_admin: User, by: By, now: datetime, time_zone: str = "UTC"
) -> Account:
    """Open an account with its first super admin.

    :raises django.core.exceptions.ValidationError: if the slug is taken or a field is not valid.
    """
    account = Account(name=name, slug=slug, time_zone=time_zone, created_at=now)
    account.full_clean(exclude=["number"])
    account.save()
    journal.record(Action.ACCOUNT_CREATED, of=account, by=by, target=account, at=now)
    join(account=account, user=super_admin, role=Role.SUPER_ADMIN, by=by, now=now)
    return account


@transaction.atomic
def change_settings(*, account: Account, name: str, time_zone: str, by: By, now: datetime) -> None:
    """Give an account another name or time zone. Its day, by which the daily limit counts, is that of the zone at once.

    What was called stays counted for the date that it was then: no change of zone makes any date's number larger.

    :raises NotAllowedError: if `by` may not any more.
    :raises django.core.exceptions.ValidationError: for a name or zone that is not valid.
    """
    account.lock()
    require_manager(by, account=account, to=Permission.MANAGE_ACCOUNT)
    account.refresh_from_db(fields=["name", "time_zone"])
    before = {"name": account.name, "time_zone": account.time_zone}
    account.name, account.time_zone = tidy(name), time_zone
    after = {"name": account.name, "time_zone": account.time_zone}
    if after == before:
        return
    account.full_clean(exclude=["number"])
    account.save(update_fields=["name", "time_zone"])
    changed = Action.ACCOUNT_SETTINGS_CHANGED
    journal.record(changed, of=account, by=by, target=account, at=now, before=before, after=after)
    if after["time_zone"] != before["time_zone"]:
        revisions.take(account=account, now=now)  # gates keep the zone


@transaction.atomic
def change_plan(
    *, account: Account, burst_limit: int | None = None, daily_limit: int | None = None, by: By, now: datetime
) -> None:
    """Set an account's limits: calls in any 10 seconds, calls a day. None leaves a limit as it is.

    :raises django.core.exceptions.ValidationError: for a limit that is not valid; none would be to suspend the account.
    """
    account.lock()
    require_operator(by)
    account.refresh_from_db(fields=["burst_limit", "daily_limit"])
    before = {"burst_limit": account.burst_limit, "daily_limit": account.daily_limit}
    named = {"burst_limit": burst_limit, "daily_limit": daily_limit}
    after = before | {name: limit for name, limit in named.items() if limit is not None}
    if after == before:
        return
    if min(after.values()) < 1:
        raise ValidationError({name: _("At least 1.") for name, limit in after.items() if limit < 1})
    account.burst_limit, account.daily_limit = after["burst_limit"], after["daily_limit"]
    account.full_clean(exclude=["number"])
    account.save(update_fields=["burst_limit", "daily_limit"])
    journal.record(Action.ACCOUNT_PLAN_CHANGED, of=account, by=by, target=account, at=now, before=before, after=after)
    revisions.take(account=account, now=now)


def suspend_account(*, account: Account, reason: str, by: By, now: datetime) -> None:
    """Refuse all of an open account's credentials until it is reopened, then settle (about a second, G1).

    :raises StateError: if it is not open.
    """
    here = {Account.State.OPEN}
    _enter(Account.State.SUSPENDED, Action.ACCOUNT_SUSPENDED, here, account=account, reason=reason, by=by, now=now)


def close_account(*, account: Account, reason: str, by: By, now: datetime) -> None:
    """Refuse all of an account's credentials, for good unless it is reopened, then settle (about a second, G1).

    :raises StateError: if it is closed.
    """
    here = {Account.State.OPEN, Account.State.SUSPENDED}
    _enter(Account.State.CLOSED, Action.ACCOUNT_CLOSED, here, account=account, reason=reason, by=by, now=now)


def reopen_account(*, account: Account, reason: str, by: By, now: datetime) -> None:
    """Let the credentials of a suspended or closed account pass again, then settle: when this returns, they do.

    :raises StateError: if it is open.
    """
    here = {Account.State.SUSPENDED, Account.State.CLOSED}
    _enter(Account.State.OPEN, Action.ACCOUNT_REOPENED, here, account=account, reason=reason, by=by, now=now)


def _enter(
    state: Account.State,
    action: Action,
    here: Collection[Account.State],
    *,
    account: Account,
    reason: str,
    by: By,
    now: datetime,
) -> None:
    with transaction.atomic(durable=True):  # the wait below counts from a commit
        account.lock()
        require_operator(by)
        account.refresh_from_db(fields=["state"])
        before = Account.State(account.state)
        if before not in here:
            raise StateError(f"This account is {before.label.lower()}.")
        account.state = state
        account.save(update_fields=["state"])
        journal.record(action, of=account, by=by, target=account, at=now, reason=reason, before=before, after=state)
        revisions.take(account=account, now=now)
    revisions.settle()
