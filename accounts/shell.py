"""Accounts and people, as the operator's commands name them."""

from django.core.management.base import CommandError

from accounts import site
from accounts.models import Account, AccountGroup, Member, User


def account_named(slug: str) -> Account:
    """The account with this slug.

    :raises CommandError: if there is none.
    """
    try:
        return Account.objects.get(slug=slug)
    except Account.DoesNotExist:
        raise CommandError(f"There is no account “{slug}”.") from None


def group_named(name: str) -> AccountGroup:
    """The group of accounts with this name, in letters of whichever case.

    :raises CommandError: if there is none.
    """
    group = AccountGroup.objects.filter(name__iexact=name).first()
    if group is None:
        raise CommandError(f"There is no group “{name}”.")
    return group


def member_named(account: Account, email: str) -> Member:
    """The account's member with this address.

    :raises CommandError: if there is none.
    """
    member = (
        account.members.active()
        .select_related("account", "user")
        .filter(user__in=User.objects.with_address(email))
        .first()
    )
    if member is None:
        raise CommandError(f"{email} is no member of “{account}”.")
    return member


def how_to_sign_in(user: User) -> str:
    """For who has no password yet, a sentence on how to get one; with a space before it."""
    if user.has_usable_password():
        return ""
    return f" They choose a password at {site.link_to('account_reset_password')}"
