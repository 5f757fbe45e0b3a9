"""Links in mails that show that somebody reads the mail of an address: for a new password, for an address to sign in
with, for another address.

No link is kept. Each is worked out when its mail is written, and ends with what it was worked out from.
"""

from datetime import datetime, timedelta
from uuid import uuid4

from allauth.account import app_settings
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from allauth.usersessions.models import UserSession
from django.core import signing
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import bounces, outbox, site
from accounts.actors import By, Person, require_operator
from accounts.models import User
from accounts.operations import PeopleError, note, prove_address
from auditlog import journal
from auditlog.actions import Action, Outcome

NEW_PASSWORD = "accounts.new_password"  # noqa: S105 -- a kind of mail
CONFIRM_ADDRESS = "accounts.confirm_address"
NEW_ADDRESS = "accounts.new_address"
NEW_ADDRESS_LASTS = timedelta(days=1)


class TakenError(PeopleError):
    """Somebody signs in with the address already."""


class LinkOverError(PeopleError):
    """The link ended while it was used: the person's address or password is another since."""


@transaction.atomic
def owe(kind: str, *, user: User, to: str, now: datetime) -> None:
    """Owe one of these mails; asked for twice, it is two mails."""
    outbox.add(kind, about=f"{user.pk}:{uuid4().hex}", to=to, now=now)


@transaction.atomic
def ask_for_new_password(*, email: str, now: datetime) -> None:
    """Owe the link to whoever signs in with an address. Where nobody does it is written down too, to take as long."""
    user = User.objects.filter(email=User.objects.normalize_email(email), is_active=True).first()
    if user is None:
        reason = _("Nobody signs in with the address.")
        refused = Outcome.REFUSED
        journal.record(Action.NEW_PASSWORD_ASKED, of=None, by=Person(), at=now, outcome=refused, reason=reason)
        return
    note(Action.NEW_PASSWORD_ASKED, user=user, now=now)
    owe(NEW_PASSWORD, user=user, to=user.email, now=now)


def new_password_link(user: User) -> str:
    """Good for three days, once: until the password, the address or the last sign-in is another."""
    token = app_settings.PASSWORD_RESET_TOKEN_GENERATOR().make_token(user)
    return site.link_to("account_reset_password_from_key", uidb36=user_pk_to_url_str(user), key=token)


def confirmation_link(address: EmailAddress) -> str:
    """Good for three days, until the address is confirmed."""
    return site.link_to("account_confirm_email", key=EmailConfirmationHMAC(address).key)


def new_address_link(user: User, email: str) -> str:
    """Good for a day, for this person signed in, until their address or password is another."""
    return site.link_to("new-address", token=signing.dumps(email, salt=_salt(user)))


def new_address_of(token: str, *, user: User) -> str | None:
    """The address that a link is for; None for a link that is over, or somebody else's."""
    try:
        email: str = signing.loads(token, salt=_salt(user), max_age=NEW_ADDRESS_LASTS)
    except signing.BadSignature:
        return None
    return email


def change_address(*, user: User, email: str, now: datetime) -> None:
    """Let a person sign in with another address, which a link has shown to be theirs. The old one is told.

    :param user: as they were when the link was judged.
    :raises TakenError: if somebody signs in with it already.
    :raises LinkOverError: if their address or password is another by now, such as one that an operator gave.
    """
    try:
        _change(user, User.objects.normalize_email(email), now=now)
    except IntegrityError as error:
        raise _taken(email) from error


@transaction.atomic
def assign_address(*, user: User, email: str, reason: str, by: By, now: datetime) -> None:
    """Give a person another address to sign in with, for who does not read the mail of the old one any more.

    They are signed out everywhere. Nothing has shown yet that the address is theirs: a link to it has to be opened
    before the password signs in. The old address is told, with the reason.

    :param email: as `accounts.addresses.parse` gave it.
    :raises TakenError: if somebody signs in with it already, be it the person.
    """
    address = User.objects.normalize_email(email)
    list(User.objects.operators().order_by("pk").select_for_update())  # in the order that everybody locks them in
    require_operator(by)
    person = User.objects.select_for_update().get(pk=user.pk)
    if User.objects.filter(email=address).exists():
        raise _taken(address)
    try:
        with transaction.atomic():
            _replace(person, address, by=by, now=now, reason=reason)
    except IntegrityError as error:
        raise _taken(address) from error
    EmailAddress.objects.create(user=person, email=address, primary=True)
    owe(CONFIRM_ADDRESS, user=person, to=address, now=now)
    for session in UserSession.objects.filter(user=person):
        session.end()


def _taken(email: str) -> TakenError:
    return TakenError(_("Somebody signs in with %(email)s already.") % {"email": email})


@transaction.atomic
def _change(user: User, email: str, *, now: datetime) -> None:
    person = lock_unchanged(user, password=user.password)
    _replace(person, email, now=now)
    prove_address(person)


def lock_unchanged(user: User, *, password: str) -> User:
    """The person's row, held until commit; what a link was worked out from must still stand in it.

    :param user: as they were when the link was judged.
    :param password: their password, as it was stored then.
    :raises LinkOverError: if not.
    """
    person = User.objects.select_for_update().filter(pk=user.pk, email=user.email, password=password).first()
    if person is None:
        raise LinkOverError(_("The address or password was changed a moment ago, which ends the link."))
    return person


def _replace(person: User, email: str, *, now: datetime, by: By | None = None, reason: str = "") -> None:
    # First, so that its mail goes to the old address.
    note(Action.ADDRESS_CHANGED, user=person, by=by, now=now, reason=reason, before=person.email, after=email)
    bounces.forget(email=person.email, now=now)
    outbox.follow(before=person.email, after=email, now=now)
    person.email = email
    person.save(update_fields=["email"])
    EmailAddress.objects.filter(user=person).delete()


def _salt(user: User) -> str:
    return f"accounts.new_address:{user.pk}:{user.email}:{user.password}"
