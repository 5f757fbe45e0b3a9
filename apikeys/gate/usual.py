"""The request as gateways send it by the thousand, read by one regular expression.

httptools calls Python once a header, which for the ten headers of a gateway costs more than the decision. Here all of a
request for `/check` is read at once, if nothing about it is odd: HTTP/1.1, no body, one of each header that the gate
reads, a bearer token, printable ASCII, one blank after each colon. Whatever else comes, and whatever is in doubt, does
not match, and httptools reads it. Nobody can tell which of the two read a request: what matches here, httptools takes
for the same request, and the verdict is the same (tests/fuzz).

The expression never goes back over what it has read, so that its time is bounded by the request's length: all of its
repetitions are possessive.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

LIMIT = 4_096  # bytes of a request that is worth trying; within the limits of `protocol`


class Usual(NamedTuple):
    """What the gate reads of such a request; None where it does not say so."""

    own_method: bytes | None  # the request's own, and the rest of its path, where these are the call's (Envoy)
    own_path: bytes | None
    host: bytes | None
    token: bytes | None
    user_agent: bytes | None
    original_uri: bytes | None
    original_method: bytes | None
    forwarded_uri: bytes | None
    forwarded_method: bytes | None
    forwarded_for: bytes | None
    gateway: bytes | None
    length: bytes | None


_WORD = rb"[!-~]++"
_TEXT = rb"(?! )[ -~]++"
_ANY = rb"[ -~]*+"


def _once(name: str, value: bytes) -> bytes:
    """A field of `Usual`; no match where it has matched already: `(?(n)(?!))` fails if group n has."""
    return rb"(?(%d)(?!))(?P<%b>%b)" % (Usual._fields.index(name) + 1, name.encode(), value)


_LINE = rb"(?:GET /check|(?P<own_method>GET|POST|PUT|PATCH|DELETE|OPTIONS) /check(?P<own_path>/[!-~]*+)) HTTP/1\.1\r\n"
_ORIGINAL = rb"[Uu](?:RI|ri): %b|[Mm]ethod: %b" % (_once("original_uri", _WORD), _once("original_method", _WORD))
_FORWARDED = rb"[Uu]ri: %b|[Mm]ethod: %b|[Ff]or: %b" % (
    _once("forwarded_uri", _WORD),
    _once("forwarded_method", _WORD),
    _once("forwarded_for", _TEXT),
)
_HEADER = (
    rb"[Hh]ost: " + _once("host", _WORD),
    rb"[Aa](?:uthorization: Bearer %b|ccept(?:-[Ee]ncoding)?: %b)" % (_once("token", _WORD), _ANY),
    rb"[Uu]ser-[Aa]gent: " + _once("user_agent", _TEXT),
    rb"[Xx]-(?:[Oo]riginal-(?:%b)|[Ff]orwarded-(?:%b)|[Gg]ateway: %b)"
    % (_ORIGINAL, _FORWARDED, _once("gateway", _WORD)),
    rb"[Cc]onnection: [Kk]eep-[Aa]live",
    rb"[Cc]ontent-[Ll]ength: " + _once("length", rb"0"),
    # Any other counts for nothing, but for these, which were not as they should be.
    rb"(?!(?i:host|authorization|x-api-key|user-agent|x-original-(?:uri|method)|x-forwarded-(?:uri|method|for)|x-gateway|"
    rb"content-length|transfer-encoding|te|trailer|expect|upgrade|connection|proxy-connection|keep-alive):)"
    rb"[0-9A-Za-z_-]++: " + _ANY,
)

read_usual: Callable[[bytes], re.Match[bytes] | None] = re.compile(
    _LINE + rb"(?:(?:%b)\r\n){1,100}+\r\n" % b"|".join(_HEADER)
).fullmatch
