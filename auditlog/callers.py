"""Callers: what can be told apart behind a shared key, by user agent family and network; and what routes they use."""

import ipaddress
import re
from functools import lru_cache

from auditlog.remembered import Remembered

AGENT_LENGTH = 64
ROUTE_LENGTH = 200
TEXTS_KEPT = 4_096
IPV4_PREFIX = 24  # what one office or cloud subnet usually shares
IPV6_PREFIX = 48  # what one site is usually given (RFC 6177)

# token of RFC 9110, 5.6.2; the first product stands at the start of the field (10.1.5)
_PRODUCT = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_DIGIT = re.compile(r"\d")
LONGEST_WORD, SHORTEST_NAME = 40, 10  # characters; of a name that has a digit among them


@lru_cache(maxsize=4096)
def product_token(user_agent: str) -> str:
    """The name of the first product, without its version: "python-requests/2.32.3" gives "python-requests".

    Empty where there is none.
    """
    product = _PRODUCT.match(user_agent.lstrip())
    return product[0][:AGENT_LENGTH] if product else ""


@lru_cache(maxsize=4096)
def network(address: str | None) -> str:
    """The /24 (IPv4) or /48 (IPv6) that an address is in: "203.0.113.9" gives "203.0.113.0/24"; empty if unknown."""
    if not address:
        return ""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    host = getattr(parsed, "ipv4_mapped", None) or parsed
    prefix = IPV4_PREFIX if isinstance(host, ipaddress.IPv4Address) else IPV6_PREFIX
    return str(ipaddress.ip_interface(f"{host.compressed.partition('%')[0]}/{prefix}").network)


def route_of(path: str) -> str:
    """A path with {id} for each segment that names a thing: "/v3/contacts/17" gives "/v3/contacts/{id}"."""
    return _routes[path]


def _names_a_thing(segment: str) -> bool:
    """A number, an address, ten characters with a digit among them, or more than forty."""
    return (
        segment.isdecimal()
        or len(segment) > LONGEST_WORD
        or (len(segment) >= SHORTEST_NAME and _DIGIT.search(segment) is not None)
        or "@" in segment
        or "%40" in segment
    )


_segments: Remembered[str, str] = Remembered(
    lambda segment: "{id}" if _names_a_thing(segment) else segment, size=TEXTS_KEPT
)
_routes: Remembered[str, str] = Remembered(
    lambda path: "/".join(map(_segments.__getitem__, path.split("/")))[:ROUTE_LENGTH], size=TEXTS_KEPT
)
