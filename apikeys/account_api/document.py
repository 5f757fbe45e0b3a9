"""The OpenAPI 3.1 document: what ninja knows of the endpoints, and what the check in front of them adds."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings

from apikeys.account_api import refusals
from apikeys.account_api.endpoints import api
from apikeys.account_api.shapes import Error
from apikeys.gate import refusals as gate_refusals
from apikeys.gate.reasons import STATUS, Reason

JSON = "application/json"
EXAMPLE_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"

DESCRIPTION = """\
Account details and API usage. Field names and status codes follow HubSpot's account API, so that clients written for
it work by changing the base address. Every call needs a credential, is counted against the account's limits and is
kept in the call log for seven days. HEAD answers as GET without the body; OPTIONS lists the methods.
"""

ACCEPTED_HEADERS = {
    "X-HubSpot-RateLimit-Daily": "Calls that the account may make in a day.",
    "X-HubSpot-RateLimit-Daily-Remaining": "How many of them are left today.",
    "X-HubSpot-RateLimit-Interval-Milliseconds": "Length of the burst limit's window.",
    "X-HubSpot-RateLimit-Max": "Calls that fit into any such window.",
    "X-HubSpot-RateLimit-Remaining": "How many of them are left now.",
    "RateLimit-Policy": 'Both limits in the words of the IETF, such as "burst";q=100;w=10.',
    "RateLimit": 'What is left of them and for how many seconds, such as "burst";r=97;t=4.',
}


# While an end of API keys is announced, on answers to calls with one.
SUNSET_HEADERS = {
    "Deprecation": "Since when API keys are deprecated, as @ and Unix seconds (RFC 9745).",
    "Sunset": "From when on calls with an API key are refused (RFC 8594).",
    "Link": 'The page that says what to use instead, with rel="sunset".',
}
SENT = [*ACCEPTED_HEADERS, *SUNSET_HEADERS, "X-Request-Id"]


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    description: str
    headers: dict[str, str]
    body: Callable[[], bytes]


def _of_the_check(reason: Reason, description: str, **headers: str) -> Refusal:
    """What the check in front answers, in its own words."""
    said = partial(gate_refusals.body, reason, EXAMPLE_ID.encode())
    return Refusal(STATUS[reason], description, {name.replace("_", "-"): text for name, text in headers.items()}, said)


def _method_not_allowed() -> bytes:
    return refusals.method_not_allowed("GET, HEAD, OPTIONS", UUID(EXAMPLE_ID)).content


REFUSALS = {
    "Invalid": _of_the_check(
        Reason.TWO_CREDENTIALS, "Two different credentials, or a query parameter that the endpoint does not know."
    ),
    "Unauthenticated": _of_the_check(
        Reason.ROTATED,
        "No credential, or one that is malformed, unknown, rotated away or deactivated; which of these is not told.",
        WWW_Authenticate='Bearer, with error="invalid_token" where a credential came (RFC 6750).',
    ),
    "Denied": _of_the_check(Reason.SUSPENDED, "The account is suspended or closed."),
    "MethodNotAllowed": Refusal(
        405, "The endpoint does not serve this method.", {"Allow": "The methods that it serves."}, _method_not_allowed
    ),
    "LimitReached": _of_the_check(
        Reason.BURST_LIMIT,
        "The limit of ten seconds (TEN_SECONDLY_ROLLING) or of the day (DAILY) is reached. Refused calls do not count.",
        Retry_After="Seconds to wait.",
    ),
    "Unavailable": _of_the_check(
        Reason.STORE_UNAVAILABLE,
        "The portal cannot check credentials at the moment; nothing is let through meanwhile.",
        Retry_After="Seconds to wait.",
    ),
}


def document() -> dict[str, Any]:
    built: dict[str, Any] = dict(api.get_openapi_schema(path_prefix=""))
    built["info"] |= {"description": DESCRIPTION, "version": api.version}
    built["servers"] = [{"url": settings.SITE_ORIGIN}]
    built["components"] |= {
        "responses": {name: _refusal(about) for name, about in REFUSALS.items()},
        "headers": {name: _header(text) for name, text in (ACCEPTED_HEADERS | SUNSET_HEADERS).items()}
        | {"X-Request-Id": _request_id()},
        "securitySchemes": _security_schemes(),
    }
    built["components"]["schemas"]["Error"] = Error.model_json_schema(by_alias=True)
    built["security"] = [{name: []} for name in built["components"]["securitySchemes"]]
    for operation in (one for methods in built["paths"].values() for one in methods.values()):
        _complete(operation, built["components"]["schemas"])
    return built


def _complete(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    answer = operation["responses"].pop(200)
    answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in SENT}
    answer["content"][JSON]["example"] = example(answer["content"][JSON]["schema"], schemas)
    operation["responses"] = {"200": answer} | {
        str(about.status): {"$ref": f"#/components/responses/{name}"} for name, about in REFUSALS.items()
    }


def example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """An answer of this shape, put together from the examples of its fields."""
    if "$ref" in schema:
        return example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    if schema["type"] == "array":
        return [example(schema["items"], schemas)]
    return {name: example(field, schemas) for name, field in schema["properties"].items()}


def _refusal(about: Refusal) -> dict[str, Any]:
    return {
        "description": about.description,
        "headers": {name: _header(text) for name, text in about.headers.items()}
        | {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}, "example": json.loads(about.body())}},
        "x-status": about.status,
    }


def _header(text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}}


def _request_id() -> dict[str, Any]:
    return {"description": "UUID of this call, as in the call log.", "schema": {"type": "string", "format": "uuid"}}


def _security_schemes() -> dict[str, Any]:
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer <API key>`"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "`X-API-Key: <API key>`"},
    }
    if settings.API_KEY_QUERY_PARAM:
        schemes["query"] = {
            "type": "apiKey",
            "in": "query",
            "name": settings.API_KEY_QUERY_PARAM,
            "description": "For old clients only: addresses end up in logs and histories. Answers carry `Deprecation`.",
        }
    return schemes
