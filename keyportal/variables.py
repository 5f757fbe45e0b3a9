"""What the environment's variables may hold. A wrong one ends the start in one line, and no request in a traceback."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured


def origin(variable: str, text: str) -> str:
    """An origin without its trailing slash: scheme, host and, where it is not the scheme's own, port (RFC 6454, 6.2).

    :raises ImproperlyConfigured: for anything else.
    """
    try:
        parts = urlsplit(text)
        is_origin = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        is_origin = False
    if not is_origin or parts.path.rstrip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ImproperlyConfigured(f"{variable} is {text!r}, not an origin such as https://portal.example.com.")
    return text.rstrip("/")


def networks(variable: str, texts: Iterable[str]) -> list[str]:
    """Addresses and networks in CIDR form, as they came.

    :raises ImproperlyConfigured: for one that is neither.
    """
    found = list(texts)
    for text in found:
        try:
            ipaddress.ip_network(text)
        except ValueError as failure:
            raise ImproperlyConfigured(f"{variable}: {failure}. Example: 10.0.0.0/8.") from failure
    return found
