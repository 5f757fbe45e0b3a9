"""A request to the gate -> the call that it asks about.

Gateways say it in their own ways: nginx in X-Original-Method and X-Original-URI, Caddy and Traefik in
X-Forwarded-Method and X-Forwarded-Uri, Envoy by calling `/check` + the path with the call's own method. With none of
these it is `GET /`.
"""

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from auditlog import origin

REPEATED = b"\0"  # joins the values of a header that came more than once; no header's value holds it
CHECK = b"/check"
BLANKS = b" \t"  # may follow a header's value (RFC 9112, 5.1); the parser leaves them to be cut off

_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,16}")  # token of RFC 9110, 9.1; ours is shorter
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE)
_ONCE = (b"host", b"x-original-method", b"x-original-uri", b"x-forwarded-method", b"x-forwarded-uri", b"x-gateway")

# The headers that the gate and its connections read; of all others it only counts how many there are. Any that says
# that somebody forwarded the request is kept too: /metrics must not leave through a proxy.
READ = frozenset(
    (
        *_ONCE, b"authorization", b"x-api-key", b"user-agent", b"x-forwarded-for", b"forwarded", b"x-real-ip",
        b"connection", b"transfer-encoding", b"expect",
    )
)  # fmt: skip
FORWARDED_PREFIX = b"x-forwarded-"

Fields = dict[bytes, bytes]


class Asked(NamedTuple):
    """The call in question."""

    method: bytes
    target: bytes
    authorization: bytes | None
    api_key: bytes | None
    user_agent: bytes
    address: str | None
    nginx: bool


class MistakenRequestError(Exception):
    """A request that the gate does not take; the message is for the gateway's operator."""


def local_path(url: bytes, fields: Fields) -> bytes:
    """The path and query of the request to the gate itself, once its Host is known to be ours.

    :raises MistakenRequestError: without exactly one known Host, or in absolute form for another.
    """
    for name in _ONCE:
        if REPEATED in fields.get(name, b""):
            raise MistakenRequestError(f"{name.decode()} may come once.")
    if not is_known_host(fields.get(b"host", b"")):
        raise MistakenRequestError("Host is missing or not one of ALLOWED_HOSTS.")
    if url.startswith(b"/"):
        return url
    absolute = _ABSOLUTE.fullmatch(url)
    if absolute is None or not is_known_host(absolute[1]):
        raise MistakenRequestError("The request is for another host.")
    return absolute[2] or b"/"


@lru_cache(maxsize=256)
def is_known_host(host: bytes) -> bool:
    domain, _ = split_domain_port(host.rstrip(BLANKS).decode("latin-1"))
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def is_from_nginx(fields: Fields) -> bool:
    return fields.get(b"x-gateway", b"").rstrip(BLANKS) == b"nginx"


def asked(path: bytes, method: bytes, fields: Fields, peer: "Peer") -> Asked:
    """Read the call out of the gateway's request.

    :raises MistakenRequestError: for a method that is none.
    """
    get = fields.get
    target = get(b"x-original-uri") or get(b"x-forwarded-uri")
    if target:
        target = target.rstrip(BLANKS)
        its_method = (get(b"x-original-method") or get(b"x-forwarded-method") or b"GET").rstrip(BLANKS)
    else:
        target, its_method = (path[len(CHECK) :], method) if len(path) > len(CHECK) else (b"/", b"GET")
    if its_method != b"GET" and not _METHOD.fullmatch(its_method):
        raise MistakenRequestError("The call's method is not one of HTTP.")
    return Asked(
        its_method,
        target,
        get(b"authorization"),
        get(b"x-api-key"),
        get(b"user-agent", b""),
        peer.caller(get(b"x-forwarded-for")),
        is_from_nginx(fields),
    )


class Peer:
    """Who is at the other end of a connection."""

    __slots__ = ("address", "is_trusted")

    def __init__(self, address: str) -> None:
        self.address = origin.client_address(address, "")
        parsed = ip_address(self.address) if self.address else None
        self.is_trusted = parsed is not None and origin.is_trusted_proxy(parsed)

    def caller(self, forwarded_for: bytes | None) -> str | None:
        """The caller's address: this one's, or what it says if it is one of our proxies."""
        if not self.is_trusted or not forwarded_for or self.address is None:
            return self.address
        return _forwarded(self.address, forwarded_for)


@lru_cache(maxsize=4096)
def _forwarded(peer: str, forwarded_for: bytes) -> str | None:
    return origin.client_address(peer, forwarded_for.replace(REPEATED, b",").decode("latin-1"))
