"""What changes accounts and their people."""

from datetime import datetime

from django.db import transaction

from accounts import revisions
from accounts.actors import By
from accounts.models import Account, Member, User
from accounts.permissions import Role
from auditlog import journal
from auditlog.actions import Action


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
def join(*, account: Account, user: User, role: Role, by: By, now: datetime) -> Member:
    member = Member.objects.create(account=account, user=user, role=role, joined_at=now)
    journal.record(Action.MEMBER_JOINED, of=account, by=by, target=member, at=now)
    return member


@transaction.atomic
def change_plan(*, account: Account, burst_limit: int, daily_limit: int, by: By, now: datetime) -> None:
    """Set an account's limits: calls in any 10 seconds, calls a day.

    :raises django.core.exceptions.ValidationError: for a limit that is not valid.
    """
    account.lock()
    before = {"burst_limit": account.burst_limit, "daily_limit": account.daily_limit}
    account.burst_limit, account.daily_limit = burst_limit, daily_limit
    account.full_clean(exclude=["number"])
    account.save(update_fields=["burst_limit", "daily_limit"])
    after = {"burst_limit": burst_limit, "daily_limit": daily_limit}
    journal.record(Action.ACCOUNT_PLAN_CHANGED, of=account, by=by, target=account, at=now, before=before, after=after)
    revisions.take(account=account, now=now)


@transaction.atomic
def note_sign_in(*, user: User, now: datetime) -> None:
    """Write a sign-in into the log of each account that the person is a member of."""
    for member in user.memberships.active().select_related("account", "user"):
        journal.record(Action.SIGN_IN_SUCCEEDED, of=member.account, by=member, at=now)
