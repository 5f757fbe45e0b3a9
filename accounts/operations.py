"""What changes accounts and their people."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import outbox, revisions, second_factors
from accounts.actors import By, Operator, Person, require_operator
from accounts.models import Account, Member, User
from accounts.permissions import Permission, Role
from auditlog import journal
from auditlog.actions import Action, Outcome

# A mail tells the person of each of these entries about their sign-in: what, when, from where.
SIGN_IN_MAIL = "accounts.sign_in_changed"
MAILED = frozenset(
    {
        Action.PASSWORD_CHANGED,
        Action.PASSWORD_RESET,
        Action.ADDRESS_CHANGED,
        Action.SECOND_FACTOR_ADDED,
        Action.SECOND_FACTOR_REMOVED,
        Action.RECOVERY_CODES_GENERATED,
        Action.RECOVERY_CODE_USED,
        Action.PROVIDER_CONNECTED,
        Action.PROVIDER_DISCONNECTED,
    }
)


class PeopleError(Exception):
    """Why nobody's place was changed, in words for whoever asked."""


class NotAMemberError(PeopleError):
    """They have left, or been removed."""


class AlreadyMemberError(PeopleError):
    """They have a place in the account."""


class NotAllowedError(PeopleError):
    """Who asks may not do it, or may not any more."""


class LastSuperAdminError(PeopleError):
    """The account would be left without an active super admin (G12)."""


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
def join(*, account: Account, user: User, role: Role, by: By | None, now: datetime, **details: Any) -> Member:
    """Give a person a place in the account.

    :param by: who added them; None: they came on their own, by invitation.
    """
    if role == Role.SUPER_ADMIN:
        second_factors.expect(user, now=now)
    member = Member.objects.create(account=account, user=user, role=role, joined_at=now)
    journal.record(Action.MEMBER_JOINED, of=account, by=by or member, target=member, at=now, **details)
    return member


@transaction.atomic
def add_member(*, account: Account, email: str, role: Role, by: By, now: datetime) -> Member:
    """Give a place without an invitation; to somebody whose address is not known yet as to a new person.

    :raises PeopleError: if they have one, may not sign in, or if `by` may not.
    :raises django.core.exceptions.ValidationError: for what is not an e-mail address.
    """
    account.lock()
    require_manager(by, account=account)
    user = User.objects.find_or_make(email)
    if not user.is_active:
        raise PeopleError(_("%(email)s may not sign in.") % {"email": user.email})
    if account.members.active().filter(user=user).exists():
        raise AlreadyMemberError(_("%(email)s is a member of this account already.") % {"email": user.email})
    return join(account=account, user=user, role=role, by=by, now=now)


def change_role(*, member: Member, role: Role, by: By, now: datetime) -> Member:
    """Give a member another role, from their next request on.

    :raises PeopleError: if they have left, if `by` may not, or if no super admin would remain.
    """
    with refusal_is_entry(Action.MEMBER_ROLE_CHANGED, target=member, by=by, at=now), transaction.atomic():
        current = _alone_with(member)
        require_manager(by, account=current.account)
        before = current.role
        if role == before:
            return current
        if before == Role.SUPER_ADMIN:
            _require_another_super_admin(current)
        current.role = role
        current.save(update_fields=["role"])
        if role == Role.SUPER_ADMIN:
            second_factors.expect(current.user, now=now)
        changed = Action.MEMBER_ROLE_CHANGED
        journal.record(changed, of=current.account, by=by, target=current, at=now, previous_role=before)
        return current


def remove(*, member: Member, by: By, now: datetime) -> None:
    """End a member's place in the account, from their next request on.

    :raises PeopleError: if they have left, if `by` may not, or if no super admin would remain.
    """
    with refusal_is_entry(Action.MEMBER_REMOVED, target=member, by=by, at=now), transaction.atomic():
        current = _alone_with(member)
        require_manager(by, account=current.account)
        _end(current, by=by, action=Action.MEMBER_REMOVED, now=now)


def leave(*, member: Member, now: datetime) -> None:
    """Give up one's own place in the account.

    :raises PeopleError: if it has ended already, or if no super admin would remain.
    """
    with refusal_is_entry(Action.MEMBER_LEFT, target=member, by=member, at=now), transaction.atomic():
        current = _alone_with(member)
        _end(current, by=current, action=Action.MEMBER_LEFT, now=now)


class InAnAccount(journal.HasTarget, Protocol):
    """A member, an invitation."""

    account: Account


@contextmanager
def refusal_is_entry(action: Action, *, target: InAnAccount, by: By, at: datetime) -> Iterator[None]:
    """Write an attempt that fails into the log, after its own transaction was undone."""
    try:
        yield
    except PeopleError as refusal:
        journal.record_refusal(action, of=target.account, by=by, target=target, reason=str(refusal), at=at)
        raise


def require_manager(by: By, *, account: Account) -> None:
    """Ask the store, with the account locked, whether `by` may still manage its members.

    :raises NotAllowedError: if not: somebody else may have been faster.
    """
    if not isinstance(by, Member):
        return
    current = account.members.active().filter(pk=by.pk).first()
    if current is None or not current.may(Permission.MANAGE_MEMBERS):
        raise NotAllowedError(_("Only super admins of this account can do this. You are none any more."))


def _alone_with(member: Member) -> Member:
    """The member as they are now, with the account locked: nobody else changes its people until commit.

    :raises NotAMemberError: if they have left.
    """
    member.account.lock()
    current = Member.objects.active().select_related("account", "user").filter(pk=member.pk).first()
    if current is None:
        raise NotAMemberError(_("%(person)s is no member of this account any more.") % {"person": member})
    return current


def _end(current: Member, *, by: By, action: Action, now: datetime) -> None:
    if current.role == Role.SUPER_ADMIN:
        _require_another_super_admin(current)
    current.leave(at=max(now, current.joined_at))
    journal.record(action, of=current.account, by=by, target=current, at=now)


def _require_another_super_admin(member: Member) -> None:
    if not member.account.super_admins().exclude(pk=member.pk).exists():
        raise LastSuperAdminError(
            _("%(person)s is the only super admin of this account. Make somebody else super admin first.")
            % {"person": member}
        )


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


@transaction.atomic
def save_profile(person: User, *, now: datetime) -> None:
    """Save what a person says of themselves; another name is an entry, since entries before it bear the old one."""
    before = User.objects.select_for_update().get(pk=person.pk).name
    person.save(update_fields=["name", "language", "time_zone"])
    if person.name != before:
        note(Action.MEMBER_RENAMED, user=person, now=now, before=before, after=person.name)


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

    Of who is a member of none it goes into the entries without an account. What is `MAILED` also goes to the person.

    :param by: who did it instead.
    """
    said: dict[str, Any] = {"at": now, "outcome": outcome, "reason": reason, **details}
    members = list(user.memberships.active().select_related("account", "user"))
    entries = [
        journal.record(action, of=member.account, by=by or member, target=member if by else None, **said)
        for member in members
    ]
    if not members:
        themselves = Operator(user) if user.is_staff else Person(user)
        entries = [journal.record(action, of=None, by=by or themselves, target=user if by else None, **said)]
    if action in MAILED:
        outbox.add(SIGN_IN_MAIL, about=f"{entries[0].pk}:{user.pk}", to=user.email, now=now)


def prove_address(user: User) -> None:
    """Remember that the person reads the mail of their address: a link in it, or who vouches for it, has shown that."""
    EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})


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
