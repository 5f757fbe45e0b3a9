"""API_SPEC: the gate judges calls by the protected API's document, and follows it without a restart."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from apikeys import secrets
from apikeys.gate import protected_api
from apikeys.secrets import Kind
from auditlog.models import Call
from tests.factories import ApiKeyFactory
from tests.gates import Answer, ThreadGate, ask, bearer, database_url, granted

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = """
openapi: 3.1.0
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {}}
security: [{oauth: [contacts.read]}]
paths:
  /contacts: {get: {}, post: {security: [{oauth: [contacts.write, contacts.read]}]}}
  /contacts/{id}: {get: {}}
"""


@pytest.fixture
def document(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(protected_api, "LOOK_SECONDS", 0.05)
    path = tmp_path / "openapi.yaml"
    path.write_text(DOCUMENT)
    settings.API_SPEC = path
    return path


@pytest.fixture
def gate(document: Path) -> Iterator[ThreadGate]:
    with ThreadGate() as running:
        yield running


def call(gate: ThreadGate, secret: str, method: str, path: str) -> Answer:
    return ask(gate.port, bearer(secret), ("X-Original-Method", method), ("X-Original-URI", path))


def until_ready_says(gate: ThreadGate, word: str) -> Answer:
    while True:
        answer = ask(gate.port, target="/readyz")
        if json.loads(answer.body)["api_document"].startswith(word):
            return answer
        Event().wait(0.02)


def test_an_app_with_the_scope_passes_and_the_api_is_told_its_scopes(gate: ThreadGate) -> None:
    secret = granted(gate, "contacts.read", "b")

    answer = call(gate, secret, "GET", "/contacts/7?properties=email")

    assert answer.status == 204
    assert (answer.headers["x-credential-kind"], answer.headers["x-scopes"]) == ("private_app", "b contacts.read")


@pytest.mark.parametrize(("kind", "page"), [(Kind.PRIVATE_APP, "private-apps"), (Kind.CONNECTED_APP, "connected-apps")])
def test_an_app_without_the_scope_is_told_which(document: Path, kind: Kind, page: str) -> None:
    with ThreadGate() as gate:
        answer = call(gate, granted(gate, "contacts.read", kind=kind), "POST", "/contacts")

    assert answer.status == 403
    assert answer.headers["www-authenticate"] == (
        'Bearer error="insufficient_scope", scope="contacts.read contacts.write"'
    )
    said = json.loads(answer.body)
    assert (said["status"], said["category"]) == ("error", "MISSING_SCOPES")
    assert said["correlationId"] == answer.headers["x-request-id"]
    assert [error["context"] for error in said["errors"]] == [
        {"requiredGranularScopes": ["contacts.read", "contacts.write"]}
    ]
    assert said["links"] == {"scopes": f"http://localhost/accounts/acme/{page}/"}
    logged = Call.objects.get()
    assert (logged.status, logged.reason, logged.credential_kind) == (403, "missing_scopes", kind)


def test_a_call_without_the_scope_counts_toward_no_limit(gate: ThreadGate) -> None:
    secret = granted(gate, "contacts.read", burst=1)

    assert [call(gate, secret, "POST", "/contacts").status for _ in range(3)] == [403] * 3

    assert call(gate, secret, "GET", "/contacts").status == 204
    assert call(gate, secret, "GET", "/contacts").status == 429  # its one call of ten seconds


def test_a_dead_token_is_not_told_what_it_lacks(gate: ThreadGate) -> None:
    answer = call(gate, granted(gate, end="deactivated"), "POST", "/contacts")

    assert (answer.status, json.loads(answer.body)["category"]) == (401, "INVALID_AUTHENTICATION")


def test_the_account_key_opens_everything(gate: ThreadGate) -> None:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret)

    answers = [call(gate, secret, "POST", "/contacts"), call(gate, secret, "GET", "/other/..//")]

    assert [(answer.status, answer.headers["x-scopes"]) for answer in answers] == [(204, "*")] * 2


def test_unknown_routes_are_refused_to_everybody_where_the_operator_says_so(document: Path, settings: Settings) -> None:
    settings.API_UNKNOWN_ROUTES = "refuse"
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret)

    with ThreadGate() as gate:
        known = [call(gate, secret, "GET", "/contacts").status for _ in range(2)]
        answer = call(gate, secret, "GET", "/other")
        strangers = call(gate, secrets.generate(Kind.API_KEY), "GET", "/other")

    assert known == [204, 204]
    assert (answer.status, json.loads(answer.body)["category"]) == (403, "ACCESS_DENIED")
    assert "www-authenticate" not in answer.headers
    assert strangers.status == 401  # who does not say who it is learns nothing of the API
    assert Call.objects.get(path="/other", status=403).reason == "unknown_route"


def test_without_a_document_nothing_is_judged_by_path(settings: Settings) -> None:
    with ThreadGate() as gate:
        assert call(gate, granted(gate), "POST", "/contacts").status == 204


def test_a_changed_document_counts_without_a_restart(gate: ThreadGate, document: Path) -> None:
    secret = granted(gate, "contacts.list")
    assert call(gate, secret, "GET", "/contacts").status == 403

    document.write_text(DOCUMENT.replace("[contacts.read]", "[contacts.list]"))

    while (answer := call(gate, secret, "GET", "/contacts")).status != 204:
        assert answer.status == 403
        Event().wait(0.02)


@pytest.mark.parametrize("broken", ["paths: [", "openapi: 2.0\n", None])
def test_a_broken_document_keeps_the_one_before_and_says_so(
    gate: ThreadGate, document: Path, broken: str | None
) -> None:
    if broken is None:
        document.unlink()
    else:
        document.write_text(broken)

    answer = until_ready_says(gate, "has changed and is broken")

    assert answer.status == 200  # calls are decided on all the same
    assert b"keyportal_api_document_broken 1.0" in ask(gate.port, target="/metrics").body
    assert call(gate, granted(gate, "contacts.read"), "POST", "/contacts").status == 403
    document.write_text(DOCUMENT)
    until_ready_says(gate, "ok")
    assert b"keyportal_api_document_broken 0.0" in ask(gate.port, target="/metrics").body


@pytest.mark.once("the gate does not get as far as the store")
@pytest.mark.parametrize(("text", "why"), [("paths: [", "not YAML"), (None, "No such file")])
def test_a_gate_does_not_start_with_a_broken_document_and_says_why(tmp_path: Path, text: str | None, why: str) -> None:
    path = tmp_path / "openapi.yaml"
    if text is not None:
        path.write_text(text)

    gate = subprocess.run(
        [sys.executable, "-m", "apikeys.gate", "--port", "0"],
        env={**os.environ, "DATABASE_URL": database_url(), "API_SPEC": str(path)},
        cwd=django_settings.BASE_DIR, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert gate.returncode == 1
    (line,) = gate.stderr.splitlines()
    assert line.startswith("API_SPEC: ")
    assert why in line
    assert "openapi.yaml" in line
