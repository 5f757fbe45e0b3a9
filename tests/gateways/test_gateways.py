"""The gateways' examples in `deploy/`, run as they are: the caller gets what the gate says, the API no secret."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from threading import Event

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Account
from accounts.permissions import Role
from apikeys import secrets
from apikeys.secrets import Kind
from auditlog.models import Call
from keyportal.template_tags import milliseconds
from tests.collecting import Collecting
from tests.factories import ApiKeyFactory, MemberFactory, SunsetFactory
from tests.gates import Answer, Connection, ThreadGate, ask, bearer, granted
from tests.gateways.servers import ProtectedApi, caddy, nginx
from tests.visitors import signed_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once("gateways know nothing of the store")]

DOCUMENT = """
openapi: 3.1.0
components: {securitySchemes: {oauth: {type: oauth2, flows: {}}}}
paths:
  /contacts:
    get: {security: [{oauth: [contacts.read]}]}
    post: {security: [{oauth: [contacts.read, contacts.write]}]}
"""

Gateway = Callable[..., AbstractContextManager[int]]


@dataclass
class Road:
    """From the caller to the API: gateway, gate and API, all running."""

    port: int
    gate: ThreadGate
    api: ProtectedApi
    directory: Path

    def call(self, *headers: tuple[str, str], target: str = "/things?limit=1", method: str = "GET") -> Answer:
        return ask(self.port, *headers, target=target, method=method)

    @property
    def logs(self) -> str:
        return "".join(path.read_text() for path in (self.directory / "logs").iterdir())


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def gateway(request: pytest.FixtureRequest) -> Gateway:
    start: Gateway = request.param
    return start


@pytest.fixture
def road(gateway: Gateway, tmp_path: Path, settings: Settings) -> Iterator[Road]:
    settings.API_KEY_QUERY_PARAM = "hapikey"
    with ThreadGate() as gate, ProtectedApi() as api, gateway(tmp_path, gate=gate.port, api=api.port) as port:
        yield Road(port, gate, api, tmp_path)


@pytest.fixture
def secret() -> str:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__slug="acme", account__number=2519445)
    return secret


def test_an_accepted_call_reaches_the_api_with_who_it_is_and_without_the_secret(road: Road, secret: str) -> None:
    answer = road.call(bearer(secret), ("X-Account-Id", "1"), ("X-Scopes", "everything"))

    assert (answer.status, answer.body) == (200, b'{"results": []}')
    assert answer.headers["x-hubspot-ratelimit-daily-remaining"] == "249999"
    assert answer.headers["ratelimit"].startswith('"burst";r=99;t=')
    (received,) = road.api.received
    assert (received.method, received.target) == ("GET", "/things?limit=1")
    assert received.headers["x-account-id"] == "2519445"
    assert received.headers["x-credential-kind"] == "api_key"
    assert received.headers["x-scopes"] == "*"
    assert received.headers["x-request-id"] == answer.headers["x-request-id"]
    assert secret not in str(received)


def test_the_call_log_has_the_callers_own_request(secret: str, road: Road) -> None:
    answer = road.call(bearer(secret), ("User-Agent", "acme-sync/2"), target="/things/7?limit=1", method="DELETE")

    assert answer.status == 200
    road.gate.__exit__()
    call = Call.objects.get()
    assert (call.method, call.path, call.user_agent, call.address) == (
        "DELETE",
        "/things/7",
        "acme-sync/2",
        "127.0.0.1",
    )
    assert str(call.request_id) == answer.headers["x-request-id"]


def test_a_body_reaches_the_api(road: Road, secret: str) -> None:
    body = json.dumps({"name": "Ümlaut"}).encode()
    with Connection(road.port) as caller:
        caller.send(
            b"POST /things HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
            % (secret.encode(), len(body), body)
        )
        answer = caller.answer()

    assert answer is not None
    assert answer.status == 200
    assert road.api.received[0].body == body


def test_an_app_that_lacks_a_scope_is_told_which(tmp_path: Path, settings: Settings, gateway: Gateway) -> None:
    settings.API_SPEC = tmp_path / "openapi.yaml"
    settings.API_SPEC.write_text(DOCUMENT)
    with ThreadGate() as gate, ProtectedApi() as api, gateway(tmp_path, gate=gate.port, api=api.port) as port:
        secret = granted(gate, "contacts.read")

        read = ask(port, bearer(secret), target="/contacts")
        written = ask(port, bearer(secret), target="/contacts", method="POST")

    assert (read.status, written.status) == (200, 403)
    (received,) = api.received
    assert (received.headers["x-credential-kind"], received.headers["x-scopes"]) == ("private_app", "contacts.read")
    challenge = 'Bearer error="insufficient_scope", scope="contacts.read contacts.write"'
    assert written.headers["www-authenticate"] == challenge
    said = json.loads(written.body)
    assert (said["category"], said["correlationId"]) == ("MISSING_SCOPES", written.headers["x-request-id"])


def test_503_of_the_gate_comes_with_its_body_and_when_to_come_back(road: Road, secret: str) -> None:
    """The store is there and cannot be asked: another thing than a gate that is away."""
    road.gate.gate.known.set_back = True
    road.gate.gate.known.fresh_until = 0.0  # as after a store that was set back

    answer = road.call(bearer(secret))

    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    said = json.loads(answer.body)
    assert (said["category"], said["correlationId"]) == ("SERVICE_UNAVAILABLE", answer.headers["x-request-id"])
    assert road.api.received == []


def test_what_the_api_says_of_itself_does_not_hide_the_gates_request_id(road: Road, secret: str) -> None:
    road.api.headers["X-Request-Id"] = "the API's own"

    caller = HTTPConnection("127.0.0.1", road.port)
    caller.request("GET", "/things", headers=dict([bearer(secret)]))
    ids = caller.getresponse().headers.get_all("X-Request-Id")
    caller.close()

    assert ids == [road.api.received[0].headers["x-request-id"]]


def test_the_call_log_is_completed_by_the_gateways_own_log(tmp_path: Path, gateway: Gateway, secret: str) -> None:
    member = MemberFactory.create(account=Account.objects.get(), role=Role.DEVELOPER)
    with (
        Collecting(tmp_path) as collecting,
        ThreadGate() as gate,
        ProtectedApi(status=418, body=b"x" * 77) as api,
        gateway(tmp_path, gate=gate.port, api=api.port, collector=collecting.port) as port,
    ):
        passed = ask(port, bearer(secret), target="/things")
        refused = ask(port, bearer(secrets.generate(Kind.API_KEY)), target="/things")
        while Call.objects.filter(duration_us__isnull=False).count() < 2:
            Event().wait(0.05)

    assert (passed.status, refused.status) == (418, 401)
    calls = {call.status: call for call in Call.objects.all()}
    assert (calls[418].size, calls[401].reason) == (77, "unknown")
    page = signed_in(member).get(f"/accounts/{member.account.slug}/calls/").content.decode()
    assert "<strong>418</strong>" in page
    assert milliseconds(calls[418].duration_us) in page
    assert "gate’s verdict" not in page


@pytest.mark.parametrize(
    ("status", "category", "challenge"),
    [(401, "INVALID_AUTHENTICATION", 'Bearer error="invalid_token"'), (403, "ACCESS_DENIED", None)],
)
def test_a_refusal_comes_with_the_gates_body(
    road: Road, secret: str, status: int, category: str, challenge: str | None
) -> None:
    if status == 403:
        Account.objects.update(state=Account.State.SUSPENDED)
        answer = road.call(bearer(secret))
    else:
        answer = road.call(bearer(secrets.generate(Kind.API_KEY)))

    assert answer.status == status
    said = json.loads(answer.body)
    assert (said["category"], said["correlationId"]) == (category, answer.headers["x-request-id"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get("www-authenticate") == challenge
    assert road.api.received == []


def test_a_call_without_credential_is_challenged(road: Road) -> None:
    answer = road.call()

    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_over_the_limit_the_caller_gets_429_and_when_to_come_back(road: Road, secret: str) -> None:
    Account.objects.update(burst_limit=1)
    road.call(bearer(secret))

    answer = road.call(bearer(secret))

    assert (answer.status, json.loads(answer.body)["policyName"]) == (429, "TEN_SECONDLY_ROLLING")
    assert 1 <= int(answer.headers["retry-after"]) <= 11
    assert answer.headers["x-hubspot-ratelimit-remaining"] == "0"
    assert len(road.api.received) == 1


def test_two_credentials_are_400(road: Road, secret: str) -> None:
    answer = road.call(bearer(secret), ("X-API-Key", secrets.generate(Kind.API_KEY)))

    assert (answer.status, json.loads(answer.body)["category"]) == (400, "VALIDATION_ERROR")


def test_while_the_gate_is_away_no_call_passes(road: Road, secret: str) -> None:
    road.gate.__exit__()

    answer = road.call(bearer(secret))

    assert (answer.status, json.loads(answer.body)["category"]) == (503, "SERVICE_UNAVAILABLE")
    assert "retry-after" in answer.headers
    assert road.api.received == []


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_the_apis_own_errors_pass_as_they_are(road: Road, secret: str, status: int) -> None:
    road.api.status, road.api.body = status, b'{"own": true}'

    answer = road.call(bearer(secret))

    assert (answer.status, answer.body) == (status, b'{"own": true}')


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("hapikey={key}", ""),
        ("hapikey={key}&limit=1", "?limit=1"),
        ("limit=1&hapikey={key}", "?limit=1"),
        ("limit=1&hapikey={key}&after=%2F2", "?limit=1&after=%2F2"),
        ("hapikey={key}&hapikey={key}&limit=1", "?limit=1"),
        ("%68api%6Bey={key}&limit=1", "?limit=1"),
    ],
)
def test_a_key_in_the_url_is_for_the_gate_alone(road: Road, secret: str, query: str, left: str) -> None:
    answer = road.call(target="/things/a%20b?" + query.format(key=secret))

    assert answer.status == 200
    assert answer.headers["deprecation"] == "@1669766400"
    assert road.api.received[0].target == "/things/a%20b" + left
    assert secret not in str(road.api.received)
    assert secret not in road.logs


@pytest.mark.parametrize("has_come", [False, True])
def test_callers_get_what_is_announced_of_the_end_of_keys(road: Road, secret: str, has_come: bool) -> None:  # noqa: FBT001 -- pytest passes it
    now = timezone.now()
    SunsetFactory.create(authentication_ends_at=now - timedelta(minutes=1) if has_come else now + timedelta(days=90))

    answer = road.call(bearer(secret))

    assert answer.status == (401 if has_come else 200)
    assert answer.headers["deprecation"].startswith("@")
    assert answer.headers["sunset"].endswith(" GMT")
    assert answer.headers["link"] == '<http://localhost/migrate/>; rel="sunset"'
    assert (b"/migrate/" in answer.body) == has_come


def test_more_keys_than_are_cut_out_do_not_reach_the_api(road: Road, secret: str) -> None:
    answer = road.call(target="/things?" + "&".join([f"h%61pikey={secret}"] * 4))

    assert (answer.status, json.loads(answer.body)["category"]) == (400, "VALIDATION_ERROR")
    assert road.api.received == []
    assert secret not in road.logs


def test_a_refused_key_in_the_url_is_in_no_log(road: Road) -> None:
    unknown = secrets.generate(Kind.API_KEY)

    assert road.call(target=f"/things?hapikey={unknown}").status == 401

    assert unknown not in road.logs


def test_a_key_in_the_url_is_in_no_log_of_the_apis_failure_either(road: Road, secret: str) -> None:
    road.api.__exit__()

    assert road.call(target=f"/things?hapikey={secret}").status == 502

    assert secret not in road.logs
