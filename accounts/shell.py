"""Accounts, as the operator's commands name them."""

from django.core.management.base import CommandError

from accounts.models import Account


def account_named(slug: str) -> Account:
    """The account with this slug.

    :raises CommandError: if there is none.
    """
    try:
        return Account.objects.get(slug=slug)
    except Account.DoesNotExist:
        raise CommandError(f"There is no account “{slug}”.") from None
