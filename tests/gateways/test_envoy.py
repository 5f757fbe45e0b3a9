"""The example for Envoy, which is not here to run: read as Envoy reads it, and held to what the gate says."""

import importlib
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import yaml
from django.utils import timezone
from envoy.config.bootstrap.v3 import bootstrap_pb2
from google.protobuf.json_format import ParseDict

from apikeys import secrets
from apikeys.secrets import Kind
from auditlog.gateway_log.lines import completion
from tests.factories import ApiKeyFactory
from tests.gates import ThreadGate, ask, bearer
from tests.gateways.servers import DEPLOY

# What Envoy is told by itself or settles with the caller; all else that the gate says is for API or caller.
NOT_FOR_OTHERS = {"date", "content-length"}


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "envoy.yaml").read_text())
    return read


def _typed(part: Any) -> Iterator[str]:
    """The names of all messages that the example fills in."""
    if isinstance(part, dict):
        if "@type" in part:
            yield part["@type"].rpartition("/")[2]
        for one in part.values():
            yield from _typed(one)
    elif isinstance(part, list):
        for one in part:
            yield from _typed(one)


def _authz(example: dict[str, Any]) -> dict[str, Any]:
    manager = example["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    found: dict[str, Any] = next(one for one in manager["http_filters"] if one["name"].endswith("ext_authz"))
    return found["typed_config"]  # type: ignore[no-any-return]  # YAML


def _names(patterns: dict[str, Any]) -> tuple[set[str], tuple[str, ...]]:
    listed = patterns["patterns"]
    return {one["exact"] for one in listed if "exact" in one}, tuple(one["prefix"] for one in listed if "prefix" in one)


def _is_in(name: str, patterns: dict[str, Any]) -> bool:
    exact, prefixes = _names(patterns)
    return name in exact or name.startswith(prefixes)


def test_envoy_knows_every_field(example: dict[str, Any]) -> None:
    for name in _typed(example):
        package = name.rpartition(".")[0]  # envoy.extensions.filters.http.router.v3
        importlib.import_module(f"{package}.{package.split('.')[-2]}_pb2")  # makes its messages known to the parser

    ParseDict(example, bootstrap_pb2.Bootstrap())


def test_nothing_passes_while_no_gate_answers(example: dict[str, Any]) -> None:
    authz = _authz(example)

    assert authz["failure_mode_allow"] is False
    assert authz["status_on_error"] == {"code": "ServiceUnavailable"}


@pytest.mark.once("what is asked is the gate's spelling of headers")
@pytest.mark.django_db(transaction=True)
def test_what_the_gate_says_reaches_the_api_or_the_caller(example: dict[str, Any]) -> None:
    secret = secrets.generate(Kind.API_KEY)
    ApiKeyFactory.create(secret=secret, account__burst_limit=1)
    response = _authz(example)["http_service"]["authorization_response"]
    with ThreadGate() as gate:
        accepted, limited, refused = (
            ask(gate.port, bearer(text), target="/check/things?limit=1") for text in (secret, secret, "x")
        )

    assert (accepted.status, limited.status, refused.status) == (204, 429, 401)
    to_api, to_caller = response["allowed_upstream_headers"], response["allowed_client_headers_on_success"]
    lost = {name for name in accepted.headers if not _is_in(name, to_api) and not _is_in(name, to_caller)}
    assert lost <= NOT_FOR_OTHERS
    for answer in (limited, refused):
        lost = {name for name in answer.headers if not _is_in(name, response["allowed_client_headers"])}
        assert lost <= NOT_FOR_OTHERS


def test_the_access_log_tells_the_collector_of_each_call(example: dict[str, Any]) -> None:
    manager = example["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    written = manager["access_log"][0]["typed_config"]["log_format"]["json_format"]
    now, request_id = timezone.now(), uuid4()
    commands = {
        "%START_TIME%": (now - timedelta(seconds=90)).isoformat(), "%DURATION%": 90_000, "%RESPONSE_CODE%": 418,
        "%BYTES_SENT%": 77, "%REQ(X-REQUEST-ID)%": str(request_id),
    }  # fmt: skip

    told = completion(
        json.dumps({name: commands.get(command, "x") for name, command in written.items()}).encode(), now=now
    )

    assert told is not None
    assert told[:1] + told[2:] == (request_id, 418, 90_000_000, 77)
    assert told.ended_at == pytest.approx(now.timestamp())


def test_the_api_gets_no_secret(example: dict[str, Any]) -> None:
    manager = example["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    names = [one["name"].rpartition(".")[2] for one in manager["http_filters"]]
    mutations = manager["http_filters"][names.index("header_mutation")]["typed_config"]["mutations"]

    assert names == ["ext_authz", "header_mutation", "router"]
    assert mutations["request_mutations"] == [{"remove": "authorization"}, {"remove": "x-api-key"}]
    assert mutations["query_parameter_mutations"] == [{"remove": "hapikey"}]
