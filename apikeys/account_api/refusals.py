"""The one error body of the API, for what goes wrong behind the check."""

import json
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse

CONTENT_TYPE = "application/json"


class Category(StrEnum):
    """What a program should branch on."""

    VALIDATION_ERROR = "VALIDATION_ERROR"
    OBJECT_NOT_FOUND = "OBJECT_NOT_FOUND"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    INTERNAL_ERROR = "INTERNAL_ERROR"


CATEGORIES = {404: Category.OBJECT_NOT_FOUND}  # by status; VALIDATION_ERROR for every other mistake of a caller


def refusal(status: int, category: Category, message: str, *, request_id: UUID) -> HttpResponse:
    """An error answer; `message` is for people and never repeats what was sent."""
    body = {
        "status": "error",
        "message": message,
        "correlationId": str(request_id),
        "category": category,
        "links": {"documentation": f"{settings.SITE_ORIGIN}/docs"},
    }
    return HttpResponse(json.dumps(body), status=status, content_type=CONTENT_TYPE)


def unknown_path(request_id: UUID) -> HttpResponse:
    message = "There is no such endpoint. The documentation lists all of them."
    return refusal(404, Category.OBJECT_NOT_FOUND, message, request_id=request_id)


def method_not_allowed(allow: str, request_id: UUID) -> HttpResponse:
    message = f"This endpoint answers {allow} only."
    response = refusal(405, Category.VALIDATION_ERROR, message, request_id=request_id)
    response.headers["Allow"] = allow
    return response


def invalid(message: str, request_id: UUID) -> HttpResponse:
    return refusal(400, Category.VALIDATION_ERROR, message, request_id=request_id)


def unavailable(request_id: UUID) -> HttpResponse:
    message = "The portal cannot reach its store at the moment. Try again in a few seconds."
    response = refusal(503, Category.SERVICE_UNAVAILABLE, message, request_id=request_id)
    response.headers["Retry-After"] = "5"
    return response


def failed(request_id: UUID) -> HttpResponse:
    message = "Something went wrong on our side. Tell the operator the correlationId."
    return refusal(500, Category.INTERNAL_ERROR, message, request_id=request_id)
