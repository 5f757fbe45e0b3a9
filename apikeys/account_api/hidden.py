"""Secrets in a URL are taken out before anything else sees it, so that no log, page or redirect can repeat them."""

from collections.abc import Callable
from contextvars import ContextVar
from urllib.parse import quote, unquote_plus

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apikeys import secrets
from apikeys.account_api import PREFIXES

QUERY_PARAM = "hapikey"  # cut out whether or not API_KEY_QUERY_PARAM lets it authenticate

received_query: ContextVar[str] = ContextVar("received_query", default="")


class HiddenSecretsMiddleware:
    """Leave the query as received to the door of the API alone; everybody else gets it without secrets."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        query = request.META.get("QUERY_STRING", "")
        request.META["QUERY_STRING"] = without_secrets(query)
        if not request.path_info.startswith(PREFIXES):  # there the check needs the path, and masks it itself
            request.path_info = secrets.mask(request.path_info)
            request.path = secrets.mask(request.path)
        token = received_query.set(query)
        try:
            return self.get_response(request)
        finally:
            received_query.reset(token)


def without_secrets(query: str) -> str:
    """The query string without key parameters, and with anything of secret shape masked."""
    names = {QUERY_PARAM, settings.API_KEY_QUERY_PARAM}
    kept = [item for item in query.split("&") if unquote_plus(item.partition("=")[0]).strip().casefold() not in names]
    joined = "&".join(kept)
    masked = secrets.mask(joined)
    return joined if masked == joined else quote(masked, safe="=&%+/:;,@!$'()*?~-._")
