"""Second factors: who has one, who must have one, and from when on.

Super admins and operators must. They have 14 days from becoming one; of those whom nothing told the portal about, from
their first page on. Recovery codes stand in for a second factor and are none.
"""

from datetime import datetime, timedelta

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db.models import Exists

from accounts.models import Member, User
from accounts.permissions import Role

GRACE = timedelta(days=14)
KINDS = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]


def has_one(user: User) -> bool:
    found: bool = Authenticator.objects.filter(user=user, type__in=KINDS).exists()
    return found


def must_have_one(user: User) -> bool:
    return user.is_staff or Member.objects.active().filter(user=user, role=Role.SUPER_ADMIN).exists()


def expect(user: User, *, now: datetime) -> None:
    """Start the days of grace of somebody who becomes super admin or operator; to be called before they are one.

    Who was one already keeps the date that they have.
    """
    if not must_have_one(user):
        _set_due(user, now + GRACE)


def due_at(user: User, *, now: datetime) -> datetime | None:
    """From when on the person finds only the page to add a second factor; None for who has one or needs none."""
    if settings.DEMO:
        return None
    is_super_admin, has_factor = (
        User.objects.filter(pk=user.pk)
        .values_list(
            Exists(Member.objects.active().filter(user=user, role=Role.SUPER_ADMIN)),
            Exists(Authenticator.objects.filter(user=user, type__in=KINDS)),
        )
        .get()
    )
    if has_factor or not (is_super_admin or user.is_staff):
        return None
    if user.second_factor_due_at is None:
        _set_due(user, now + GRACE)
    return user.second_factor_due_at


def _set_due(user: User, at: datetime) -> None:
    user.second_factor_due_at = at
    user.save(update_fields=["second_factor_due_at"])
