"""What people do about their own sign-in and profile, and what is written down of it."""

from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db import transaction

from accounts import outbox, second_factors
from accounts.actors import By, Operator, Person
from accounts.models import User
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


@transaction.atomic
def save_profile(person: User, *, now: datetime) -> None:
    """Save what a person says of themselves; another name is an entry, since entries before it bear the old one."""
    before = User.objects.select_for_update().get(pk=person.pk).name
    person.save(update_fields=["name", "language", "time_zone"])
    if person.name != before:
        note(Action.MEMBER_RENAMED, user=person, now=now, before=before, after=person.name)


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
    user = User.objects.with_address(email).first()
    if user is not None:
        note(Action.SIGN_IN_FAILED, user=user, now=now, outcome=Outcome.REFUSED, reason=reason)
    else:
        refused = Outcome.REFUSED
        journal.record(Action.SIGN_IN_FAILED, of=None, by=Person(), at=now, outcome=refused, reason=reason)
