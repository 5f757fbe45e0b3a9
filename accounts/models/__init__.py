"""People, accounts, and people's places in them."""

from accounts.models.access_request import AccessRequest
from accounts.models.account import Account
from accounts.models.bounced_address import BouncedAddress
from accounts.models.group import AccountGroup, GroupedAccount
from accounts.models.invitation import Invitation
from accounts.models.mail_choice import MailChoice
from accounts.models.member import Member
from accounts.models.notice import Notice
from accounts.models.outgoing_mail import OutgoingMail
from accounts.models.revision import Change, Revision
from accounts.models.role_mailbox import RoleMailbox
from accounts.models.user import User

__all__ = [
    "AccessRequest",
    "Account",
    "AccountGroup",
    "BouncedAddress",
    "Change",
    "GroupedAccount",
    "Invitation",
    "MailChoice",
    "Member",
    "Notice",
    "OutgoingMail",
    "Revision",
    "RoleMailbox",
    "User",
]
