"""What all mails about an account's key have in common."""

from accounts import site
from accounts.models import Account

CALLERS_NAMED = 5


def link(page: str, account: Account) -> str:
    """To one of the key's pages, on SITE_ORIGIN."""
    return site.link_to(f"apikeys:{page}", account.slug)


def thread(account_id: int) -> str:
    """All mails about an account's key stand together, whichever generation it is in."""
    return f"api-key-{account_id}"
