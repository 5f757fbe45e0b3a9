"""One stream of bytes through the gate, cut into pieces, and whether what came back is what must come back."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import h11

from tests.fuzz import strict
from tests.fuzz.strict import Request, Rest
from tests.fuzz.verdicts import Verdict, verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.fuzz.bench import Bench, Wire

END = b"\r\n\r\n"
REFUSALS = {400, 403, 405, 413, 414, 431}  # that end a connection: 403 is what nginx gets for the others
_FRAMES = re.compile(rb"content-length|transfer-encoding", re.IGNORECASE).search
RAW_HEAD = 8_192 + 4_096  # bytes; a longer head may be refused for that, although what is counted of it is less


def pieces(stream: bytes, seed: int) -> list[bytes]:
    """The stream cut by chance, the same for the same seed; 0: whole."""
    chance = random.Random(seed)  # noqa: S311 -- to be repeatable
    most = [len(stream), 3, 40, 400, 9_000][min(seed, chance.randrange(5))] or 1
    cut, at = [], 0
    while at < len(stream):
        size = chance.randint(1, most) if seed else len(stream)
        cut.append(stream[at : at + size])
        at += size
    return cut


def drive(bench: Bench, parts: Iterable[bytes], *, seed: int = 0) -> Wire:
    """Send it; by the seed, the store answers sooner or later and the other end is slow to take answers."""
    chance = random.Random(~seed)  # noqa: S311 -- to be repeatable
    with bench:
        wire = bench.connect()
        wire.transport.takes_all = not seed % 2
        for part in parts:
            wire.send(part)
            check_bounded(wire)
            if seed and chance.random() < 0.3:
                bench.settle()
        wire.end()
    return wire


def check_bounded(wire: Wire) -> None:
    """Nothing is held that grows with what was sent before: at most a piece, or what a request may have."""
    protocol = wire.protocol
    assert len(protocol.url) <= RAW_HEAD + 262_144
    assert sum(map(len, protocol.fields.values())) <= RAW_HEAD + 262_144
    assert len(protocol.fields) <= 110
    assert not protocol.answers or protocol.waiting or wire.is_closed
    assert not protocol.behind or protocol.waiting or wire.is_closed


def check(bench: Bench, stream: bytes, *, seed: int = 0) -> list[int]:
    """Judge a stream; the statuses of its answers.

    :raises AssertionError: if the gate does anything but what `strict` and `verdicts` say.
    """
    wire = drive(bench, pieces(stream, seed), seed=seed)
    requests, rest = strict.read(stream)
    check_framing(stream, requests)
    expected = [verdict(request) for request in requests]
    last = next((place for place, one in enumerate(expected) if one.is_last), None)
    if last is not None:
        requests, expected, rest = requests[: last + 1], expected[: last + 1], Rest.NOTHING
    left = stream[requests[-1].end if requests else 0 :].lstrip(b"\r\n")
    # Of what is no request only the first word may have said that it wants no body, and it may have come too late.
    of_mistake = b"HEAD" if left.startswith(b"HEAD") and wire.answered.endswith(END) else b"GET"
    methods = [*(request.method for request in requests), of_mistake]
    statuses = read_answers(wire.answered, methods)
    if rest is Rest.MISTAKE and (END not in left or _FRAMES(left)):
        rest = Rest.BEGINNING  # the parser may see it only where the head ends, or the body
    compare(statuses, requests, expected, rest, has_waited=wire.has_waited)
    bench.forget()
    return statuses


def compare(
    statuses: list[int], requests: list[Request], expected: list[Verdict], rest: Rest, *, has_waited: bool
) -> None:
    """Each request has its answer, in order; one more is of a mistake that ends the stream."""
    for place, (status, request, must) in enumerate(zip(statuses, requests, expected, strict=False)):
        if status != must.status:
            assert _is_raw_head_refused(request, status), (statuses, request, must)
            assert place == len(statuses) - 1, statuses
            return
    unsaid, more = expected[len(statuses) :], statuses[len(expected) :]
    # What the parsing refuses while others wait for their answers is not said: the connection ends behind those.
    assert not unsaid or (has_waited and len(unsaid) == 1 and unsaid[0].status in {413, 414, 431}), (statuses, expected)
    assert set(more) <= REFUSALS, (statuses, expected)
    assert len(more) <= (rest is not Rest.NOTHING), (statuses, expected)
    assert more or has_waited or rest is not Rest.MISTAKE, (statuses, expected)


def _is_raw_head_refused(request: Request, status: int) -> bool:
    return status in {431, 414, 413, 403} and (request.head > RAW_HEAD or request.body > 1_000_000)


def read_answers(answered: bytes, methods: list[bytes]) -> list[int]:
    """The statuses, as an independent client reads them that sent requests with these methods."""
    statuses: list[int] = []
    left = answered
    for method in methods:
        if not left:
            break
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=b"HEAD" if method == b"HEAD" else b"GET", target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(left)
        event = client.next_event()
        while isinstance(event, h11.InformationalResponse):
            event = client.next_event()
            if event is h11.NEED_DATA and answered.endswith(b" Continue\r\n\r\n"):
                return statuses  # the body that was asked for did not come whole
        assert isinstance(event, h11.Response), (event, answered)
        statuses.append(event.status_code)
        _check_headers(event)
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            assert isinstance(event, h11.Data), (event, answered)
        left = client.trailing_data[0]
    assert not left, (left, answered)
    return statuses


def _check_headers(response: h11.Response) -> None:
    names = [name for name, _ in response.headers]
    assert len(names) == len(set(names)), response
    assert response.status_code < 500, response
    assert response.status_code == 204 or b"content-length" in names, response


def check_framing(stream: bytes, requests: list[Request]) -> None:
    """Wherever `strict` sees a request, h11 sees the same one.

    Not the other way round: h11 takes a bare LF, folded headers and doubled equal lengths, which here are mistakes.
    """
    for request in requests:
        if not _is_for_h11(request, stream[request.start :].lstrip().partition(b"\r\n")[0]):
            continue
        server = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 22)
        server.receive_data(stream[request.start : request.end])
        event = server.next_event()
        assert isinstance(event, h11.Request), (event, request)
        assert (event.method, event.target) == (request.method, request.target)
        body = 0
        while not isinstance(event := server.next_event(), h11.EndOfMessage):
            assert isinstance(event, h11.Data), (event, request)
            body += len(event.data)
        assert body == request.body
        assert not server.trailing_data[0]


def _is_for_h11(request: Request, line: bytes) -> bool:
    """It refuses a wrong number of Hosts by itself, and more than one space in a request line; it changes protocol."""
    return (
        len(request.values(b"host")) == 1
        and b"  " not in line
        and not request.values(b"upgrade")
        and request.method != b"CONNECT"
    )
