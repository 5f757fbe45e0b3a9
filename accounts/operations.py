"""What changes accounts and their people."""

from datetime import datetime
from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction

from accounts import revisions, second_factors
from accounts.actors import By, Operator, Person
from accounts.models import Account, Member, User
from accounts.permissions import Role
from auditlog import journal
from auditlog.actions import Action, Outcome


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
    if role == Role.SUPER_ADMIN:
        second_factors.expect(user, now=now)
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
def remove_second_factors(*, user: User, by: By, now: datetime) -> list[str]:
    """Take away all second factors and recovery codes of who lost them; their kinds.

    A super admin or operator whose days of grace are over then finds only the page to add one.
    """
    lost = Authenticator.objects.select_for_update().filter(user=user).order_by("type", "pk")
    kinds = [str(authenticator.type) for authenticator in lost]
    lost.delete()
    for kind in kinds:
        if kind in second_factors.KINDS:
            note(Action.SECOND_FACTOR_REMOVED, user=user, by=by, now=now, kind=kind)
    return kinds


@transaction.atomic
def note(
    action: Action,
    *,
    user: User,
    now: datetime,
    by: By | None = None,
    outcome: Outcome = Outcome.DONE,
    reason: str = "",
    **details: Any,
) -> None:
    """Write what a person did about their own sign-in into the log of each account that they are a member of.

    Of who is a member of none it goes into the entries without an account.

    :param by: who did it instead.
    """
    said: dict[str, Any] = {"at": now, "outcome": outcome, "reason": reason, **details}
    members = list(user.memberships.active().select_related("account", "user"))
    for member in members:
        journal.record(action, of=member.account, by=by or member, target=member if by else None, **said)
    if not members:
        themselves = Operator(user) if user.is_staff else Person(user)
        journal.record(action, of=None, by=by or themselves, target=user if by else None, **said)


@transaction.atomic
def note_failed_sign_in(*, email: str, reason: str, now: datetime) -> None:
    """Write down a failed sign-in, of an address that nobody has too: it must take as long.

    Such an address is not kept. Who mistook the field typed a password into it.
    """
    user = User.objects.filter(email__iexact=email).first()
    if user is not None:
        note(Action.SIGN_IN_FAILED, user=user, now=now, outcome=Outcome.REFUSED, reason=reason)
    else:
        refused = Outcome.REFUSED
        journal.record(Action.SIGN_IN_FAILED, of=None, by=Person(), at=now, outcome=refused, reason=reason)
