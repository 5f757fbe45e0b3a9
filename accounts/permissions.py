"""What each role may do, as one table. The page "What can each role do?" is made from it."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Role(TextChoices):
    SUPER_ADMIN = "super_admin", _("Super admin")
    DEVELOPER = "developer", _("Developer")
    AUDITOR = "auditor", _("Auditor")
    MEMBER = "member", _("Member")


class Permission(TextChoices):
    """The labels are the rows of the page."""

    SEE_ACCOUNT = "see_account", _("See that an API key exists, its age, who is a member, and whom to ask")
    MANAGE_API_KEY = "manage_api_key", _("Show, create, rotate and deactivate the API key")
    SEE_CALLS = "see_calls", _("Read the call log and the usage")
    SEE_AUDIT_LOG = "see_audit_log", _("Read the audit log")
    SEE_CONNECTED_APPS = "see_connected_apps", _("See which apps are connected, by whom, and what they may do")
    MANAGE_CONNECTED_APPS = "manage_connected_apps", _("Connect and disconnect apps")
    MANAGE_ACCOUNT = "manage_account", _("Change the account’s name and time zone")
    MANAGE_MEMBERS = "manage_members", _("Invite people, change roles and remove members")
    MANAGE_ROLE_MAILBOX = "manage_role_mailbox", _("Name a mailbox that gets reminders too")


_EVERYBODY = frozenset({Permission.SEE_ACCOUNT})

GRANTS: dict[Role, frozenset[Permission]] = {
    Role.SUPER_ADMIN: frozenset(Permission),
    Role.DEVELOPER: _EVERYBODY | {Permission.SEE_CALLS, Permission.SEE_CONNECTED_APPS},
    Role.AUDITOR: _EVERYBODY | {Permission.SEE_CALLS, Permission.SEE_AUDIT_LOG, Permission.SEE_CONNECTED_APPS},
    Role.MEMBER: _EVERYBODY,
}


def may_hand_on(own: Role, other: Role) -> bool:
    """Whether who has the one role may give the other: nothing that they may not do themselves."""
    return GRANTS[other] <= GRANTS[own]
