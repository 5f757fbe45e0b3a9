"""A request's verdict is its own: behind others, in any pieces and on either way it is the one that it has alone."""

import re

from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from apikeys.gate.asked import Peer
from tests.fuzz import calls, judge
from tests.fuzz.bench import APP, DEAD, KEY, LATE, UNKNOWN, Bench

SECRETS = [KEY, APP, DEAD, LATE, UNKNOWN, KEY[:-1], KEY.lower(), "", "garbage"]
BENCH = Bench()  # each example leaves it as it was

names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,8}", fullmatch=True)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12)
secrets = st.sampled_from(SECRETS)
blanks = st.sampled_from(["", " ", "\t"])
schemes = st.sampled_from(["Bearer ", "bearer ", "Basic ", ""])
credentials = st.one_of(
    st.builds("Authorization: {}{}{}".format, schemes, secrets, blanks),
    st.builds("X-API-Key: {}{}".format, secrets, blanks),
    st.builds("X-Original-URI: /a?{}={}&b=c".format, st.sampled_from(["hapikey", "h%61pikey", "a"]), secrets),
)
others = st.one_of(
    st.builds("{}: {}".format, names, values),
    st.sampled_from(
        [
            "X-Original-Method: PATCH", "X-Forwarded-Uri: /b", "X-Forwarded-Method: PUT", "X-Gateway: nginx",
            "X-Forwarded-For: 198.51.100.7", "User-Agent: a/1", "Connection: keep-alive", "Expect: 100-continue",
        ]
    ),
)  # fmt: skip
mistakes = st.sampled_from(
    [
        "Host: localhost", "Content-Length: 1\r\nContent-Length: 1", "Content-Length: +1", "A : b", " folded",
        "A: b\rc", "A: b\0", "Content-Length: 1\r\nTransfer-Encoding: chunked", "Transfer-Encoding: gzip",
        "A: b\nC: d", "no colon",
        "Connection: close", "A: " + "b" * 8_200, "\r\n".join(["A: b"] * 101),
    ]
)  # fmt: skip
bodies = st.sampled_from(
    ["\r\n", "Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"]
)
targets = st.sampled_from(
    ["/check", "/check?a=b", "/check/a", "http://localhost/check", "/livez", "/", "/" + "a" * 4_096]
)
methods = st.sampled_from(["GET", "GET", "POST", "HEAD", "OPTIONS", "TRACE"])


@st.composite
def requests(draw: st.DrawFn, lines: st.SearchStrategy[str]) -> bytes:
    fields = [*draw(st.lists(credentials, max_size=2)), *draw(st.lists(lines, max_size=4))]
    fields = ["Host: localhost", *draw(st.permutations(fields))]
    line = f"{draw(methods)} {draw(targets)} HTTP/1.1"
    return ("\r\n".join([line, *fields]) + "\r\n" + draw(bodies)).encode("latin-1")


def answers(stream: bytes, cuts: list[int]) -> list[bytes]:
    """What is answered when the stream comes in pieces that end there, but for what changes with every call."""
    places = sorted({cut % (len(stream) + 1) for cut in cuts})
    parts = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    wire = judge.drive(BENCH, filter(None, parts))
    BENCH.forget()
    said = re.split(rb"(?=HTTP/1\.1 )", calls.unchanging(wire.answered))
    return [one for one in said if one and not one.startswith(b"HTTP/1.1 100")]


anywhere = st.lists(st.integers(0, 20_000), max_size=12)


@examples(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(requests(others), min_size=1, max_size=4), anywhere)
def test_requests_in_any_pieces_behind_one_another_are_answered_as_each_alone(
    sent: list[bytes], cuts: list[int]
) -> None:
    alone = [answer for request in sent for answer in answers(request, [])]

    together = answers(b"".join(sent), cuts)

    assert together == alone[: len(together)]
    assert len(together) == len(alone) or b"Connection: close" in together[-1]


@examples(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(requests(others), requests(st.one_of(others, mistakes)), requests(others), anywhere)
def test_a_mistake_is_answered_as_alone_wherever_it_is_cut_and_ends_the_connection(
    before: bytes, wrong: bytes, behind: bytes, cuts: list[int]
) -> None:
    stream = before + wrong + behind

    said, whole = answers(stream, cuts), answers(stream, [])

    # Found while another waits for its answer, a mistake ends the connection and is not told; all else is the same.
    fewer, more = sorted((said, whole), key=len)
    assert fewer == more[: len(fewer)]
    assert all(b"Connection: close" in answer for answer in more[len(fewer) :])
    judge.check(BENCH, stream, seed=len(cuts))


@examples(max_examples=300, deadline=None, derandomize=True)
@given(
    st.fixed_dictionaries(
        {b"authorization": st.builds("Bearer {}".format, secrets).map(str.encode)},
        optional={
            b"x-original-uri": st.sampled_from(
                [b"/a", b"/a?b=c", b"/a?hapikey=", f"/a?hapikey={KEY}".encode(), b"/%zz?%"]
            ),
            b"x-original-method": st.sampled_from([b"GET", b"PATCH", b"BREW", b"A B", b""]),
            b"x-forwarded-uri": st.sampled_from([b"/b", b""]),
            b"x-forwarded-method": st.sampled_from([b"PUT", b""]),
            b"x-api-key": secrets.map(str.encode),
            b"x-gateway": st.sampled_from([b"nginx", b"nginx ", b"caddy"]),
            b"x-forwarded-for": st.sampled_from([b"198.51.100.7", b"::1", b"x"]),
            b"user-agent": st.binary(max_size=5),
            b"host": st.sampled_from([b"localhost", b"LOCALHOST:1", b"evil.example"]),
        },
    )
)
def test_the_hot_path_answers_what_the_long_way_does(fields: dict[bytes, bytes]) -> None:
    calls.check_ways(BENCH, {b"host": b"localhost"} | fields, Peer("127.0.0.1"))
    BENCH.forget()
