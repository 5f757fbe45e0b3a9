"""HTTP/1.1 requests as RFC 9112 has them, read slowly and strictly: what the gate's own reading is held against.

It shares nothing with the gate or its parser: plain slicing over a whole stream of bytes.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

# Those that the gate's parser knows; RFC 9110, 9.1 leaves it to servers which they know.
METHODS = frozenset(
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND "
    b"REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK "
    b"UNLINK SOURCE QUERY".split()
)
# More than one space is let be (RFC 9112, 3): no two readers differ on where such a request ends.
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +(/[\x21-\x7e]*|\*|[A-Za-z]+://[\x21-\x7e]+) +HTTP/(1\.[01])")
_AUTHORITY_LINE = re.compile(rb"(CONNECT) +([\x21-\x7e]+) +HTTP/(1\.[01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)")
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Extensions mean nothing here; a value that is missing is let be.
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;%b(?:=(?:|%b|\"[^\"\\\x00-\x1f\x7f]*\"))?)*" % (_TOKEN, _TOKEN))
_LENGTH = re.compile(rb"[0-9]+")
_FRAMING = {b"content-length", b"transfer-encoding"}

Field = tuple[bytes, bytes]  # name in lower case, value without blanks around it


class Request(NamedTuple):
    method: bytes
    target: bytes
    fields: list[Field]
    trailers: list[Field]
    body: int  # bytes
    head: int  # bytes of the head as it came
    size: int  # bytes of the longer of fields and trailers: names and values, blanks behind these included
    keeps: bool  # the connection
    start: int
    end: int  # where in the stream the next one begins

    def values(self, name: bytes) -> list[bytes]:
        return [value for its_name, value in self.fields if its_name == name]


class Rest(Enum):
    """What a stream ends with."""

    NOTHING = auto()
    BEGINNING = auto()  # of a request that may become one
    MISTAKE = auto()


class _MistakeError(Exception):
    pass


class _MoreError(Exception):
    pass


def read(stream: bytes) -> tuple[list[Request], Rest]:
    """The requests of a connection, up to the last that it may have."""
    requests: list[Request] = []
    at = 0
    try:
        while at < len(stream) and (not requests or requests[-1].keeps):
            at = _after_blank_lines(stream, at)
            if at == len(stream):
                break
            requests.append(_request(stream, at))
            at = requests[-1].end
    except _MistakeError:
        return requests, Rest.MISTAKE
    except _MoreError:
        return requests, Rest.BEGINNING
    return requests, Rest.NOTHING


def _after_blank_lines(stream: bytes, at: int) -> int:
    """Robustness before a request line (RFC 9112, 2.2); the gate's parser takes a bare LF and CR there too."""
    while stream[at : at + 1] in {b"\r", b"\n"}:
        at += 1
    return at


def _line(stream: bytes, at: int) -> tuple[bytes, int]:
    end = stream.find(b"\n", at)
    if end < 0:
        raise _MoreError
    if end == at or stream[end - 1 : end] != b"\r":
        raise _MistakeError  # a bare LF
    return stream[at : end - 1], end + 1


def _request(stream: bytes, start: int) -> Request:
    line, at = _line(stream, start)
    if line == b"PRI * HTTP/2.0" and b"\r\nSM\r\n\r\n".startswith(stream[at:]):
        raise _MoreError  # HTTP/2, which is refused once it is certain
    parts = _LINE.fullmatch(line) or _AUTHORITY_LINE.fullmatch(line)
    if parts is None or parts[1] not in METHODS:
        raise _MistakeError
    fields, size, at = _fields(stream, at)
    head = at - start
    named: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        named.setdefault(name, []).append(value)
    options = {option.strip(b" \t").lower() for value in named.get(b"connection", ()) for option in value.split(b",")}
    # Before HTTP/1.1, where neither was defined, the parser has the one win over the other.
    keeps = b"close" not in options if parts[3] == b"1.1" else b"keep-alive" in options
    if parts[1] == b"CONNECT" or (b"upgrade" in options and any(named.get(b"upgrade", ()))):
        # Who asks for another protocol may go on in it. Nothing is changed to, so nothing more is read, no body either.
        _framed(named)
        return Request(parts[1], parts[2], fields, [], 0, head, size, keeps=False, start=start, end=at)
    body, trailers, more, at = _body(stream, at, named, version=parts[3])
    return Request(parts[1], parts[2], fields, trailers, body, head, max(size, more), keeps=keeps, start=start, end=at)


def _fields(stream: bytes, at: int) -> tuple[list[Field], int, int]:
    fields: list[Field] = []
    size = 0
    while True:
        line, at = _line(stream, at)
        if not line:
            return fields, size, at
        parts = _FIELD.fullmatch(line)
        if parts is None:
            raise _MistakeError
        name, value = parts[1].lower(), parts[2]
        if name in _FRAMING and value.endswith(b"\t"):
            raise _MistakeError  # blanks there are spaces to the parser; to refuse is safe
        size += len(name) + len(value.lstrip(b" \t"))
        fields.append((name, value.strip(b" \t")))


def _body(
    stream: bytes, at: int, named: dict[bytes, list[bytes]], *, version: bytes
) -> tuple[int, list[Field], int, int]:
    length = _framed(named)
    if length is None:
        _line(stream, at)  # it is not looked at before there is a chunk
        if version != b"1.1" or [coding.lower() for coding in named[b"transfer-encoding"]] != [b"chunked"]:
            raise _MistakeError
        return _chunks(stream, at)
    if at + length > len(stream):
        raise _MoreError
    return length, [], 0, at + length


def _framed(named: dict[bytes, list[bytes]]) -> int | None:
    """The body's bytes; None: it comes in chunks."""
    codings, lengths = named.get(b"transfer-encoding", []), named.get(b"content-length", [])
    if codings:
        if lengths or codings[-1].lower().rpartition(b",")[2].strip(b" \t") != b"chunked":
            raise _MistakeError
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]) or int(lengths[0]) >= 1 << 64:
        raise _MistakeError
    return int(lengths[0])


def _chunks(stream: bytes, at: int) -> tuple[int, list[Field], int, int]:
    body = 0
    while True:
        line, at = _line(stream, at)
        parts = _CHUNK.fullmatch(line)
        if parts is None:
            raise _MistakeError
        size = int(parts[1], 16)
        if not size:
            trailers, more, at = _fields(stream, at)
            if any(name in _FRAMING for name, _ in trailers):
                raise _MistakeError  # too late for these (RFC 9110, 6.5.1)
            return body, trailers, more, at
        body += size
        if at + size > len(stream):
            raise _MoreError
        at += size
        end = stream[at : at + 2]
        if not b"\r\n".startswith(end):
            raise _MistakeError
        if end != b"\r\n":
            raise _MoreError
        at += 2
