"""The API's description: as a document for programs, as a page for people. Both are public."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apikeys.account_api.document import JSON, SUNSET_HEADERS, document
from apikeys.account_api.endpoints import SAME_AS


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: str
    description: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    id: str
    method: str
    path: str
    summary: str
    description: str
    other_spellings: list[str]
    fields: list[Field]
    example: str
    curl: str


@dataclass(frozen=True, slots=True)
class Mistake:
    status: int
    phrase: str
    description: str
    headers: list[Field]
    example: str


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 -- Django passes it
    return JsonResponse(document(), json_dumps_params={"indent": 2})


@require_safe
@never_cache  # its frame names who is signed in
def docs(request: HttpRequest) -> HttpResponse:
    about = document()
    headers = {name: header for name, header in about["components"]["headers"].items() if name not in SUNSET_HEADERS}
    context = {
        "info": about["info"],
        "base_address": settings.SITE_ORIGIN,
        "endpoints": _endpoints(about),
        "mistakes": [_mistake(response) for response in about["components"]["responses"].values()],
        "headers": [Field(name, "", header["description"]) for name, header in headers.items()],
        "prefix": settings.SECRET_PREFIX,
        "query_param": settings.API_KEY_QUERY_PARAM,
    }
    return render(request, "account_api/docs.html", context)


def _endpoints(about: dict[str, Any]) -> list[Endpoint]:
    spellings: dict[str, list[str]] = {}
    for path, methods in about["paths"].items():
        if SAME_AS in methods["get"]:
            spellings.setdefault(methods["get"][SAME_AS], []).append(path)
    return [
        _endpoint(path, methods["get"], spellings.get(path, []), about["components"]["schemas"])
        for path, methods in about["paths"].items()
        if SAME_AS not in methods["get"]
    ]


def _endpoint(path: str, operation: dict[str, Any], spellings: list[str], schemas: dict[str, Any]) -> Endpoint:
    content = operation["responses"]["200"]["content"][JSON]
    return Endpoint(
        id=operation["operationId"].replace("_", "-"),
        method="GET",
        path=path,
        summary=operation["summary"],
        description=operation["description"],
        other_spellings=spellings,
        fields=_fields(content["schema"], schemas),
        example=json.dumps(content["example"], indent=2),
        curl=f'curl {settings.SITE_ORIGIN}{path} \\\n  -H "Authorization: Bearer $API_KEY"',
    )


def _fields(schema: dict[str, Any], schemas: dict[str, Any], prefix: str = "") -> list[Field]:
    """The innermost fields, named by the way that leads to them: `results[].usageLimit`."""
    if "$ref" in schema:
        return _fields(schemas[schema["$ref"].rpartition("/")[2]], schemas, prefix)
    if schema.get("type") == "array":
        return _fields(schema["items"], schemas, f"{prefix}[]")
    found = []
    for name, field in schema["properties"].items():
        path = f"{prefix}.{name}" if prefix else name
        if "items" in field and "$ref" in field["items"]:
            found += _fields(field, schemas, path)
        else:
            found.append(Field(path, field.get("format", field["type"]), field.get("description", "")))
    return found


def _mistake(response: dict[str, Any]) -> Mistake:
    headers = [Field(name, "", one["description"]) for name, one in response["headers"].items() if "description" in one]
    return Mistake(
        status=response["x-status"],
        phrase=HTTPStatus(response["x-status"]).phrase,
        description=response["description"],
        headers=headers,
        example=json.dumps(response["content"][JSON]["example"], indent=2),
    )
