"""What an installation must not run with."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@checks.register(checks.Tags.security)
def origin_is_https_or_loopback(**_: Any) -> list[checks.CheckMessage]:
    """Plain http lets anybody on the way read sessions and secrets; only loopback has no way."""
    origin = urlsplit(settings.SITE_ORIGIN)
    if origin.scheme == "https" or origin.hostname in LOOPBACK:
        return []
    hint = "Put a TLS-terminating proxy in front and set SITE_ORIGIN=https://…"
    return [checks.Error(f"SITE_ORIGIN is {settings.SITE_ORIGIN}: plain http.", hint=hint, id="apikeys.E001")]
