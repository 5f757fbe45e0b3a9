"""HTTP that Django lets pass is refused here, before anything else reads the request.

docs/security.md lists what the server in front of Django hides from this code and a proxy has to refuse.
"""

from collections.abc import Callable
from typing import NamedTuple
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

from apikeys.account_api import PREFIXES, refusals

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # RFC 9110 less CONNECT and TRACE; RFC 5789
LONGEST_TARGET = 4096
LONGEST_HEADER = 8192
MOST_HEADERS = 100


class Refusal(NamedTuple):
    status: int
    message: str


class StrictnessMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        for judge in (_host, _method, _target, _headers, _body):
            refusal = judge(request)
            if refusal is not None:
                return _answer(request, refusal)
        return self.get_response(request)


def _host(request: HttpRequest) -> Refusal | None:
    try:
        request.get_host()
    except DisallowedHost:
        return Refusal(400, "The Host header names no host that is served here.")
    return None


def _method(request: HttpRequest) -> Refusal | None:
    if request.META["REQUEST_METHOD"] not in METHODS:  # request.method is in capitals, whatever came
        return Refusal(405, "This method is not served.")
    return None


def _target(request: HttpRequest) -> Refusal | None:
    if len(request.META.get("PATH_INFO", "")) + len(request.META.get("QUERY_STRING", "")) > LONGEST_TARGET:
        return Refusal(414, f"The address is longer than {LONGEST_TARGET} bytes.")
    if "\0" in request.path_info:
        return Refusal(404, "There is nothing at this address.")
    return None


def _headers(request: HttpRequest) -> Refusal | None:
    values = [value for name, value in request.META.items() if name.startswith("HTTP_")]
    if len(values) > MOST_HEADERS or any(len(value) > LONGEST_HEADER for value in values):
        return Refusal(431, f"At most {MOST_HEADERS} headers of {LONGEST_HEADER} bytes each.")
    return None


def _body(request: HttpRequest) -> Refusal | None:
    if request.META.get("HTTP_TRANSFER_ENCODING"):
        # Django reads no such body. Whether it was well-formed, or came with a Content-Length too, it cannot know.
        return Refusal(400, "Send the body with a Content-Length, without Transfer-Encoding.")
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        return Refusal(415, "Send the body as it is, without Content-Encoding.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        return Refusal(400, "Content-Length is no number.")
    if int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return Refusal(413, f"A body may have at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.")
    return None


def _answer(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """In the API's error shape below its paths, as plain text elsewhere."""
    if request.path_info.startswith(PREFIXES):
        request_id = uuid4()
        category = refusals.CATEGORIES.get(refusal.status, refusals.Category.VALIDATION_ERROR)
        response = refusals.refusal(refusal.status, category, refusal.message, request_id=request_id)
        response.headers["X-Request-Id"] = str(request_id)
    else:
        response = HttpResponse(f"{refusal.message}\n", status=refusal.status, content_type="text/plain; charset=utf-8")
    if refusal.status == 405:  # noqa: PLR2004 -- RFC 9110, 15.5.6: Allow is required with it
        response.headers["Allow"] = ", ".join(METHODS)
    return response
