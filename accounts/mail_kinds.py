"""Every kind of mail: what it is called, and what a person may decide about it.

Whoever adds a kind adds a line; a test finds one that is missing.
"""

from dataclasses import dataclass
from enum import Enum, auto

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Duty(Enum):
    """What must happen to a kind of mail, whatever a person would like."""

    AT_ONCE = auto()  # security, or a link that somebody waits for: comes, and comes at once
    MAY_WAIT = auto()  # comes, at once or in the daily mail
    OPTIONAL = auto()  # at once, in the daily mail, or not at all


@dataclass(frozen=True, slots=True)
class Kind:
    title: Promise  # what has happened when such a mail comes
    duty: Duty


DIGEST = "accounts.digest"  # holds others, and is none that anybody chooses

KINDS = {
    # Security: whoever has taken over a sign-in must not be able to switch off the word of it.
    "accounts.sign_in_changed": Kind(_("How you sign in was changed"), Duty.AT_ONCE),
    "apikeys.key_changed": Kind(
        _("An API key was created, shown from a new place, rotated or deactivated"), Duty.AT_ONCE
    ),
    "apikeys.connection_changed": Kind(_("An app was connected, changed or disconnected"), Duty.AT_ONCE),
    "apikeys.prepared_key_shown": Kind(_("A prepared API key was shown from a new place"), Duty.AT_ONCE),
    # Times that must not be missed
    "apikeys.rotation_planned": Kind(_("A rotation of an API key is planned"), Duty.AT_ONCE),
    "apikeys.rotation_soon": Kind(_("A planned rotation of an API key is near"), Duty.AT_ONCE),
    "apikeys.rotation_run": Kind(_("A planned rotation of an API key has run"), Duty.AT_ONCE),
    "apikeys.plan_ended": Kind(_("A planned rotation of an API key does not run"), Duty.AT_ONCE),
    # Links that somebody waits for
    "accounts.new_password": Kind(_("You asked for a new password"), Duty.AT_ONCE),
    "accounts.confirm_address": Kind(_("Your address is to be confirmed"), Duty.AT_ONCE),
    "accounts.new_address": Kind(_("You want to sign in with another address"), Duty.AT_ONCE),
    "accounts.invitation": Kind(_("You are invited to an account"), Duty.AT_ONCE),
    "accounts.confirm_role_mailbox": Kind(_("An address is to become an account’s role mailbox"), Duty.AT_ONCE),
    # Who else must know
    "accounts.nobody_reached": Kind(_("Mails reach no super admin of an account"), Duty.AT_ONCE),
    # What the portal is there for
    "apikeys.sunset": Kind(_("The end of API keys is announced, or near"), Duty.MAY_WAIT),
    "accounts.mail_bounced": Kind(_("Mails to another super admin do not arrive"), Duty.MAY_WAIT),
    "apikeys.rotation_handed_over": Kind(_("The rotation of an API key is left to you"), Duty.MAY_WAIT),
    "apikeys.rotation_due": Kind(_("An API key is due to be rotated"), Duty.MAY_WAIT),
    # Courtesy: the portal shows these too
    "accounts.access_requested": Kind(_("Somebody asks for access to an API key"), Duty.OPTIONAL),
}


def titles() -> dict[str, Promise]:
    """Of all kinds, and of what holds several."""
    return {**{kind: each.title for kind, each in KINDS.items()}, DIGEST: _("Several mails are due at once")}


def duty(kind: str) -> Duty:
    """One that is not in the table, such as a newer version's, is not held back."""
    return KINDS[kind].duty if kind in KINDS else Duty.AT_ONCE


def may_wait(kind: str) -> bool:
    return duty(kind) is not Duty.AT_ONCE


def is_optional(kind: str) -> bool:
    return duty(kind) is Duty.OPTIONAL
