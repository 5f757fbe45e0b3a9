"""Mails about one's own sign-in: links that prove an address, and word of each change."""

from datetime import datetime

from allauth.account.models import EmailAddress
from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from accounts import letters, operations, outbox, proofs_by_mail, readers, site
from accounts.models import OutgoingMail, User
from auditlog.actions import Action
from auditlog.models import AuditEntry
from auditlog.words import browser

SUBJECTS: dict[str, Promise] = {
    Action.PASSWORD_CHANGED: _("Your password was changed"),
    Action.PASSWORD_RESET: _("A new password was chosen for you by a link from a mail"),
    Action.ADDRESS_CHANGED: _("Another e-mail address signs in for you"),
    Action.SECOND_FACTOR_ADDED: _("A second factor was added to your sign-in"),
    Action.SECOND_FACTOR_REMOVED: _("A second factor was removed from your sign-in"),
    Action.RECOVERY_CODES_GENERATED: _("There are new recovery codes for your sign-in"),
    Action.RECOVERY_CODE_USED: _("A recovery code was used to sign in as you"),
    Action.PROVIDER_CONNECTED: _("Single sign-on opens your sign-in now"),
    Action.PROVIDER_DISCONNECTED: _("Single sign-on opens your sign-in no more"),
}
KINDS: dict[str, Promise] = {"totp": _("authenticator app"), "webauthn": _("passkey")}


@outbox.composes(proofs_by_mail.NEW_PASSWORD)
def new_password(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- a composer's signature
    """The link to choose a password; nobody needs one whose address is another by now, or who may not sign in."""
    user = _person(mail)
    if user is None or user.email != mail.to:
        return None
    context = {"user": user, "link": proofs_by_mail.new_password_link(user)}
    return letters.write(subject=_now("Choose a new password"), template="new_password", context=context)


@outbox.composes(proofs_by_mail.CONFIRM_ADDRESS)
def confirm_address(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- a composer's signature
    address = EmailAddress.objects.filter(user=_person(mail), email=mail.to, verified=False).first()
    if address is None:
        return None
    context = {"email": mail.to, "link": proofs_by_mail.confirmation_link(address)}
    return letters.write(subject=_now("Confirm your e-mail address"), template="confirm_address", context=context)


@outbox.composes(proofs_by_mail.NEW_ADDRESS)
def new_address(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- a composer's signature
    """The link to the address that somebody wants to sign in with; none where somebody signs in with it already."""
    user = _person(mail)
    if user is None or User.objects.with_address(mail.to).exists():
        return None
    context = {"user": user, "email": mail.to, "link": proofs_by_mail.new_address_link(user, mail.to)}
    with readers.written_for(user):
        subject = _now("Confirm this address to sign in with it")
        return letters.write(subject=subject, template="new_address", context=context)


@outbox.composes(operations.SIGN_IN_MAIL)
def sign_in_changed(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- a composer's signature
    """What an entry says about somebody's sign-in, to that person: what, when, from where, and what to do."""
    entry_id, _sep, user_id = mail.about.partition(":")
    entry = AuditEntry.objects.get(pk=entry_id)
    if _came_along(entry):
        return None
    user = User.objects.get(pk=user_id)
    context = {
        "entry": entry,
        "user": user,
        "kind": KINDS.get(entry.details.get("kind", ""), ""),
        "browser": browser(entry.user_agent),
        "by_others": entry.actor_id != user.pk,
        "only_operators_help": entry.action in {Action.ADDRESS_CHANGED, Action.PROVIDER_CONNECTED},
        "new_password": site.link_to("account_reset_password"),
        "second_factors": site.link_to("mfa_index"),
    }
    with readers.written_for(user):  # the mail may go to an address that is not theirs any more
        return letters.write(subject=str(SUBJECTS[entry.action]), template="sign_in_changed", context=context)


def _came_along(entry: AuditEntry) -> bool:
    """Whether these are the recovery codes that the first second factor brings; its own mail says enough."""
    if entry.action != Action.RECOVERY_CODES_GENERATED or not entry.request_id:
        return False
    nearby = AuditEntry.objects.filter(pk__range=(entry.pk - 100, entry.pk))  # by the key: the log has no other index
    added = nearby.filter(request_id=entry.request_id, action=Action.SECOND_FACTOR_ADDED)
    return added.exists()


def _person(mail: OutgoingMail) -> User | None:
    """Whom one of `proofs_by_mail` is about, if they may sign in."""
    return User.objects.filter(pk=mail.about.partition(":")[0], is_active=True).first()
