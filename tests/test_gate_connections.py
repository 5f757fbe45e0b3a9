"""The gate's connections without sockets: bounds however the bytes are cut, and clients that take their time."""

from collections.abc import Iterator

import pytest

from apikeys.gate.protocol import IDLE_SECONDS, REQUEST_SECONDS, UNTAKEN_SECONDS
from tests.fuzz.bench import HIGH_WATER, KEY, UNKNOWN, Bench, Wire

HEAD = b"GET /check HTTP/1.1\r\nHost: localhost\r\n"
PLAIN = HEAD + f"Authorization: Bearer {KEY}\r\n\r\n".encode()
ASKS_FIRST = HEAD + f"Authorization: Bearer {UNKNOWN}\r\n\r\n".encode()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as bench:
        yield bench


def statuses(wire: Wire) -> list[int]:
    return [int(part[:3]) for part in wire.answered.split(b"HTTP/1.1 ")[1:]]


def grown(request: bytes, size: int) -> bytes:
    """With one more header, which makes those of the request so many bytes longer."""
    return request[:-2] + b"A: " + b"b" * (size - 1) + b"\r\n\r\n"


def pass_time(bench: Bench, seconds: float) -> None:
    bench.gate.now += seconds
    for connection in list(bench.gate.connections):
        connection.expire(bench.gate.now)


@pytest.mark.parametrize("cut", [0, 1, 5_000, 8_500, 9_200])
def test_a_head_beyond_the_bound_is_refused_behind_another_request_too(bench: Bench, cut: int) -> None:
    sent = PLAIN + grown(PLAIN, 9_000)
    wire = bench.connect()

    for part in (sent[:cut], sent[cut:]):
        wire.send(part)

    assert statuses(wire) == [204, 431]


def test_a_head_that_comes_in_parts_is_bounded_as_one(bench: Bench) -> None:
    headers = b"".join(b"A%d: %b\r\n" % (number, b"b" * 1_000) for number in range(12))
    wire = bench.connect()

    wire.send(HEAD + headers[:7_000])
    wire.send(headers[7_000:] + b"\r\n")

    assert statuses(wire) == [431]


@pytest.mark.parametrize("beginning", [b"G", b"GET", b"GET ", b"POST"])
def test_what_begins_behind_a_request_is_part_of_what_comes_next(bench: Bench, beginning: bytes) -> None:
    wire = bench.connect()

    wire.send(HEAD + b"\r\n" + beginning)
    wire.send(PLAIN)

    assert statuses(wire) == [401, 400]


def test_a_mistake_behind_a_head_request_is_told(bench: Bench) -> None:
    wire = bench.connect()

    wire.send(PLAIN.replace(b"GET", b"HEAD") + b"BREW /check\r\n\r\n")

    assert statuses(wire) == [204, 400]
    assert wire.answered.endswith(b"}")


def test_trailers_are_bounded(bench: Bench) -> None:
    wire = bench.connect()
    wire.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")

    for _ in range(4):
        wire.send(b"Host: " + b"a" * 4_000 + b"\r\n")

    assert statuses(wire) == [431]


def test_blanks_behind_a_headers_value_are_not_part_of_it(bench: Bench) -> None:
    wire = bench.connect()

    wire.send(HEAD.replace(b"\r\nH", b"\r\nX-Original-URI: / \r\nX-Original-Method: GET \t\r\nH") + PLAIN[len(HEAD) :])
    wire.send(PLAIN.replace(b"localhost", b"localhost \t"))

    assert statuses(wire) == [204, 204]


def test_the_refusal_of_a_head_request_has_no_body(bench: Bench) -> None:
    wire = bench.connect()

    wire.send(b"HEAD /check HTTP/1.1\r\nHost: evil.example\r\n\r\n")

    assert statuses(wire) == [400]
    assert wire.answered.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("parts", [[b"\r\n"], [b"", b"\r", b"\n"]])
