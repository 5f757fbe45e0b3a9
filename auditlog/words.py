"""What both logs say, in words for people."""

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from ua_parser import parse

from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry

# The names are the gate's (`Call.reason`).
REASONS: dict[str, Promise | str] = {
    "": "",
    "no_credential": _("No credential was sent"),
    "two_credentials": _("Two different credentials were sent"),
    "bad_credential": _("The credential held a NUL character"),
    "malformed": _("Not a well-formed credential"),
    "wrong_kind": _("A refresh token where an access token belongs"),
    "wrong_transport": _("The credential was sent in the wrong place"),
    "query_not_allowed": _("Keys in the address are not allowed"),
    "unknown": _("Unknown credential"),
    "prepared": _("The key is prepared and does not count yet"),
    "rotated": _("The key was rotated away"),
    "deactivated": _("The key was deactivated"),
    "sunset": _("API keys have ended"),
    "brownout": _("API keys were refused for a rehearsal"),
    "suspended": _("The account is suspended"),
    "closed": _("The account is closed"),
    "missing_scopes": _("The app lacks a scope"),
    "unknown_route": _("Not part of the API"),
    "burst_limit": _("Too many calls in 10 seconds"),
    "daily_limit": _("The day’s calls are used up"),
    "store_unavailable": _("The store could not be asked"),
}


def why_refused(reason: str) -> Promise | str:
    """The words for a `Call.reason`; a reason that has none speaks for itself."""
    return REASONS.get(reason, reason.replace("_", " "))


# Reads after a person's name, as the labels of actions do.
ATTEMPTS: dict[str, Promise] = {
    Action.API_KEY_CREATED: _("tried to create the API key"),
    Action.API_KEY_VIEWED: _("tried to show the API key"),
    Action.API_KEY_ROTATED: _("tried to rotate the API key"),
    Action.API_KEY_DEACTIVATED: _("tried to deactivate the API key"),
    Action.ACCOUNT_SETTINGS_CHANGED: _("tried to change the account’s settings"),
    Action.CONNECTED_APP_CONNECTED: _("tried to connect an app"),
    Action.CONNECTED_APP_DISCONNECTED: _("tried to disconnect an app"),
    Action.ACCOUNT_MAILBOX_NAMED: _("tried to name a mailbox for reminders"),
    Action.ACCOUNT_MAILBOX_REMOVED: _("tried to remove the mailbox for reminders"),
    Action.ROTATION_PLANNED: _("tried to plan to rotate the API key"),
    Action.PREPARED_KEY_VIEWED: _("tried to show the prepared API key"),
    Action.ROTATION_PLAN_CANCELLED: _("tried to cancel the planned rotation"),
    Action.REMINDER_SNOOZED: _("tried to snooze the reminder to rotate"),
    Action.REMINDER_SNOOZE_ENDED: _("tried to end the snooze of the reminder"),
    Action.ROTATION_HANDED_OVER: _("tried to hand the rotation over"),
    Action.ROTATION_HANDOVER_ENDED: _("tried to take the rotation back"),
    Action.MEMBER_INVITED: _("tried to invite somebody"),
    Action.MEMBER_INVITATION_RESENT: _("tried to send an invitation again"),
    Action.MEMBER_INVITATION_WITHDRAWN: _("tried to withdraw an invitation"),
    Action.MEMBER_ROLE_CHANGED: _("tried to change a member’s role"),
    Action.MEMBER_REMOVED: _("tried to remove a member"),
    Action.MEMBER_LEFT: _("tried to leave the account"),
    Action.SIGN_IN_FAILED: _("failed to sign in"),
}


def browser(user_agent: str) -> str:
    """ "Firefox on Linux", as far as it can be told."""
    found = parse(user_agent)
    names = [part.family for part in (found.user_agent, found.os) if part is not None]
    return " on ".join(names)


def deed(entry: AuditEntry) -> Promise | str:
    """What the entry's person did, or tried to do."""
    if entry.action == Action.MEMBER_JOINED and entry.actor_name != entry.target_name:
        return _("added a member")
    done = entry.get_action_display()
    if entry.outcome != Outcome.REFUSED:
        return done
    return ATTEMPTS.get(entry.action, _now("was refused: %(action)s") % {"action": done})


DETAILS: dict[str, Promise] = {
    "generation": _("Generation"),
    "replaced": _("Last four characters of the key it replaced"),
    "planned_for": _("Planned for"),
    "until": _("Until"),
    "role": _("Role"),
    "before": _("Before"),
    "after": _("After"),
    "name": _("Name"),
    "burst_limit": _("Calls in any 10 seconds"),
    "daily_limit": _("Calls a day"),
    "accounts": _("Accounts"),
    "series": _("Series"),
    "time_zone": _("Time zone"),
    "through": _("Through"),
    "scopes": _("Scopes"),
    "group": _("Group"),
    "creation_ends_at": _("No new keys from"),
    "authentication_ends_at": _("No calls from"),
    "brownouts": _("Brownouts"),
}


def detail_name(name: str) -> Promise | str:
    """The words for one of an entry's own facts; a fact that has none speaks for itself."""
    return DETAILS.get(name, name.replace("_", " ").capitalize())
