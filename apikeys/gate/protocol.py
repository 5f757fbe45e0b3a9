"""HTTP/1.1 for the gate: `usual` reads what is usual, httptools the rest; this keeps order, bounds and patience.

One connection is one `GateProtocol`. A request is answered when its last byte has come; its body is counted and thrown
away. Answers leave in the order of their requests: while one waits for the store, those behind it wait too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import httptools
import structlog

from apikeys.gate import answers, usual
from apikeys.gate.asked import (
    BLANKS,
    CHECK,
    FORWARDED_PREFIX,
    READ,
    REPEATED,
    Fields,
    MistakenRequestError,
    Peer,
    asked,
    is_from_nginx,
    local_path,
)
from apikeys.gate.usual import read_usual

if TYPE_CHECKING:
    from collections.abc import Callable

    from apikeys.gate.app import Gate

LINE_LIMIT = 4_096  # bytes of a target
HEAD_LIMIT = 8_192  # bytes of all headers
HEADERS_LIMIT = 100
BODY_LIMIT = 1_048_576
REQUEST_SECONDS = 10.0  # from a request's first byte to its last
IDLE_SECONDS = 75.0  # a little more than gateways keep connections
UNTAKEN_SECONDS = 10.0  # how long answers wait for a client that does not take them
DRAIN_SECONDS = 0.5  # that a connection has for one more request when the server stops

logger = structlog.get_logger(__name__)

END = b"\r\n\r\n"  # of a head, and of trailers
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
VERSIONS = {"1.0", "1.1"}
UNANSWERED = {b"TRACE", b"CONNECT"}
NOT_HTTP = "This is not a request of HTTP/1.1."

Request = tuple[bytes, bytes, Fields, bool]  # url, method, headers that the gate reads, keep the connection


class GateProtocol(asyncio.Protocol):
    """Called by uvicorn: `Config(http="apikeys.gate.app:GateProtocol")`."""

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:  # noqa: ARG002 -- what uvicorn gives
        self.connections: set[GateProtocol] = server_state.connections
        self.gate: Gate = app_state["gate"]
        self.gate.connections = self.connections
        self.turns = self.gate.turns
        self.came = self.turns.came
        self.parser = httptools.HttpRequestParser(self)
        self.answers: list[bytes] = []  # to be written when the bytes that came have been parsed
        self.behind: deque[Request] = deque()  # requests behind one that waits
        self.waiting = False
        self.closing = False
        self.draining = False  # the server stops: the next answer is the last
        self.is_stuck = False  # the client does not take its answers
        self.since = (
            self.gate.now
        )  # boot seconds: when the request in progress began, the last one did, or it got stuck
        self.in_request = False
        self.held = 0  # bytes of the request in progress, so far; without those that came with the one before it
        self.counts = False  # bytes of headers
        self.tail = b""  # what the bytes that came end with, if they end within a request
        self.url = b""
        self.fields: Fields = {}
        self.headers = 0
        self.head_bytes = 0  # of the headers, or then of the trailers; counted only where they may be many
        self.body_bytes = 0
        self.head: Fields | None = None  # the headers, once chunks have begun: what comes after them are trailers

    # --- asyncio ----------------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.connections.add(self)
        name = transport.get_extra_info("peername")
        self.peer = Peer(str(name[0]) if isinstance(name, tuple) else "")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio gives it
        self.connections.discard(self)
        self.closing = True
        self.behind.clear()

    def data_received(self, data: bytes) -> None:
        came = self.came
        if not came:
            self.turns.begin()
        came.append((self, data))

    def eof_received(self) -> bool:
        self.turns.end()  # whoever says that it will send no more still waits for its answer
        self.closing = True
        return self.waiting  # keep our half open while an answer is due

    def pause_writing(self) -> None:
        self.is_stuck, self.since = True, self.gate.now
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_stuck = False
        self._read_on()

    def _read_on(self) -> None:
        if not self.waiting and not self.closing and not self.is_stuck:
            self.transport.resume_reading()

    def shutdown(self) -> None:
        """The server stops: answer what has come in whole and one more request, saying that it is the last.

        A connection that is closed while its gateway sends the next request costs that request; one that is closed
        after an answer with `Connection: close` (RFC 9112, 9.6) costs none.
        """
        self.turns.end()
        self.draining = True
        self.gate.loop.call_later(DRAIN_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        self.turns.end()
        if not self.waiting and not self.in_request:
            self._close()

    def expire(self, now: float) -> None:
        """Close a connection that has been silent, or is too slow with a request or with taking its answers."""
        if self.is_stuck or self.transport.is_closing():  # which it is until the last answer has been taken
            if now - self.since > UNTAKEN_SECONDS:
                self.transport.abort()
            return
        if self.closing or self.waiting:
            return
        if self.in_request and now - self.since > REQUEST_SECONDS:
            self._mistaken(408, "The request took too long.")
            self.flush()
        elif not self.in_request and now - self.since > IDLE_SECONDS:
            self._close()

    # --- Turns ------------------------------------------------------------------------------------------------------
    def parse(self, data: bytes) -> None:
        """Parse what came, and judge the requests that it ends."""
        if self._is_usual(data):
            return
        if self.in_request:
            self.counts = True
        else:
            self.in_request, self.since = True, self.gate.now
            # What is left uncounted ends with a head that has come in whole, and is no longer than one may be.
            self.counts = len(data) > HEAD_LIMIT or data[-4:] != END
        self.held += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self.parser.get_method() == b"PRI":  # how HTTP/2 begins
                self._mistaken(400, NOT_HTTP)
            self.closing = True  # any other upgrade was ignored
        except httptools.HttpParserCallbackError:
            logger.exception("gate_failed")
            self._mistaken(500, "The gate failed at this request.")
        except httptools.HttpParserError:
            self._mistaken(400, NOT_HTTP)
        if self.in_request:
            self._unfinished(data)

    def _is_usual(self, data: bytes) -> bool:
        """Whether this was one usual request, whole and by itself; it has been judged then."""
        if self.in_request or self.waiting or self.closing or self.draining or len(data) > usual.LIMIT:
            return False
        request = read_usual(data)
        answer = self.gate.check_plain(request.groups(), self.peer) if request is not None else None
        if answer is None:
            return False
        self.answers.append(answer)
        self.since = self.gate.now
        return True

    # --- httptools --------------------------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        self.in_request = True  # also where its first bytes come with the end of the one before it

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers += 1
        if self.counts:
            self.head_bytes += len(name) + len(value)
        field, fields = name.lower(), self.fields
        if field not in READ and not field.startswith(FORWARDED_PREFIX):
            return
        if field in fields:
            if self.headers > HEADERS_LIMIT:
                return  # it is refused: not worth copying what came before, each time
            value = fields[field] + REPEATED + value
        fields[field] = value

    def on_chunk_header(self) -> None:
        if self.head is not None:
            return
        if self.head_bytes > HEAD_LIMIT:
            self._check_bounds()
        # Other codings, and chunks before HTTP/1.1, are where servers disagree on a message's end (RFC 9112, 6.1).
        is_usual = self.fields.get(b"transfer-encoding", b"").rstrip(BLANKS).lower() == b"chunked"
        if not is_usual or self.parser.get_http_version() != "1.1":
            self._mistaken(400, "Transfer-Encoding may be chunked, and nothing else.")
        self.head, self.fields, self.head_bytes = self.fields, {}, 0

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)
        if self.body_bytes > BODY_LIMIT:
            self._mistaken(413, "The body is larger than the gate reads.")

    def on_message_complete(self) -> None:
        # An upgrade is ignored, and its answer the last: what follows is not HTTP any more.
        method, keep = self.parser.get_method(), self.parser.should_keep_alive() and not self.parser.should_upgrade()
        if self.closing or len(self.url) > LINE_LIMIT or self.head_bytes > HEAD_LIMIT or self.headers > HEADERS_LIMIT:
            self._check_bounds()
            return
        # The parser takes HTTP/0.9 and HTTP/2.0 too. It keeps none of their connections, unless it is told to; so here
        # the version, which is dear to ask for, is looked at.
        if (not keep or b"connection" in self.fields) and self.parser.get_http_version() not in VERSIONS:
            self._mistaken(400, NOT_HTTP)
            return
        fields = self.fields if self.head is None else self.head
        self._take((self.url, method, fields, keep))
        self.url, self.fields, self.headers, self.in_request, self.held = b"", {}, 0, False, 0
        self.head_bytes, self.body_bytes, self.head = 0, 0, None

    # --- Answers ----------------------------------------------------------------------------------------------------
    def _take(self, request: Request) -> None:
        if self.waiting:
            self.behind.append(request)
        else:
            self._answer(request)

    def _answer(self, request: Request) -> None:
        url, method, fields, keep = request
        try:
            path = local_path(url, fields)
            if method in UNANSWERED:
                self._refuse(405, f"{method.decode()} is not answered.", request)
                return
            is_check = path.startswith(CHECK) and (len(path) == len(CHECK) or path[len(CHECK)] in b"/?")
            if is_check:
                question = asked(path, method, fields, self.peer)
                done = self.gate.check(question, self._later(keep=keep), head=method == b"HEAD")
            else:
                done = self.gate.page(path, method, fields, self.peer, self._later(keep=keep))
        except MistakenRequestError as mistaken:
            self._refuse(400, str(mistaken), request)
            return
        if done is None:
            self.waiting = True
            self.transport.pause_reading()
        else:
            self._done(done, keep=keep)

    def _later(self, *, keep: bool) -> Callable[[bytes], None]:
        """What an answer that has to wait is given to."""

        def answered(answer: bytes) -> None:
            self.waiting = False
            self._done(answer, keep=keep)
            while self.behind and not self.waiting:
                self._answer(self.behind.popleft())
            self.flush()
            self._read_on()

        return answered

    def _done(self, answer: bytes, *, keep: bool) -> None:
        if not keep or (self.draining and not self.behind):
            answer = answers.with_close(answer)
            self._end()
        self.answers.append(answer)

    def _end(self) -> None:
        """The answer that was just made is the last one."""
        self.closing = True
        self.behind.clear()

    def _unfinished(self, data: bytes) -> None:
        """Bound what is held of a request that has not come in whole; let its body come, if it waits to be let."""
        if not self.held:
            self.since = self.gate.now  # it came with the end of the one before it
        self.tail = (self.tail + data)[-4:]
        if self.head_bytes > HEAD_LIMIT or self.headers > HEADERS_LIMIT or len(self.url) > LINE_LIMIT:
            self._check_bounds()
        elif self.head is not None or self.body_bytes:
            if self.held > BODY_LIMIT + HEAD_LIMIT + LINE_LIMIT:
                self._mistaken(413, "The body is larger than the gate reads.")
        elif self.held > HEAD_LIMIT + LINE_LIMIT:
            self._check_bounds()
        elif b"expect" in self.fields and self.tail == END and not self.waiting and not self.closing:
            self._let_body_come()

    def _let_body_come(self) -> None:
        """Answer who wants to hear that its body is welcome, as it must be (RFC 9110, 10.1.1)."""
        is_asked = self.fields[b"expect"].rstrip(BLANKS).lower() == b"100-continue"
        if is_asked and self.parser.get_http_version() == "1.1":
            self.answers.append(CONTINUE)

    def _check_bounds(self) -> None:
        if self.closing:
            return
        if len(self.url) > LINE_LIMIT:
            self._mistaken(414, "The target is longer than 4,096 bytes.")
        else:
            self._mistaken(431, "The headers are more than 100 or longer than 8,192 bytes.")

    def _mistaken(self, status: int, message: str) -> None:
        """Take no more: what follows cannot be told apart from it. Say so, unless others are to be answered first."""
        if not self.closing and not self.waiting:
            self._refuse(status, message)
        self.closing = True

    def _refuse(self, status: int, message: str, request: Request | None = None) -> None:
        """Refuse what is not a proper request, as the connection's last."""
        _, method, fields, _ = request or (b"", self.parser.get_method() if self.url else b"", {}, False)
        mistake = answers.mistake(
            status,
            message,
            request_id=self.gate.new_request_id(),
            nginx=is_from_nginx(fields),
            head=method == b"HEAD",
        )
        self.answers.append(mistake)
        self._end()

    def flush(self) -> None:
        if self.answers and not self.transport.is_closing():
            self.transport.write(b"".join(self.answers))
            self.answers.clear()
        if self.closing and not self.waiting:
            self._close()

    def _close(self) -> None:
        self.closing, self.since = True, self.gate.now
        self.transport.close()
