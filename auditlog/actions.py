"""The closed vocabulary of the audit log: what can be done, by name."""

from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Category(TextChoices):
    API_KEY = "api_key", _("API key")
    ACCOUNT = "account", _("Account")
    MEMBER = "member", _("Members")
    CONNECTED_APP = "connected_app", _("Connected apps")
    OPERATOR = "operator", _("Operators")
    SUNSET = "sunset", _("Sunset")
    SIGN_IN = "sign_in", _("Sign-in")


class Action(TextChoices):
    """`category.verb`; the label reads after a person's name: "Ada viewed the API key"."""

    API_KEY_CREATED = "api_key.created", _("created the API key")
    API_KEY_VIEWED = "api_key.viewed", _("viewed the API key")
    API_KEY_ROTATED = "api_key.rotated", _("rotated the API key")
    API_KEY_DEACTIVATED = "api_key.deactivated", _("deactivated the API key")
    ROTATION_PLANNED = "api_key.rotation_planned", _("planned to rotate the API key")
    PREPARED_KEY_VIEWED = "api_key.prepared_viewed", _("viewed the prepared API key")
    ROTATION_PLAN_CANCELLED = "api_key.plan_cancelled", _("cancelled the planned rotation")
    ROTATION_PLAN_DROPPED = "api_key.plan_dropped", _("did not rotate the API key as planned")
    REMINDER_SNOOZED = "api_key.reminder_snoozed", _("snoozed the reminder to rotate")
    REMINDER_SNOOZE_ENDED = "api_key.snooze_ended", _("ended the snooze of the reminder")
    ROTATION_HANDED_OVER = "api_key.rotation_handed_over", _("handed the rotation over")
    ROTATION_HANDOVER_ENDED = "api_key.handover_ended", _("took the rotation back")
    ACCOUNT_CREATED = "account.created", _("created the account")
    ACCOUNT_SETTINGS_CHANGED = "account.settings_changed", _("changed the account’s settings")
    ACCOUNT_PLAN_CHANGED = "account.plan_changed", _("changed the plan")
    ACCOUNT_SUSPENDED = "account.suspended", _("suspended the account")
    ACCOUNT_CLOSED = "account.closed", _("closed the account")
    ACCOUNT_REOPENED = "account.reopened", _("reopened the account")
    ACCOUNT_MAILBOX_NAMED = "account.mailbox_named", _("named a mailbox for reminders")
    ACCOUNT_MAILBOX_CONFIRMED = "account.mailbox_confirmed", _("confirmed the mailbox for reminders")
    ACCOUNT_MAILBOX_REMOVED = "account.mailbox_removed", _("removed the mailbox for reminders")
    ACCOUNT_GROUP_CHANGED = "account.group_changed", _("moved the account to another group")
    ACCOUNT_MAILBOX_BOUNCED = "account.mailbox_bounced", _("could not deliver to the mailbox for reminders")
    ACCOUNT_SEEDED = "account.seeded", _("seeded accounts for a measurement")
    CALLS_PRUNED = "account.calls_pruned", _("removed calls that were older than seven days")
    CALLS_SEEDED = "account.calls_seeded", _("stored made-up calls for a measurement")
    MEMBER_RENAMED = "member.renamed", _("changed their name")
    MEMBER_INVITED = "member.invited", _("invited somebody")
    MEMBER_INVITATION_RESENT = "member.invitation_resent", _("sent an invitation again")
    MEMBER_INVITATION_WITHDRAWN = "member.invitation_withdrawn", _("withdrew an invitation")
    MEMBER_JOINED = "member.joined", _("joined the account")
    MEMBER_ROLE_CHANGED = "member.role_changed", _("changed a member’s role")
    MEMBER_REMOVED = "member.removed", _("removed a member")
    MEMBER_LEFT = "member.left", _("left the account")
    MEMBER_ASKED_FOR_KEY = "member.asked_for_key", _("asked for access to the API key")
    MEMBER_REQUEST_DISMISSED = "member.request_dismissed", _("dismissed a request for access")
    MEMBER_MAIL_BOUNCED = "member.mail_bounced", _("could not deliver mail to a member")
    MEMBER_MAIL_ARRIVED = "member.mail_arrived", _("delivers mail to a member again")
    PERSON_DEACTIVATED = "member.deactivated", _("switched a person’s sign-in off")
    PERSON_REACTIVATED = "member.reactivated", _("switched a person’s sign-in on again")
    CONNECTED_APP_REGISTERED = "connected_app.registered", _("registered an app")
    CONNECTED_APP_CHANGED = "connected_app.changed", _("changed what is registered of an app")
    CONNECTED_APP_WITHDRAWN = "connected_app.withdrawn", _("withdrew an app")
    CONNECTED_APP_CONNECTED = "connected_app.connected", _("connected an app")
    CONNECTED_APP_SCOPES_CHANGED = "connected_app.scopes_changed", _("changed what a connected app may do")
    CONNECTED_APP_DISCONNECTED = "connected_app.disconnected", _("disconnected an app")
    OPERATOR_ADDED = "operator.added", _("added an operator")
    OPERATOR_REMOVED = "operator.removed", _("removed an operator")
    GROUP_CREATED = "operator.group_created", _("made a group of accounts")
    GROUP_DELETED = "operator.group_deleted", _("deleted a group of accounts")
    SUNSET_ANNOUNCED = "sunset.announced", _("announced the end of API keys")
    SUNSET_CHANGED = "sunset.changed", _("changed the announced end of API keys")
    SUNSET_WITHDRAWN = "sunset.withdrawn", _("withdrew the announced end of API keys")
    SIGN_IN_SUCCEEDED = "sign_in.succeeded", _("signed in")
    SIGN_IN_FAILED = "sign_in.failed", _("failed to sign in")
    NEW_PASSWORD_ASKED = "sign_in.new_password_asked", _("asked for a link to choose a new password")
    PASSWORD_CHANGED = "sign_in.password_changed", _("changed their password")
    PASSWORD_RESET = "sign_in.password_reset", _("chose a new password by a link sent to them")
    ADDRESS_CHANGED = "sign_in.address_changed", _("changed their e-mail address")
    ADDRESS_CONFIRMED = "sign_in.address_confirmed", _("confirmed their e-mail address")
    SECOND_FACTOR_ADDED = "sign_in.second_factor_added", _("added a second factor")
    SECOND_FACTOR_REMOVED = "sign_in.second_factor_removed", _("removed a second factor")
    RECOVERY_CODES_GENERATED = "sign_in.recovery_codes_generated", _("generated recovery codes")
    RECOVERY_CODE_USED = "sign_in.recovery_code_used", _("used a recovery code")
    PROVIDER_CONNECTED = "sign_in.provider_connected", _("connected single sign-on")
    PROVIDER_DISCONNECTED = "sign_in.provider_disconnected", _("disconnected single sign-on")
    SESSIONS_ENDED = "sign_in.sessions_ended", _("signed out everywhere else")

    @property
    def category(self) -> Category:
        return Category(self.value.partition(".")[0])


def every_action() -> list[tuple[str, Promise]]:
    """The vocabulary, for the column: as a function, so that a new word needs no migration."""
    return [(action.value, action.label) for action in Action]


def every_category() -> list[tuple[str, Promise]]:
    """As `every_action`."""
    return [(category.value, category.label) for category in Category]


class Outcome(TextChoices):
    DONE = "done", _("Done")
    REFUSED = "refused", _("Refused")
