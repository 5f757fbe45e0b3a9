"""The portal as it is reached from elsewhere: from a mail, a provider of sign-ins, a terminal."""

from typing import Any

from django.conf import settings
from django.urls import reverse


def link_to(page: str, *args: Any, **parts: Any) -> str:
    """At the portal's own address, whatever host a request claims."""
    return f"{settings.SITE_ORIGIN}{reverse(page, args=args, kwargs=parts)}"
