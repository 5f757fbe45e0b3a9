"""The gate over real sockets: gateways' spellings, strict HTTP, refusals."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_django import Settings

from accounts.models import Account
from apikeys import secrets
from apikeys.secrets import Kind
from auditlog.models import Call
from tests.factories import ApiKeyFactory
from tests.gates import Answer, Connection, ThreadGate, ask, bearer, request

pytestmark = pytest.mark.django_db(transaction=True)

LINES = b"GET /check HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def gate() -> Iterator[ThreadGate]:
    with ThreadGate() as running:
        yield running


@pytest.fixture
def secret() -> str:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__slug="acme", account__number=2519445)
    return secret


def test_an_accepted_call_is_answered_with_who_it_is(gate: ThreadGate, secret: str) -> None:
    answer = ask(gate.port, bearer(secret))

    assert (answer.status, answer.body) == (204, b"")
    headers = answer.headers
    assert headers["x-account-id"] == "2519445"
    assert headers["x-account-slug"] == "acme"
    assert headers["x-credential-kind"] == "api_key"
    assert headers["x-scopes"] == "*"
    assert headers["x-hubspot-ratelimit-daily-remaining"] == "249999"
    assert headers["ratelimit"].startswith('"burst";r=99;t=')
    assert "date" in headers
    assert "x-request-id" in headers


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_header_names_are_case_insensitive(gate: ThreadGate, secret: str, name: str) -> None:
    assert ask(gate.port, (name, f"bearer {secret} ")).status == 204


@pytest.mark.parametrize(
    ("headers", "target", "method", "logged"),
    [
        ([("X-Original-Method", "DELETE"), ("X-Original-URI", "/a/b?limit=1")], "/check", "GET", ("DELETE", "/a/b")),
        ([("X-Forwarded-Method", "PUT"), ("X-Forwarded-Uri", "/c")], "/check", "GET", ("PUT", "/c")),
        ([], "/check/envoy/path?x=1", "PATCH", ("PATCH", "/envoy/path")),
        ([], "/check", "POST", ("GET", "/")),
        ([], "http://localhost/check", "GET", ("GET", "/")),
    ],
)
def test_each_gateways_way_of_naming_the_call_is_understood(
    secret: str, headers: list[tuple[str, str]], target: str, method: str, logged: tuple[str, str]
) -> None:
    with ThreadGate() as gate:
        answer = ask(gate.port, bearer(secret), *headers, target=target, method=method)

    assert answer.status == 204
    call = Call.objects.get()
    assert (call.method, call.path) == logged
    assert (call.status, call.duration_us, str(call.request_id)) == (204, None, answer.headers["x-request-id"])


def test_the_callers_address_is_believed_from_trusted_proxies_alone(secret: str, settings: Settings) -> None:
    with ThreadGate() as gate:
        ask(gate.port, bearer(secret), ("X-Forwarded-For", "198.51.100.7"))
        settings.TRUSTED_PROXIES = []
        ask(gate.port, bearer(secret), ("X-Forwarded-For", "198.51.100.8"))

    assert set(Call.objects.values_list("address", flat=True)) == {"198.51.100.7", "127.0.0.1"}


def test_an_unknown_and_a_malformed_secret_get_the_same_bytes(gate: ThreadGate) -> None:
    answers = [ask(gate.port, bearer(text)) for text in (secrets.generate(Kind.API_KEY), "garbage", "k" * 3000)]

    bodies = {one.body.replace(one.headers["x-request-id"].encode(), b"") for one in answers}
    assert len(bodies) == 1
    assert {one.status for one in answers} == {401}
    assert {one.headers["www-authenticate"] for one in answers} == {'Bearer error="invalid_token"'}


def test_no_credential_is_401_without_an_error_code(gate: ThreadGate) -> None:
    answer = ask(gate.port, ("Cookie", f"key={secrets.generate(Kind.API_KEY)}"))

    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert json.loads(answer.body)["correlationId"] == answer.headers["x-request-id"]


def test_a_token_in_the_wrong_header_is_told_where_it_belongs(gate: ThreadGate) -> None:
    answer = ask(gate.port, ("X-API-Key", secrets.generate(Kind.PRIVATE_APP)))

    assert answer.status == 401
    assert "Authorization: Bearer" in json.loads(answer.body)["message"]


def test_a_suspended_account_is_denied(gate: ThreadGate, secret: str) -> None:
    Account.objects.update(state=Account.State.SUSPENDED)

    answer = ask(gate.port, bearer(secret))

    assert (answer.status, json.loads(answer.body)["category"]) == (403, "ACCESS_DENIED")


def test_over_the_burst_limit_429_and_nginx_gets_it_as_403(gate: ThreadGate, secret: str) -> None:
    Account.objects.update(burst_limit=1)
    ask(gate.port, bearer(secret))

    plain = ask(gate.port, bearer(secret))
    nginx = ask(gate.port, bearer(secret), ("X-Gateway", "nginx"))

    assert (plain.status, json.loads(plain.body)["policyName"]) == (429, "TEN_SECONDLY_ROLLING")
    assert plain.headers["x-hubspot-ratelimit-remaining"] == "0"
    assert (nginx.status, nginx.headers["x-refusal-status"]) == (403, "429")
    assert json.loads(nginx.headers["x-refusal-body"])["category"] == "RATE_LIMITS"
    assert "retry-after" in nginx.headers


def test_every_refusal_to_nginx_carries_its_body_in_a_header(gate: ThreadGate) -> None:
    nginx = ("X-Gateway", "nginx")

    unknown = ask(gate.port, bearer("garbage"), nginx)
    two = ask(gate.port, bearer("a"), ("X-API-Key", "b"), nginx)

    assert (unknown.status, "x-refusal-status" in unknown.headers) == (401, False)
    assert json.loads(unknown.headers["x-refusal-body"])["category"] == "INVALID_AUTHENTICATION"
    assert (two.status, two.headers["x-refusal-status"]) == (403, "400")


def test_a_key_in_the_query_is_accepted_where_let_in_and_stored_nowhere(secret: str, settings: Settings) -> None:
    settings.API_KEY_QUERY_PARAM = "hapikey"
    with ThreadGate() as gate:
        answer = ask(gate.port, ("Authorization", "Bearer "), ("X-Original-URI", f"/a?hapikey={secret}&b=1"))

    assert (answer.status, answer.headers["deprecation"]) == (204, "@1669766400")
    assert Call.objects.get().path == "/a"


def test_a_second_credential_in_the_query_is_seen_on_the_fast_path_too(gate: ThreadGate, secret: str) -> None:
    other = secrets.generate(Kind.API_KEY)
    ask(gate.port, bearer(secret))  # known from here on

    asked = {"limit=1&after=20": 204, f"hapikey={secret}": 204, f"hapikey={other}": 400, f"a=1&%68apikey={other}": 400}
    for query, status in asked.items():
        assert ask(gate.port, bearer(secret), ("X-Original-URI", f"/things?{query}")).status == status


def test_a_secret_in_path_and_user_agent_is_masked(secret: str) -> None:
    with ThreadGate() as gate:
        ask(gate.port, bearer(secret), ("X-Original-URI", f"/oauth/{secret}"), ("User-Agent", f"x/1 {secret}"))

    call = Call.objects.get()
    assert secret not in call.path + call.user_agent
    assert call.path == "/oauth/kp_…"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (LINES + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (LINES + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
        (LINES + b"Content-Length: +1\r\n\r\na", 400),
        (LINES + b"Content-Length: -1\r\n\r\n", 400),
        (LINES + b"Transfer-Encoding : chunked\r\n\r\n", 400),
        (LINES + b"Transfer-Encoding: gzip\r\n\r\n", 400),
        (LINES + b"A: b\n\r\n", 400),
        (LINES + b"A: b\r\n c\r\n\r\n", 400),
        (LINES + b"A: b\0\r\n\r\n", 400),
        (LINES + b"A: b\rc\r\n\r\n", 400),
        (LINES + b"A: " + b"b" * 9_000 + b"\r\n\r\n", 431),
        (LINES + b"A: " + b"b" * 20_000, 431),
        (LINES + b"".join(b"A%d: b\r\n" % n for n in range(101)) + b"\r\n", 431),
        (b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET /" + b"a" * 20_000, 414),
        (b"GET /check HTTP/1.1\r\n\r\n", 400),
        (b"GET /check HTTP/1.0\r\n\r\n", 400),
        (LINES + b"Host: localhost\r\n\r\n", 400),
        (b"GET /check HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET http://evil.example/check HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"TRACE /check HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"CONNECT /check HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"BREW /check HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /check HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /check HTTP/2.0\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /check HTTP/2.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n", 400),
        (b"GET /check HTTP/0.9\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /check\r\nHost: localhost\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (LINES + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (LINES + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /check HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (LINES + b"X-Original-URI: /\r\nX-Original-URI: /\r\n\r\n", 400),
        (LINES + b"X-Original-Method: A B\r\nX-Original-URI: /\r\n\r\n", 400),
        (LINES + b"Authorization: Bearer a\r\nAuthorization: Bearer a\r\n\r\n", 400),
        (LINES + b"X-HTTP-Method-Override: TRACE\r\n\r\n", 401),
    ],
)
def test_bad_http_is_refused_with_the_right_status(gate: ThreadGate, sent: bytes, status: int) -> None:
    with Connection(gate.port) as connection:
        answer = connection.ask(sent)

    assert answer.status == status
    assert json.loads(answer.body)["status"] == "error"


def test_answers_to_pipelined_requests_come_in_order(gate: ThreadGate, secret: str) -> None:
    ask(gate.port, bearer(secret))
    unknown = secrets.generate(Kind.API_KEY)
    with Connection(gate.port) as connection:
        connection.send(
            request(bearer(secret)) + request(bearer(unknown)) + request(bearer(secret)) + request(target="/livez")
        )

        statuses = [answer.status for answer in (connection.answer() for _ in range(4)) if answer]

    assert statuses == [204, 401, 204, 200]


def test_a_connection_is_kept_until_one_side_closes_it(gate: ThreadGate, secret: str) -> None:
    with Connection(gate.port) as connection:
        assert [connection.ask(request(bearer(secret))).status for _ in range(3)] == [204] * 3
        assert connection.ask(request(bearer(secret), ("Connection", "close"))).status == 204

        assert connection.is_closed()


def test_who_sends_no_more_still_gets_every_answer(gate: ThreadGate, secret: str) -> None:
    for _ in range(2):  # the first has the gate ask the store, the second is decided at once
        with Connection(gate.port) as caller:
            caller.send(request(bearer(secret)) * 3)
            caller.end()

            answers = [caller.answer() for _ in range(4)]

        assert [answer and answer.status for answer in answers] == [204, 204, 204, None]


def test_an_end_in_the_turn_of_its_request_does_not_come_before_it(gate: ThreadGate, secret: str) -> None:
    with Connection(gate.port) as caller:
        caller.ask(request(bearer(secret)))
        (protocol,) = gate.gate.connections

        def both() -> None:
            protocol.data_received(request(bearer(secret)))
            protocol.eof_received()

        gate.gate.loop.call_soon_threadsafe(both)

        answer = caller.answer()

    assert answer is not None
    assert answer.status == 204


def test_what_many_connections_ask_at_once_is_answered_to_each(secret: str) -> None:
    with ThreadGate() as gate, ExitStack() as stack:
        callers = [stack.enter_context(Connection(gate.port)) for _ in range(50)]
        for n, caller in enumerate(callers):
            shown = secret if n % 2 else secrets.generate(Kind.API_KEY)
            caller.send(request(bearer(shown), ("X-Original-URI", f"/{n}")))

        answers = [caller.answer() for caller in callers]

    assert [answer and answer.status for answer in answers] == [401, 204] * 25
    asked = {str(call.request_id): call.path for call in Call.objects.all()}
    assert [asked[answer.headers["x-request-id"]] for answer in answers if answer] == [f"/{n}" for n in range(50)]


def test_a_request_may_come_byte_by_byte(gate: ThreadGate, secret: str) -> None:
    with Connection(gate.port) as connection:
        for byte in request(bearer(secret)):
            connection.send(bytes([byte]))

        answer = connection.answer()

    assert answer is not None
    assert answer.status == 204


@pytest.mark.parametrize(
    "body", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
def test_a_body_is_read_and_ignored(gate: ThreadGate, secret: str, body: bytes) -> None:
    asked = request(bearer(secret), method="POST")[:-2] + body
    with Connection(gate.port) as connection:
        assert [connection.ask(asked).status for _ in range(2)] == [204, 204]


def test_a_credential_in_a_trailer_counts_for_nothing(gate: ThreadGate, secret: str) -> None:
    asked = request(("Transfer-Encoding", "chunked")) + f"0\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()
    with Connection(gate.port) as connection:
        assert connection.ask(asked).status == 401


def test_a_body_beyond_the_bound_is_refused(gate: ThreadGate, secret: str) -> None:
    asked = request(bearer(secret), ("Content-Length", "2000000"), method="POST") + b"a" * 1_100_000
    with Connection(gate.port) as connection:
        assert connection.ask(asked).status == 413


def test_head_gets_the_same_without_a_body(gate: ThreadGate, secret: str) -> None:
    accepted = ask(gate.port, bearer(secret), method="HEAD")
    refused = ask(gate.port, bearer("garbage"), method="HEAD")

    assert (accepted.status, refused.status, refused.body) == (204, 401, b"")
    assert int(refused.headers["content-length"]) > 0


def test_a_slow_request_is_ended(gate: ThreadGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apikeys.gate.protocol.REQUEST_SECONDS", 0.1)
    with Connection(gate.port) as connection:
        connection.send(LINES)

        answer = connection.answer()

        assert answer is not None
        assert answer.status == 408
        assert connection.is_closed()


def test_an_idle_connection_is_closed(gate: ThreadGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apikeys.gate.protocol.IDLE_SECONDS", 0.1)
    with Connection(gate.port) as connection:
        assert connection.is_closed()


def test_health_and_unknown_pages(gate: ThreadGate) -> None:
    pages = {path: ask(gate.port, target=path).status for path in ("/livez", "/readyz", "/", "/checkout")}

    assert pages == {"/livez": 200, "/readyz": 200, "/": 404, "/checkout": 404}


def _metric(answer: Answer, name: str) -> float:
    return next(float(line.rpartition(" ")[2]) for line in answer.body.decode().splitlines() if line.startswith(name))


@pytest.mark.parametrize(
    "name",
    ["Forwarded", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "x-forwarded-anything"],
)
def test_metrics_never_leave_through_a_proxy_whatever_it_says_of_itself(gate: ThreadGate, name: str) -> None:
    assert ask(gate.port, (name, "127.0.0.1"), target="/metrics").status == 403


def test_metrics_count_decisions(settings: Settings, tmp_path: Path, secret: str) -> None:
    settings.DATA_DIR = tmp_path  # other gates' counts are this machine's, too
    with ThreadGate() as gate:
        ask(gate.port, bearer(secret))
        ask(gate.port, bearer(secret))
        ask(gate.port, bearer("garbage"))

        metrics = ask(gate.port, target="/metrics")

    assert _metric(metrics, 'keyportal_decisions_total{kind="api_key",reason=""}') == 2
    assert _metric(metrics, 'keyportal_decisions_total{kind="",reason="malformed"}') == 1
    assert _metric(metrics, "keyportal_last_poll_age_seconds") < 5


def test_metrics_say_how_long_answers_took_and_how_many_calls_wait_to_be_stored(gate: ThreadGate, secret: str) -> None:
    for _ in range(3):
        ask(gate.port, bearer(secret))

    metrics = ask(gate.port, target="/metrics")

    assert _metric(metrics, 'keyportal_turn_seconds_bucket{le="+Inf"}') >= 3
    assert _metric(metrics, "keyportal_turn_seconds_sum") > 0
    assert _metric(metrics, "keyportal_calls_queued") <= 3
    assert _metric(metrics, "keyportal_credentials_kept") == 1
