"""What each role may do, as one table."""

from enum import StrEnum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Role(TextChoices):
    SUPER_ADMIN = "super_admin", _("Super admin")
    DEVELOPER = "developer", _("Developer")
    AUDITOR = "auditor", _("Auditor")
    MEMBER = "member", _("Member")


class Permission(StrEnum):
    SEE_ACCOUNT = "see_account"  # its pages, its members, the API key's existence and age
    MANAGE_API_KEY = "manage_api_key"  # show, create, rotate, deactivate
    SEE_CALLS = "see_calls"
    SEE_AUDIT_LOG = "see_audit_log"
    MANAGE_MEMBERS = "manage_members"  # invite, change roles, remove


_EVERYBODY = frozenset({Permission.SEE_ACCOUNT})

GRANTS: dict[Role, frozenset[Permission]] = {
    Role.SUPER_ADMIN: frozenset(Permission),
    Role.DEVELOPER: _EVERYBODY | {Permission.SEE_CALLS},
    Role.AUDITOR: _EVERYBODY | {Permission.SEE_CALLS, Permission.SEE_AUDIT_LOG},
    Role.MEMBER: _EVERYBODY,
}


def may_hand_on(own: Role, other: Role) -> bool:
    """Whether who has the one role may give the other: nothing that they may not do themselves."""
    return GRANTS[other] <= GRANTS[own]
