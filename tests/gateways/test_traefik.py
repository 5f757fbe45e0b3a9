"""The example for Traefik, which is not here to run: its files held to what Traefik's documentation says of ForwardAuth
and of its access log, and the gate asked as it says that ForwardAuth asks.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Account
from apikeys import secrets
from apikeys.secrets import Kind
from auditlog.gateway_log.lines import completion
from auditlog.models import Call
from tests.factories import ApiKeyFactory
from tests.gates import Answer, ThreadGate, ask, bearer
from tests.gateways.servers import DEPLOY

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.once("what is asked is the gate's spelling of headers"),
]

FORWARD_AUTH = {
    "address", "trustForwardHeader", "authResponseHeaders", "authResponseHeadersRegex", "authRequestHeaders", "tls",
    "addAuthCookiesToResponse", "headerField", "forwardBody", "maxBodySize", "preserveLocationHeader",
    "preserveRequestMethod",
}  # fmt: skip
STATIC, DYNAMIC = (yaml.safe_load((DEPLOY / "traefik" / name).read_text()) for name in ("traefik.yaml", "dynamic.yaml"))
HTTP: dict[str, Any] = DYNAMIC["http"]
ASK: dict[str, Any] = HTTP["middlewares"]["ask-the-gate"]["forwardAuth"]


@dataclass
class Passed:
    """A call that ForwardAuth lets on, with what the API gets."""

    headers: dict[str, str]  # by lower-case name


def call(gate: ThreadGate, *headers: tuple[str, str], method: str = "GET", uri: str = "/things?limit=1") -> Any:
    """A call as ForwardAuth and the middleware behind it treat it: let on, or the gate's answer for the caller."""
    asked = {name.lower() for name in ASK["authRequestHeaders"]}
    forwarded = [
        ("X-Forwarded-Method", method), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "api.example.com"),
        ("X-Forwarded-Uri", uri), ("X-Forwarded-For", "203.0.113.9"),
    ]  # fmt: skip
    answer = ask(gate.port, *(one for one in headers if one[0].lower() in asked), *forwarded)
    if answer.status // 100 != 2:
        return answer
    to_api = {name.lower(): value for name, value in headers}
    for name in map(str.lower, ASK["authResponseHeaders"]):
        to_api.pop(name, None)
        if name in answer.headers:
            to_api[name] = answer.headers[name]
    for name, value in HTTP["middlewares"]["without-the-secret"]["headers"]["customRequestHeaders"].items():
        assert value == ""  # removes it
        to_api.pop(name.lower(), None)
    return Passed(to_api)


@pytest.fixture
def gate() -> Iterator[ThreadGate]:
    with ThreadGate() as running:
        yield running


@pytest.fixture
def secret() -> str:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__slug="acme", account__number=2519445)
    return secret


def test_the_files_name_what_traefik_knows() -> None:
    assert set(STATIC) <= {"entryPoints", "providers", "accessLog", "log", "api"}
    assert set(HTTP) == {"routers", "middlewares", "services"}
    assert set(ASK) <= FORWARD_AUTH
    assert ASK["trustForwardHeader"] is False
    for router in HTTP["routers"].values():
        assert set(router) <= {"entryPoints", "rule", "middlewares", "service", "priority", "tls", "observability"}
        assert set(router["entryPoints"]) <= set(STATIC["entryPoints"])
        assert set(router["middlewares"]) <= set(HTTP["middlewares"])
        assert router["service"] in {*HTTP["services"], "noop@internal"}


def test_every_way_to_the_api_asks_the_gate_first_and_takes_the_secret_away() -> None:
    ways = [router for router in HTTP["routers"].values() if router["service"] in HTTP["services"]]

    assert [router["middlewares"] for router in ways] == [["ask-the-gate", "without-the-secret"]]
    assert [router["rule"] for router in ways] == ["!QueryRegexp(`hapikey`, `.*`)"]


def test_the_api_is_told_who_it_is_and_nobody_else_can_say_so(gate: ThreadGate, secret: str) -> None:
    passed = call(gate, bearer(secret), ("X-Account-Id", "1"), ("X-Scopes", "everything"), ("Accept", "*/*"))

    assert isinstance(passed, Passed)
    assert passed.headers.pop("x-request-id")
    assert passed.headers.pop("x-credential-id")
    assert passed.headers == {
        "accept": "*/*",
        "x-account-id": "2519445",
        "x-account-slug": "acme",
        "x-credential-kind": "api_key",
        "x-scopes": "*",
    }


def test_the_call_log_has_the_callers_own_request(secret: str) -> None:
    with ThreadGate() as gate:
        call(gate, bearer(secret), ("User-Agent", "acme-sync/2"), method="DELETE", uri="/things/7?limit=1")

    logged = Call.objects.get()
    assert (logged.method, logged.path, logged.user_agent, logged.address) == (
        "DELETE",
        "/things/7",
        "acme-sync/2",
        "203.0.113.9",
    )


@pytest.mark.parametrize(
    ("status", "category"),
    [(401, "INVALID_AUTHENTICATION"), (403, "ACCESS_DENIED"), (429, "RATE_LIMITS"), (503, "SERVICE_UNAVAILABLE")],
)
def test_a_refusal_is_the_gates_own_answer(gate: ThreadGate, secret: str, status: int, category: str) -> None:
    if status == 401:
        secret = secrets.generate(Kind.API_KEY)
    elif status == 403:
        Account.objects.update(state=Account.State.SUSPENDED)
    elif status == 429:
        Account.objects.update(burst_limit=1)
        assert isinstance(call(gate, bearer(secret)), Passed)
    else:
        gate.gate.known.set_back, gate.gate.known.fresh_until = True, 0.0

    refused = call(gate, bearer(secret))

    assert isinstance(refused, Answer)
    assert (refused.status, json.loads(refused.body)["category"]) == (status, category)
    assert ("retry-after" in refused.headers) == (status in {429, 503})


@pytest.mark.parametrize("param", ["", "hapikey"])
def test_a_key_in_the_url_is_told_of_its_header_unless_the_gate_takes_it(
    gate: ThreadGate, secret: str, param: str, settings: Settings
) -> None:
    """Where it does, the call ends at Traefik all the same: that route leads to no API."""
    settings.API_KEY_QUERY_PARAM = param

    answer = call(gate, uri=f"/things?hapikey={secret}")

    assert isinstance(answer, Passed) == bool(param)
    if isinstance(answer, Answer):
        assert "X-API-Key" in json.loads(answer.body)["message"]


def test_the_access_log_holds_what_the_collector_reads_and_no_more() -> None:
    fields = STATIC["accessLog"]["fields"]
    assert (STATIC["accessLog"]["format"], fields["defaultMode"], fields["headers"]["defaultMode"]) == (
        "json",
        "drop",
        "drop",
    )
    kept = {name for name, mode in fields["names"].items() if mode == "keep"}
    kept |= {f"request_{name}" for name, mode in fields["headers"]["names"].items() if mode == "keep"}
    line = {
        "DownstreamStatus": 200, "Duration": 12_000_000, "DownstreamContentSize": 512,
        "request_X-Request-Id": "0198c1f0-0000-8000-8000-000000000007",
    }  # fmt: skip

    assert kept == set(line)
    told = completion(json.dumps(line).encode(), now=timezone.now())
    assert told is not None
    assert (told.status, told.duration_us, told.size) == (200, 12_000, 512)