def test_who_asks_before_sending_a_body_is_told_to_go_on(bench: Bench, parts: list[bytes]) -> None:
    wire = bench.connect()

    for part in [PLAIN[:-2] + b"Expect: 100-continue\r\nContent-Length: 5\r\n" + parts[0], *parts[1:]]:
        wire.send(part)
    assert wire.answered == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(b"he")
    wire.send(b"llo")

    assert statuses(wire) == [100, 204]


def test_every_request_before_the_end_is_answered_though_the_first_one_waits(bench: Bench) -> None:
    wire = bench.connect()
    wire.protocol.data_received(ASKS_FIRST + PLAIN + PLAIN)

    wire.end()

    assert statuses(wire) == [401, 204, 204]


def test_what_is_wrong_behind_requests_that_wait_takes_no_answer_from_them(bench: Bench) -> None:
    wire = bench.connect()

    wire.send(ASKS_FIRST + PLAIN + b"BREW\r\n\r\n" + PLAIN)
    bench.settle()

    assert statuses(wire) == [401, 204]
    assert wire.is_closed


def test_nothing_is_read_while_answers_are_not_taken(bench: Bench) -> None:
    wire = bench.connect()
    wire.transport.takes_all = False

    wire.send(ASKS_FIRST + PLAIN)
    wire.transport.unsent = HIGH_WATER
    bench.settle()  # what waited is answered, but the other end has enough to take

    assert wire.transport.is_paused
    assert not wire.transport.is_reading
    wire.transport.drain()
    assert wire.transport.is_reading


def test_who_does_not_take_its_answers_is_cut_off(bench: Bench) -> None:
    wire = bench.connect()
    wire.transport.takes_all = False
    wire.transport.unsent = HIGH_WATER
    wire.send(PLAIN)
    assert wire.transport.is_paused

    pass_time(bench, UNTAKEN_SECONDS)
    assert not wire.transport.is_aborted
    pass_time(bench, 1)

    assert wire.transport.is_aborted


def test_a_close_that_the_other_end_holds_up_is_cut_short(bench: Bench) -> None:
    wire = bench.connect()
    wire.send(PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert wire.is_closed

    pass_time(bench, UNTAKEN_SECONDS + 1)

    assert wire.transport.is_aborted


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize(
    ("line", "headers", "is_last"),
    [
        (b"GET /check HTTP/1.1", b"", False),
        (b"GET /check HTTP/1.1", b"Connection: Upgrade\r\n", False),  # to nothing
        (b"GET /check HTTP/1.1", b"Upgrade: websocket\r\n", False),  # not of this connection
        (b"GET /check HTTP/1.1", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", True),
        (b"GET /check HTTP/1.1", b"Connection: close\r\n", True),
        (b"GET /check HTTP/1.0", b"", True),
    ],
)
def test_an_answer_says_when_it_is_the_connections_last(
    bench: Bench, line: bytes, headers: bytes, *, is_last: bool, waits: bool
) -> None:
    wire = bench.connect()
    secret = UNKNOWN if waits else KEY

    wire.send(line + b"\r\nHost: localhost\r\n" + headers + f"Authorization: Bearer {secret}\r\n\r\n".encode())
    bench.settle()

    assert statuses(wire) == [401 if waits else 204]
    assert (wire.is_closed, b"\r\nConnection: close\r\n" in wire.answered) == (is_last, is_last)


def test_a_request_that_begins_behind_another_has_its_own_time(bench: Bench) -> None:
    wire = bench.connect()
    wire.send(PLAIN[:10])
    pass_time(bench, REQUEST_SECONDS - 1)

    wire.send(PLAIN[10:] + PLAIN[:50])
    pass_time(bench, REQUEST_SECONDS - 1)
    assert statuses(wire) == [204]
    pass_time(bench, 2)

    assert statuses(wire) == [204, 408]
    assert wire.is_closed


def test_a_connection_without_a_request_is_closed_when_it_has_been_idle(bench: Bench) -> None:
    wire = bench.connect()
    wire.send(PLAIN)

    pass_time(bench, IDLE_SECONDS)
    assert not wire.is_closed
    pass_time(bench, 1)

    assert wire.is_closed
