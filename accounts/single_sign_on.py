"""Single sign-on: whom a person at the provider is here. Linked once by a proved address, from then on by what the
provider calls them (issuer and subject, OpenID Connect Core 1.0, 2), whatever address they have there later.
"""

from datetime import datetime

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import addresses
from accounts.actors import By
from accounts.invitations import why_void
from accounts.models import Invitation, User
from accounts.operations import PeopleError, note, prove_address
from auditlog.actions import Action


class StrangerError(PeopleError):
    """The person at the provider is nobody here; why goes into the audit log."""


def is_linked(user: User) -> bool:
    """Whether the provider can say that it is this person."""
    its = SocialAccount.objects.filter(user=user, provider=settings.OIDC_ISSUER)
    return bool(settings.OIDC_ISSUER) and its.exists()


@transaction.atomic
def link(*, subject: str, email: str, now: datetime) -> SocialAccount:
    """Let somebody at the provider sign in as whom they share an address with, or as whom it was sent an invitation.

    :param email: one that the provider has verified.
    Signing in twice at once is one link.

    :raises StrangerError: if nobody here has it, or somebody whom the provider knows as another.
    """
    try:
        address = User.objects.normalize_email(addresses.parse(email))
    except ValidationError as error:
        raise StrangerError(_("Single sign-on: an address that cannot be one.")) from error
    if not User.objects.filter(email=address).exists() and _is_invited(address, now=now):
        User.objects.find_or_make(address)
    user = User.objects.select_for_update().filter(email=address, is_active=True).first()
    if user is None:
        raise StrangerError(_("Single sign-on: nobody signs in with this address."))
    before = SocialAccount.objects.filter(user=user, provider=settings.OIDC_ISSUER).first()
    if before is not None and before.uid == subject:
        return before  # two first sign-ins at once: the other one was faster
    if before is not None:
        raise StrangerError(_("Single sign-on: the provider knows this person as another."))
    account = SocialAccount.objects.create(user=user, provider=settings.OIDC_ISSUER, uid=subject)
    prove_address(user)
    note(Action.PROVIDER_CONNECTED, user=user, now=now, through=settings.OIDC_NAME)
    return account


@transaction.atomic
def unlink(*, user: User, by: By, now: datetime) -> bool:
    """Forget whom the provider knows them as: the next time counts as the first. False if it knew nobody."""
    gone, _rows = SocialAccount.objects.filter(user=user).delete()
    if gone:
        note(Action.PROVIDER_DISCONNECTED, user=user, by=by, now=now, through=settings.OIDC_NAME)
    return bool(gone)


def _is_invited(email: str, *, now: datetime) -> bool:
    waiting = Invitation.objects.open().to(email).select_related("invited_by__user")
    return any(not why_void(one, now=now) for one in waiting)
