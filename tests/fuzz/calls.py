"""One call behind the parsing: the two ways of deciding on it, its route and its secret, each held against another."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from apikeys import secrets
from apikeys.api_document import Operation
from apikeys.gate import asked
from apikeys.gate.asked import BLANKS, Fields, MistakenRequestError, Peer
from apikeys.gate.reasons import Reason
from apikeys.gate.routes import Routes
from apikeys.gate.usual import read_usual
from tests.fuzz.bench import APP, DEAD, KEY, LATE, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzz.bench import Bench

NAMES = [
    b"authorization", b"x-api-key", b"x-original-uri", b"x-original-method", b"x-forwarded-uri", b"x-forwarded-method",
    b"x-forwarded-for", b"user-agent", b"x-gateway", b"host",
]  # fmt: skip
SEPARATOR = b"\xff\xff"  # between values; an empty one: the header is not there

_CHANGING = re.compile(
    rb"X-Request-Id: [0-9a-f-]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|Remaining: \d+|r=\d+|t=\d+"
)
_ENDS_LINE = re.compile(rb"[\r\n]").search
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TEMPLATES = ["/contacts", "/contacts/{id}", "/contacts/search", "/contacts/{id}.vcf", "/{kind}/mine", "/"]
_ROUTES = Routes((Operation("GET", path, (frozenset({path}),)) for path in _TEMPLATES), refuse_unknown=True)
_PEERS = [Peer("127.0.0.1"), Peer("203.0.113.9"), Peer("")]


def seeds() -> Iterator[bytes]:
    for text in (KEY, APP, DEAD, UNKNOWN, KEY[:-1], f"{KEY}\0{KEY}"):
        for target in (
            "",
            "/contacts/7.vcf",
            "/contacts/%2e%2e/mine?a=b",
            f"/a?%68apikey={text}&b",
            "/contacts/search/",
        ):
            values = [f"Bearer {text}", "", target, "GET" if target else "", "", "", "::1, 198.51.100.7", "a/1", "", ""]
            yield SEPARATOR.join(value.encode() for value in values)
            yield SEPARATOR.join(value.encode() for value in ["", text, *values[2:8], "nginx", "localhost:1"])


def check(bench: Bench, data: bytes) -> None:
    """Judge one call whose headers have these values.

    :raises AssertionError: if the ways disagree, or something is let through that must not be.
    """
    values = data.split(SEPARATOR)
    fields = {name: value.strip(BLANKS) for name, value in zip(NAMES, values, strict=False) if value.strip(BLANKS)}
    if not any(_ENDS_LINE(value) for value in fields.values()):
        check_ways(bench, {b"host": b"localhost"} | fields, _PEERS[len(data) % 3])
    for value in values:
        check_secret(value)
        check_route(value.partition(b"?")[0])
    bench.forget()


def check_ways(bench: Bench, fields: Fields, peer: Peer) -> None:
    """The hot path, where it takes the call, answers what the long way does, but for what changes with every call."""
    head = b"".join(b"%b: %b\r\n" % field for field in fields.items())
    found = read_usual(b"GET /check HTTP/1.1\r\n%b\r\n" % head)
    plain = bench.gate.check_plain(found.groups(), peer) if found is not None else None
    recorded = bench.calls[-1:]
    with bench:
        usual = _long_way(bench, fields, peer)
    assert plain is None or unchanging(plain) == unchanging(usual), (plain, usual, fields)
    assert plain is None or recorded[0][0] == bench.calls[-1][0]
    if usual.startswith(b"HTTP/1.1 204"):
        shown = [fields.get(name, b"").decode("latin-1") for name in (b"authorization", b"x-api-key")]
        assert any(secret in value for secret in (KEY, APP, LATE) for value in shown), fields


def _long_way(bench: Bench, fields: Fields, peer: Peer) -> bytes:
    told: list[bytes] = []
    try:
        asked.local_path(b"/check", fields)
        question = asked.asked(b"/check", b"GET", fields, peer)
    except MistakenRequestError:
        return b"mistaken"
    answer = bench.gate.check(question, told.append, head=False)
    while answer is None:
        assert bench.settle()
        answer = told[0] if told else None
    return answer


def unchanging(answer: bytes) -> bytes:
    return _CHANGING.sub(b"~", answer)


def check_secret(value: bytes) -> None:
    """What looks like a secret is one by the published rule, worked out anew."""
    text = value.decode("latin-1")
    prefix, _, rest = text.partition("_")
    number = zlib.crc32(rest[:30].encode("latin-1"))
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    is_one = prefix in {"kp", "kpp", "kpa", "kpr"} and len(rest) == 36 and set(rest) <= set(_BASE62)
    assert (secrets.kind_of(text) is not None) == (is_one and rest[30:] == digits), value


def check_route(path: bytes) -> None:
    """What is let through with a template's scope is of that template however a server reads the path."""
    for template in _TEMPLATES:
        if _ROUTES.rule(frozenset({template}), b"GET", path).reason is not Reason.ACCEPTED:
            continue
        decoded = unquote_to_bytes(path)
        segments = decoded.removesuffix(b"/").split(b"/")[1:]
        assert path.startswith(b"/"), path
        assert decoded.count(b"/") == path.count(b"/"), path
        assert not {b"", b".", b".."} & set(segments), path
        pattern = re.sub(r"\\\{[a-z]+\\\}", "[^/]+", re.escape(template.removesuffix("/"))).encode()
        assert re.fullmatch(pattern, decoded.removesuffix(b"/"), re.DOTALL), (path, template)
