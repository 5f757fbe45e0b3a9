"""What all mails about an account's key have in common."""

from django.conf import settings
from django.urls import reverse

from accounts.models import Account

CALLERS_NAMED = 5


def link(page: str, account: Account) -> str:
    """To one of the key's pages, on SITE_ORIGIN."""
    return f"{settings.SITE_ORIGIN}{reverse(f'apikeys:{page}', args=[account.slug])}"


def thread(account_id: int) -> str:
    """All mails about an account's key stand together, whichever generation it is in."""
    return f"api-key-{account_id}"
