"""Where an app may be sent back to with its code (RFC 6749, 3.1.2; RFC 8252, 7.3 and 8.3; RFC 9700, 2.1).

They are compared as texts, character by character. So one that could be written in two ways, or that leads to more than
one place, is not let in.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.names import refuse_secret

LONGEST = 500
LOOPBACK = frozenset({"127.0.0.1", "::1"})  # not "localhost", which a machine may resolve to anything
_URI = re.compile(r"[A-Za-z0-9._~:/?@!$&'()+,;=%\[\]-]+")  # RFC 3986, 2, without # and *
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])")


def validate(uri: str) -> None:
    """:raises ValidationError: with what is wrong, in words for the operator who typed it."""
    if len(uri) > LONGEST:
        raise ValidationError(_("A redirect URI has at most 500 characters."))
    if "#" in uri:
        raise ValidationError(_("A redirect URI has no fragment (#)."))
    if "*" in uri:
        raise ValidationError(_("A redirect URI stands for one address alone: no wildcards."))
    if not _URI.fullmatch(uri):
        raise ValidationError(_("A redirect URI has neither blanks nor characters outside of ASCII."))
    refuse_secret(uri)
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 -- raises for what is no port
    except ValueError as failure:
        raise ValidationError(_("This is not a URI. Example: https://app.example.com/callback")) from failure
    _validate_host(parts)
    _validate_rest(uri, parts)


def _validate_host(parts: SplitResult) -> None:
    if "@" in parts.netloc:
        raise ValidationError(_("A redirect URI names no user and no password (@)."))
    if parts.scheme not in {"https", "http"}:
        raise ValidationError(_("A redirect URI begins with https://"))
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValidationError(_("Plain http is for 127.0.0.1 and [::1] alone. Begin with https://"))
    if not _is_public(parts.hostname or ""):
        raise ValidationError(_("A redirect URI names a whole domain, in small letters, such as app.example.com."))


def _is_public(host: str) -> bool:
    if host in LOOPBACK or _DOMAIN.fullmatch(host):
        return True
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _validate_rest(uri: str, parts: SplitResult) -> None:
    if not parts.path.startswith("/"):
        raise ValidationError(_("A redirect URI has a path, if only a slash: https://app.example.com/"))
    segments = parts.path.replace("%2e", ".").replace("%2E", ".").split("/")
    if {".", ".."} & set(segments) or "//" in parts.path:
        raise ValidationError(_("Write the path out: without “.”, “..” and double slashes."))
    standard = {"https": ":443", "http": ":80"}[parts.scheme]
    if not uri.startswith(f"{parts.scheme}://{parts.netloc.lower()}/") or parts.netloc.endswith((standard, ":")):
        raise ValidationError(_("Write scheme and host in small letters, without the standard port."))
