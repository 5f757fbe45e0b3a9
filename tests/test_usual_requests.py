"""What one expression reads is what httptools reads: `usual` is a short cut, and nobody can tell that it was taken."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.gate.usual import LIMIT, Usual, read_usual
from tests.fuzz.bench import KEY, UNKNOWN, Bench

if TYPE_CHECKING:
    from auditlog.calls import Call

BEARER = f"Authorization: Bearer {KEY}"
GATEWAYS = {
    "curl": ("GET /check", "Host: localhost", "User-Agent: curl/8.5.0", "Accept: */*", BEARER),
    "nginx": (
        "GET /check", "X-Gateway: nginx", "X-Original-URI: /contacts?limit=1", "X-Original-Method: PATCH",
        "X-Forwarded-For: 203.0.113.7", "Host: 127.0.0.1", BEARER, "User-Agent: python-requests/2.32.3",
        "Cookie: a=b; c=d",
    ),
    "caddy": (
        "GET /check", "Host: 127.0.0.1:8001", "User-Agent: Go-http-client/2.0", BEARER, "X-Forwarded-For: 203.0.113.7",
        "X-Forwarded-Host: api.example.com", "X-Forwarded-Method: POST", "X-Forwarded-Proto: https",
        "X-Forwarded-Uri: /contacts", "Accept-Encoding: gzip", "Content-Type: application/json",
    ),
    "envoy": (
        "POST /check/contacts?limit=1", "host: localhost", f"authorization: Bearer {KEY}", "content-length: 0",
        "x-forwarded-for: 203.0.113.7", "user-agent: a/1", "x-envoy-internal: true",
    ),
}  # fmt: skip


def request(*lines: str) -> bytes:
    return "\r\n".join((f"{lines[0]} HTTP/1.1", *lines[1:], "", "")).encode("latin-1")


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_what_gateways_send_is_usual(bench: Bench, gateway: str) -> None:
    """Else it is slow, and nothing else would say so."""
    sent = request(*GATEWAYS[gateway])
    with patch("apikeys.gate.protocol.httptools.HttpRequestParser", _Unwanted):
        answer, call, _ = _answer(bench, sent)

    assert answer.startswith(b"HTTP/1.1 204 ")
    assert call is not None


class _Unwanted:
    def __init__(self, _: object) -> None:
        pass

    def feed_data(self, data: bytes) -> None:
        raise AssertionError(data)


HEADERS = [
    *(f"{name}: {value}" for name, value in product(
        ["Host", "host", "HOST"], ["localhost", "127.0.0.1:8001", "evil.example", "", " localhost", "localhost "]
    )),
    *(f"{name}: {value}" for name, value in product(
        ["Authorization", "authorization", "AUTHORIZATION"],
        [f"Bearer {KEY}", f"Bearer {KEY} ", f"bearer {KEY}", f"Bearer  {KEY}", f"Bearer {KEY[:-1]}",
         f"Bearer {UNKNOWN}", f"Bearer {KEY}, Bearer {KEY}", f"Basic {KEY}", ""],
    )),
    *(f"{name}: {value}" for name, value in product(
        ["X-Original-URI", "x-original-uri", "X-Original-Uri", "X-Forwarded-Uri"],
        ["/", "/a?b=c", "/a?hapikey=x", "/a?h%61pikey=x", "/a b", "", "a", "?a", "/\xe9"],
    )),
    *(f"{name}: {value}" for name, value in product(
        ["X-Original-Method", "X-Forwarded-Method", "x-original-method"], ["GET", "DELETE", "BREW", "get", "A B", ""]
    )),
    *(f"X-Forwarded-For: {value}" for value in ["203.0.113.7", "203.0.113.7, 10.0.0.1", "", " ", "x", "::1 ", " ::1"]),
    *(f"User-Agent: {value}" for value in ["a/1", "", " ", "a ", " a", "\xe9", "a\tb"]),
    *(f"Connection: {value}" for value in ["keep-alive", "close", "Keep-Alive", "Upgrade", "x", ""]),
    *(f"Content-Length: {value}" for value in ["0", "1", "00", "-0", "", "0 "]),
    "X-Gateway: nginx", "X-Gateway: nginx ", "X-API-Key: a", "Transfer-Encoding: chunked", "Expect: 100-continue",
    "Upgrade: h2c", "TE: trailers", "Keep-Alive: 5", "X-Real-Ip: 1.2.3.4", "X-Forwarded-Fo: x", "Accept: */*",
    "Accept:", "A:b", "A : b", "A: b\x00", "A: b\x7f", "A: b\rc", "A: b\nC: d", " a: b", ": b", "A", "a_b: c",
    "A: " + "b" * 4_000,
]  # fmt: skip
LINES = ["GET /check", "GET /check/", "GET /check/a?b", "POST /check/a", "HEAD /check/a", "TRACE /check/a",
         "GET /check?a", "GET /checks", "POST /check", "GET  /check", "get /check", "GET /check/\xe9"]  # fmt: skip


def requests() -> st.SearchStrategy[bytes]:
    """Mostly right: what is right at first sight is where two readers could differ."""
    head = st.lists(st.sampled_from(HEADERS), max_size=4)
    usual = st.sampled_from(sorted(GATEWAYS)).map(lambda gateway: list(GATEWAYS[gateway]))
    made = st.builds(lambda line, headers: [line, *headers], st.sampled_from(LINES), head)
    both = st.builds(lambda lines, more: [lines[0], *more, *lines[1:]], usual, head)
    shuffled = both.flatmap(lambda lines: st.permutations(lines[1:]).map(lambda rest: [lines[0], *rest]))
    return st.one_of(usual, made, both, shuffled).map(lambda lines: request(*lines))


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_each_header_added_is_read_the_same_by_the_short_cut_and_the_long_way(bench: Bench, gateway: str) -> None:
    line, *headers = GATEWAYS[gateway]
    for added in HEADERS:
        _compare(bench, request(line, added, *headers))
        _compare(bench, request(line, *headers, added))


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_so_is_each_header_instead_of_another(bench: Bench, gateway: str) -> None:
    line, *headers = GATEWAYS[gateway]
    for added in HEADERS:
        name = added.partition(":")[0].lower()
        _compare(bench, request(line, added, *(one for one in headers if not one.lower().startswith(f"{name}:"))))
    for other in LINES:
        _compare(bench, request(other, *headers))


@given(sent=requests())
def test_so_are_several(bench: Bench, sent: bytes) -> None:
    _compare(bench, sent)


@given(sent=requests(), at=st.integers(0, 400), byte=st.binary(max_size=2), gone=st.integers(0, 2))
def test_so_is_what_is_broken_somewhere(bench: Bench, sent: bytes, at: int, byte: bytes, gone: int) -> None:
    _compare(bench, sent[:at] + byte + sent[at + gone :])


@pytest.mark.parametrize(
    "line", ["Host: localhost", BEARER, "User-Agent: b", "X-Original-URI: /b", "Content-Length: 0"]
)
def test_a_header_that_is_read_is_usual_once(line: str) -> None:
    once = request("GET /check", line, "Accept: */*")
    assert read_usual(once)
    assert not read_usual(request("GET /check", line, "Accept: */*", line))
    assert not read_usual(request("GET /check", line, line.swapcase()))


def test_the_time_that_reading_takes_is_bounded_by_the_length() -> None:
    """Were something gone over again, some of these would take for ever."""
    for name, character in product(
        ["Host: ", "A: ", "User-Agent: ", "Authorization: Bearer ", "X-Forwarded-", ""], " a:-\r\n"
    ):
        assert not read_usual(b"GET /check HTTP/1.1\r\n" + (name + character * LIMIT).encode())
    assert not read_usual(request("GET /check", *["A: b"] * 101))


def test_its_fields_are_the_groups_in_order() -> None:
    match = read_usual(request(*GATEWAYS["envoy"]))
    assert match is not None
    assert tuple(match.re.groupindex) == tuple(sorted(Usual._fields, key=lambda name: match.re.groupindex[name]))
    assert [match.re.groupindex[name] for name in Usual._fields] == list(range(1, len(Usual._fields) + 1))


def _compare(bench: Bench, sent: bytes) -> None:
    with patch("apikeys.gate.protocol.usual.LIMIT", 0):
        long_way = _answer(bench, sent)

    assert _answer(bench, sent) == long_way, sent


def _answer(bench: Bench, sent: bytes) -> tuple[bytes, Call | None, bool]:
    """What comes back and the record of the call, but for what is another each time; and whether that was the end."""
    with bench:
        bench.forget()
        wire = bench.connect()
        wire.send(sent)
        wire.settle()
        answered, is_closed = wire.answered, wire.is_closed
        wire.lose()
    answered = re.sub(rb"[0-9a-f]{8}-[0-9a-f-]{27}", b"ID", answered)
    answered = re.sub(rb"(Remaining: |;r=|;t=)\d+", rb"\1N", answered)
    call = next(iter(bench.calls), None)
    return answered, call and (call[0], 0.0, *call[2:9], 0, call[10]), is_closed
