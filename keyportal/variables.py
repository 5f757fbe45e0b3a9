"""What the environment's variables may hold. A wrong one ends the start in one line, and no request in a traceback."""

import ipaddress
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LONGEST_ISSUER = 200  # characters, in the store


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


def issuer(variable: str, text: str) -> str:
    """The issuer of an OpenID Connect provider without its trailing slash: https, without a query; empty for none.

    :raises ImproperlyConfigured: for anything else; plain http is for loopback alone.
    """
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    except ValueError:
        is_safe = False
    if not is_safe or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ImproperlyConfigured(f"{variable} is {text!r}, not an issuer such as https://login.example.com.")
    if len(text) > LONGEST_ISSUER:
        raise ImproperlyConfigured(f"{variable} has more than {LONGEST_ISSUER} characters.")
    return text.rstrip("/")


def all_or_none(**named: str) -> None:
    """See that of variables that belong together none is missing.

    :raises ImproperlyConfigured: naming those that are.
    """
    missing = [name for name, text in named.items() if not text]
    if missing and len(missing) < len(named):
        there = " and ".join(name for name in named if name not in missing)
        raise ImproperlyConfigured(f"{there} set, but not {' and '.join(missing)}: they belong together.")


def one_of(variable: str, text: str, allowed: Sequence[str]) -> str:
    """One of a few words.

    :raises ImproperlyConfigured: for another.
    """
    if text not in allowed:
        raise ImproperlyConfigured(f"{variable} is {text!r}, not {' or '.join(allowed)}.")
    return text


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
