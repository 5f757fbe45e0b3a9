"""From where: the address, user agent and request id that an audit entry records.

They belong to the request rather than to any one action in it, so they travel in a context variable, set at the edge.
"""

import ipaddress
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse


@dataclass(frozen=True, slots=True)
class Origin:
    address: str | None = None
    user_agent: str = ""
    request_id: str = ""


IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

NOWHERE = Origin()  # a command, a job
current: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)


class OriginMiddleware:
    """Remember where the request came from while it is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        origin = Origin(
            address=client_address(request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", "")),
            user_agent=request.headers.get("User-Agent", "")[:512],
            request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
        )
        token = current.set(origin)
        try:
            return self.get_response(request)
        finally:
            current.reset(token)


def client_address(peer: str, forwarded_for: str) -> str | None:
    """The nearest address that is not one of our proxies; X-Forwarded-For is read from its trusted end only."""
    address = _parsed(peer)
    hops = iter(reversed(forwarded_for.split(",")))
    while address is not None and is_trusted_proxy(address):
        earlier = _parsed(next(hops, "").strip())
        if earlier is None:
            break
        address = earlier
    return str(address) if address is not None else None


def is_trusted_proxy(address: IPAddress) -> bool:
    return any(address in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


def may_read_metrics(peer: str | None) -> bool:
    """Whether who is at the other end is on this machine or in METRICS_ALLOW. A proxy is at the end itself."""
    address = _parsed(peer or "")
    return address is not None and (
        address.is_loopback or any(address in network for network in _networks(tuple(settings.METRICS_ALLOW)))
    )


def _parsed(text: str) -> IPAddress | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@cache
def _networks(texts: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)
