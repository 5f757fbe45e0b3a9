"""What a fuzzer begins with: requests of each kind, right and wrong, and the words that they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.bench import APP, DEAD, KEY, LATE, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = "GET /check HTTP/1.1\r\nHost: localhost\r\n"
BEARER = f"Authorization: Bearer {KEY}\r\n"
PLAIN = f"{GET}{BEARER}\r\n"

_HEADS = [
    f"{GET}Authorization: Bearer {APP}\r\n",
    f"{GET}authorization: bearer {LATE} \r\n",
    f"{GET}Authorization: Bearer {DEAD}\r\n",
    f"{GET}Authorization: Bearer {UNKNOWN}\r\n",
    f"{GET}Authorization: Bearer {KEY}0\r\n",
    f"{GET}Authorization: Basic {KEY}\r\n",
    f"{GET}X-API-Key: {KEY}\r\n",
    f"{GET}X-API-Key: {APP}\r\n",
    f"{GET}{BEARER}X-API-Key: {KEY}\r\n",
    f"{GET}{BEARER}X-API-Key: {LATE}\r\n",
    f"{GET}{BEARER}{BEARER}",
    f"{GET}{BEARER}X-Original-URI: /a?hapikey={KEY}\r\nX-Original-Method: PATCH\r\n",
    f"{GET}{BEARER}X-Original-URI: /a?h%61pikey={LATE}\r\n",
    f"{GET}Authorization: Bearer \r\nX-Forwarded-Uri: /a?hapikey={KEY}%00\r\nX-Forwarded-Method: DELETE\r\n",
    f"{GET}{BEARER}X-Gateway: nginx\r\nX-Original-URI: /\r\nX-Original-Method: A B\r\n",
    f"{GET}X-Gateway: nginx\r\nX-API-Key: a\r\nX-API-Key: b\r\n",
    f"{GET}{BEARER}X-Forwarded-For: 198.51.100.7, ::1,, x\r\nUser-Agent: a/1\r\nConnection: keep-alive\r\n",
    f"{GET}{BEARER}Connection: close\r\n",
    f"{GET}{BEARER}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n",
    f"{GET}{BEARER}Host: localhost\r\n",
    f"{GET}{BEARER}A: b\r\n c\r\n",
    f"{GET}{BEARER}A: b\nC: d\r\n",
    f"{GET}{BEARER}A : b\r\n",
    f"{GET}{BEARER}A: b\rc\0\r\n",
    f"{GET}{BEARER}" + "".join(f"A{number}: b\r\n" for number in range(97)),
    f"{GET}{BEARER}" + "".join(f"A{number}: b\r\n" for number in range(99)),
    f"{GET}{BEARER}A: {'b' * 8_080}\r\n",
    f"{GET}{BEARER}A: {'b' * 9_000}\r\n",
    f"GET /check/a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:8001\r\n{BEARER}",
    f"GET /check?{'a' * 4_089} HTTP/1.1\r\nHost: localhost\r\n{BEARER}",
    f"GET /check?{'a' * 4_090} HTTP/1.1\r\nHost: localhost\r\n{BEARER}",
    f"GET http://localhost/check HTTP/1.1\r\nHost: localhost\r\n{BEARER}",
    f"GET https://evil.example/check HTTP/1.1\r\nHost: localhost\r\n{BEARER}",
    f"GET /check HTTP/1.1\r\nHost: evil.example\r\n{BEARER}",
    f"GET /check HTTP/1.1\r\n{BEARER}",
    f"GET /check HTTP/1.0\r\nHost: localhost\r\n{BEARER}Connection: keep-alive\r\n",
    f"GET /check HTTP/2.0\r\nHost: localhost\r\n{BEARER}Connection: keep-alive\r\n",
    f"GET /check HTTP/0.9\r\nHost: localhost\r\n{BEARER}",
    f"GET /check\r\nHost: localhost\r\n{BEARER}",
    f"GET  /check  HTTP/1.1\r\nHost: localhost\r\n{BEARER}",
    f"HEAD /check HTTP/1.1\r\nHost: localhost\r\n{BEARER}",
    "HEAD /check HTTP/1.1\r\nHost: evil.example\r\n",
    f"TRACE /check HTTP/1.1\r\nHost: localhost\r\n{BEARER}",
    f"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n{BEARER}",
    f"CONNECT /check HTTP/1.1\r\nHost: localhost\r\n{BEARER}",
    f"BREW /check HTTP/1.1\r\nHost: localhost\r\n{BEARER}",
    f"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n{BEARER}",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n",
    "GET /livez HTTP/1.1\r\nHost: localhost\r\n",
    "GET /readyz HTTP/1.1\r\nHost: localhost\r\n",
    "GET /metrics HTTP/1.1\r\nHost: localhost\r\n",
    "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n",
    "POST /livez HTTP/1.1\r\nHost: localhost\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\n",
]
_POST = f"POST /check HTTP/1.1\r\nHost: localhost\r\n{BEARER}"
_WHOLE = [
    f"{_POST}Content-Length: 5\r\n\r\nhello",
    f"{_POST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    f"{_POST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    f"{_POST}Content-Length: +5\r\n\r\nhello",
    f"{_POST}Content-Length: 5, 5\r\n\r\nhello",
    f"{_POST}Content-Length: 99999999999999999999999\r\n\r\nhello",
    f"{_POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    f"{_POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    f'{_POST}Transfer-Encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n00\r\n{BEARER}\r\n',
    f"{GET}Transfer-Encoding: chunked\r\n\r\n0\r\n{BEARER}\r\n",
    f"{_POST}Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    f"{_POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    f"{_POST}Transfer-Encoding: identity\r\n\r\nhello",
    f"{_POST}Transfer-Encoding : chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    f"{_POST}Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    f"{_POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    f"{_POST.replace('1.1', '1.0')}Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    f"{_POST}Content-Length: {len(PLAIN)}\r\n\r\n{PLAIN}",
    "\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


def seeds() -> Iterator[bytes]:
    """Each alone, and before and behind a plain request."""
    for text in [PLAIN, *(f"{head}\r\n" for head in _HEADS), *_WHOLE]:
        stream = text.encode("latin-1")
        yield stream
        yield stream + PLAIN.encode()
        yield PLAIN.encode() + stream


def words() -> list[bytes]:
    """Tokens of HTTP, and of ours, for a fuzzer to put in."""
    found = {line + "\r\n" for text in [*_HEADS, *_WHOLE] for line in text.split("\r\n") if 0 < len(line) < 64}
    found |= {KEY, APP, DEAD, LATE, UNKNOWN, "hapikey=", "%68apikey=", "\r\n", "\r\n\r\n", "\n", "\r", "\t", "\0"}
    found |= {
        " HTTP/1.1",
        " HTTP/1.0",
        " HTTP/0.9",
        " HTTP/2.0",
        "chunked",
        "0\r\n\r\n",
        "Bearer ",
        "nginx",
        "localhost",
    }
    return sorted(word.encode("latin-1") for word in found)
