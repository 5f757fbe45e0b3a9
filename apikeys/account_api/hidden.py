"""Secrets are taken out of addresses before anything else sees them, so that no log, page or redirect repeats them.

A form that is shown again because of a mistake does not repeat them either.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote, unquote_plus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.html import escape

from apikeys import secrets
from apikeys.account_api import PREFIXES
from apikeys.gate.presented import QUERY_PARAM

LOGGED_HEADERS = {"HTTP_USER_AGENT", "HTTP_REFERER", "HTTP_ORIGIN"}  # kept in both logs, named in warnings

received_query: ContextVar[str] = ContextVar("received_query", default="")
posted_secrets: ContextVar[tuple[str, ...]] = ContextVar("posted_secrets", default=())


class HiddenSecretsMiddleware:
    """Leave the query as received to the door of the API alone; everybody else gets it without secrets."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        query = request.META.get("QUERY_STRING", "")
        _clean(request, query)
        tokens = received_query.set(query), posted_secrets.set(())
        try:
            response = self.get_response(request)
            _unrepeat(response, posted_secrets.get())
            return response
        finally:
            received_query.reset(tokens[0])
            posted_secrets.reset(tokens[1])

    def process_view(self, request: HttpRequest, *_view: Any) -> None:
        """Note what a form brings; here, where a body that cannot be read is answered as such."""
        if request.method == "POST" and not request.path_info.startswith(PREFIXES):
            values = (value for _, values in request.POST.lists() for value in values if isinstance(value, str))
            posted_secrets.set(tuple(value for value in values if secrets.mask(value) != value))


def _clean(request: HttpRequest, query: str) -> None:
    request.META["QUERY_STRING"] = without_secrets(query)
    for header in LOGGED_HEADERS & request.META.keys():
        request.META[header] = secrets.mask(request.META[header])
    if not request.path_info.startswith(PREFIXES):  # there the check needs the path, and masks it itself
        request.path_info = secrets.mask(request.path_info)
        request.path = secrets.mask(request.path)


def without_secrets(query: str) -> str:
    """The query string without key parameters, let in or not, and with anything of secret shape masked."""
    names = {QUERY_PARAM, settings.API_KEY_QUERY_PARAM}
    kept = [item for item in query.split("&") if unquote_plus(item.partition("=")[0]).strip().casefold() not in names]
    joined = "&".join(kept)
    masked = secrets.mask(joined)
    return joined if masked == joined else quote(masked, safe="=&%+/:;,@!$'()*?~-._")


def _unrepeat(response: HttpResponse, posted: tuple[str, ...]) -> None:
    """Mask what the form brought where the page repeats it; go nowhere with it."""
    if not posted or response.streaming:
        return
    if secrets.mask(response.headers.get("Location", "")) != response.headers.get("Location", ""):
        response.headers["Location"] = "/"
    for value in posted:
        response.content = response.content.replace(escape(value).encode(), escape(secrets.mask(value)).encode())
    if "Content-Length" in response.headers:
        response.headers["Content-Length"] = str(len(response.content))
