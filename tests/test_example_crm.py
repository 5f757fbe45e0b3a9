"""The example API in `examples/crm`: what its document says it does, and it lets nobody in whom the gate refuses."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings as django_settings
from pytest_django import Settings

from apikeys import api_document, secrets
from apikeys.gate.routes import Routes
from apikeys.secrets import Kind
from auditlog.models import Call
from examples.crm.api import ROUTES, Api, Behind, Gate
from tests.factories import ApiKeyFactory
from tests.gates import HOST, Answer, Connection, ThreadGate, ask, bearer, free_port, granted

CRM = Path(django_settings.BASE_DIR) / "examples" / "crm"
DOCUMENT = CRM / "openapi.yaml"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once("the example knows nothing of the store")]


@pytest.fixture
def gate(settings: Settings) -> Iterator[ThreadGate]:
    settings.API_SPEC = DOCUMENT
    settings.API_UNKNOWN_ROUTES = "refuse"
    with ThreadGate() as running:
        yield running


@pytest.fixture
def api(gate: ThreadGate) -> Iterator[Api]:
    yield from serving(Gate(f"http://{HOST}:{gate.port}/check"))


def serving(gate: Gate | Behind) -> Iterator[Api]:
    with Api((HOST, 0), gate) as api:
        thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield api
        api.shutdown()
        thread.join()


@pytest.fixture
def secret() -> str:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__number=7)
    return secret


def call(api: Api, method: str, path: str, *headers: tuple[str, str], said: Any = None) -> Answer:
    body = b"" if said is None else json.dumps(said).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    with Connection(api.server_port) as caller:
        return caller.ask("\r\n".join([*lines, "", ""]).encode() + body)


CONTACTS = "/crm/v3/objects/contacts"


def test_it_does_what_its_document_says(api: Api, secret: str) -> None:
    key = bearer(secret)
    made = json.loads(call(api, "POST", CONTACTS, key, said={"properties": {"firstname": "Katherine"}}).body)
    path = f"{CONTACTS}/{made['id']}"

    changed = call(api, "PATCH", path, key, said={"properties": {"email": "katherine@example.com"}})

    assert changed.headers["x-hubspot-ratelimit-daily-remaining"] == "249998"
    assert json.loads(changed.body)["properties"] == {"firstname": "Katherine", "email": "katherine@example.com"}
    assert call(api, "GET", path, key).body == changed.body
    assert len(json.loads(call(api, "GET", CONTACTS, key).body)["results"]) == 3
    assert call(api, "DELETE", path, key).status == 204
    assert call(api, "GET", path, key).status == 404
    assert call(api, "POST", CONTACTS, key, said=[]).status == 400
    for read in ("/crm/v3/objects/emails", "/integrations/v1/connections/salesforce/records"):
        assert json.loads(call(api, "GET", read, key).body)["results"]


def test_each_operation_of_the_document_is_served_and_each_route_is_in_it() -> None:
    operations = api_document.read(DOCUMENT)
    routes = Routes(operations, refuse_unknown=True)

    for method, pattern, _ in ROUTES:
        assert not routes.rule(None, method.encode(), pattern.replace("([^/]+)", "7").encode()).reason
    assert len(operations) == len(ROUTES)
    declared = yaml.safe_load(DOCUMENT.read_text())["components"]["securitySchemes"]["app"]["flows"]
    needed = {scope for one in operations for alternative in one.scopes for scope in alternative}
    assert needed == set(declared["authorizationCode"]["scopes"])
    assert all(one.scopes for one in operations)


def test_the_gate_asks_apps_for_the_documents_scopes(api: Api, gate: ThreadGate) -> None:
    app = bearer(granted(gate, "crm.objects.contacts.read"))

    assert call(api, "GET", f"{CONTACTS}/1", app).status == 200
    refused = call(api, "DELETE", f"{CONTACTS}/1", app)

    assert (refused.status, json.loads(refused.body)["category"]) == (403, "MISSING_SCOPES")
    assert 'scope="crm.objects.contacts.write"' in refused.headers["www-authenticate"]


def test_whom_the_gate_refuses_it_refuses_in_the_same_words(api: Api, gate: ThreadGate) -> None:
    unknown = bearer(secrets.generate(Kind.API_KEY))

    answer = call(api, "GET", CONTACTS, unknown, ("X-Account-Id", "7"))
    direct = ask(gate.port, unknown, ("X-Original-URI", CONTACTS))

    assert (answer.status, answer.headers["www-authenticate"]) == (401, direct.headers["www-authenticate"])
    said, same = json.loads(answer.body), json.loads(direct.body)
    assert said.pop("correlationId") == answer.headers["x-request-id"]
    assert same.pop("correlationId")
    assert said == same


def test_each_account_has_its_own(api: Api, secret: str) -> None:
    other = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=other, account__number=8)

    call(api, "DELETE", f"{CONTACTS}/1", bearer(secret))

    assert call(api, "GET", f"{CONTACTS}/1", bearer(secret)).status == 404
    assert call(api, "GET", f"{CONTACTS}/1", bearer(other)).status == 200


def test_the_call_log_has_its_calls(secret: str, settings: Settings) -> None:
    with ThreadGate() as gate:
        for api in serving(Gate(f"http://{HOST}:{gate.port}/check")):
            call(api, "GET", f"{CONTACTS}/1?properties=email", bearer(secret), ("User-Agent", "acme-sync/2"))

    logged = Call.objects.get()
    assert (logged.method, logged.path, logged.user_agent) == ("GET", f"{CONTACTS}/1", "acme-sync/2")


def test_while_no_gate_answers_nothing_passes(secret: str) -> None:
    for api in serving(Gate(f"http://{HOST}:{free_port()}/check")):
        answer = call(api, "GET", CONTACTS, bearer(secret))

        assert (answer.status, answer.headers["retry-after"]) == (503, "2")


def test_behind_a_gateway_it_goes_by_what_that_says() -> None:
    for api in serving(Behind()):
        assert call(api, "GET", CONTACTS, ("X-Account-Id", "7")).status == 200
        assert call(api, "GET", CONTACTS).status == 401


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999", "٣"])
def test_a_body_of_no_proper_length_is_400(api: Api, secret: str, length: str) -> None:
    request = f"POST {CONTACTS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"

    with Connection(api.server_port) as caller:
        assert caller.ask(request.encode()).status == 400


def test_it_runs_on_the_standard_library_alone() -> None:
    said = subprocess.run(
        [sys.executable, "-I", "-S", str(CRM / "api.py"), "--help"], capture_output=True, text=True, check=True
    )

    assert "--behind-gateway" in said.stdout
