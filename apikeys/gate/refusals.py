"""What a refused caller is told: one JSON body for all, and the headers that go with it. Nothing sent is repeated."""

import json
from collections.abc import Sequence
from functools import cache

from django.conf import settings

from apikeys.gate.announced import Announced, migration_page
from apikeys.gate.reasons import STATUS, Reason
from apikeys.gate.routes import PASSES, Ruling
from apikeys.secrets import Kind

CONTENT_TYPE = "application/json"
QUERY_DEPRECATION = ("Deprecation", "@1669766400")  # RFC 9745; keys in a query ended then with the dialect's author
STORE_RETRY_SECONDS = 2
# What the answer must not tell apart from a secret that belongs to nobody.
SAME_FOR_ALL = frozenset({Reason.PREPARED, Reason.ROTATED, Reason.DEACTIVATED, Reason.SUNSET, Reason.BROWNOUT})
_REQUEST_ID = "{request id}"  # stands in a body until it is sent

_ENDED = frozenset({Reason.SUNSET, Reason.BROWNOUT})
# As malformed ones, to the byte.
_WITHOUT_SUNSET = frozenset({Reason.UNKNOWN, Reason.PREPARED, Reason.ROTATED, Reason.DEACTIVATED})
_INVALID = "The credential is not valid. Take the current API key from the portal, or ask a super admin of the account."
_MESSAGES = {
    Reason.NO_CREDENTIAL: "This call carries no credential. Send the account's API key as `X-API-Key: <key>`, "
    "or any credential as `Authorization: Bearer <secret>`.",
    Reason.TWO_CREDENTIALS: "This call carries two credentials. Send one, in one header: Authorization or X-API-Key.",
    Reason.BAD_CREDENTIAL: "The credential holds a character that no HTTP header may.",
    Reason.QUERY_NOT_ALLOWED: "Credentials in the URL are not accepted here. Send the account's API key as "
    "`X-API-Key: <key>` or as `Authorization: Bearer <key>`.",
    Reason.SUNSET: "API keys are no longer accepted. Use the access token of a private app, or OAuth: "
    "the migration page says how.",
    Reason.BROWNOUT: "API keys are refused for a few announced minutes, to rehearse their end. Use the access token of "
    "a private app, or OAuth: the migration page says how.",
    Reason.SUSPENDED: "This account is suspended. Ask the operator of this API.",
    Reason.CLOSED: "This account is closed. Ask the operator of this API.",
    Reason.MISSING_SCOPES: "This app has not been granted the scopes that this call needs. Ask a super admin of the "
    "account to add them.",
    Reason.UNKNOWN_ROUTE: "This method and path are not part of this API. Its documentation lists those that are.",
    Reason.BURST_LIMIT: "This account has reached its limit of calls in 10 seconds.",
    Reason.DAILY_LIMIT: "This account has reached its limit of calls a day.",
    Reason.STORE_UNAVAILABLE: "The credential cannot be checked at the moment. Try again in a few seconds.",
}
_LOOKS_LIKE = {
    Kind.API_KEY: "This looks like an account API key. Send it as `X-API-Key: <key>` or `Authorization: Bearer <key>`.",
    Kind.PRIVATE_APP: "This looks like a private app's access token. Send it as `Authorization: Bearer <token>`.",
    Kind.CONNECTED_APP: "This looks like an OAuth access token. Send it as `Authorization: Bearer <token>`.",
}
_CATEGORIES = {
    400: "VALIDATION_ERROR",
    401: "INVALID_AUTHENTICATION",
    403: "ACCESS_DENIED",
    429: "RATE_LIMITS",
    503: "SERVICE_UNAVAILABLE",
}
_APPS_PAGES = {Kind.PRIVATE_APP: "private-apps", Kind.CONNECTED_APP: "connected-apps"}
_POLICIES = {Reason.BURST_LIMIT: "TEN_SECONDLY_ROLLING", Reason.DAILY_LIMIT: "DAILY"}


def body(
    reason: Reason, request_id: bytes, *, kind: Kind | None = None, slug: str = "", ruling: Ruling = PASSES
) -> bytes:
    """The JSON of a refusal.

    :param kind: of the credential, or what a secret in the wrong place looks like; `slug`: the account's, where the
        caller has proved it; `ruling`: which scopes are missing.
    """
    if reason is Reason.MISSING_SCOPES:
        said = _of_scopes(kind, slug, ruling)
    else:
        said = _body(reason, kind if reason is Reason.WRONG_TRANSPORT else None, slug)
    return said.replace(_REQUEST_ID.encode(), request_id)


@cache
def _message(reason: Reason, kind: Kind | None) -> str:
    return _LOOKS_LIKE[kind] if kind is not None else _MESSAGES.get(reason, _INVALID)


def _body(reason: Reason, kind: Kind | None, slug: str) -> bytes:
    said = {
        "status": "error",
        "message": _message(reason, kind),
        "correlationId": _REQUEST_ID,
        "category": _CATEGORIES[STATUS[reason]],
    }
    if reason in _POLICIES:
        said |= {"errorType": "RATE_LIMIT", "policyName": _POLICIES[reason], "requestId": _REQUEST_ID}
    links = {"api key": _key_page(slug)}
    if reason in _ENDED:
        links["migration"] = migration_page()
    return json.dumps(said | {"links": links}).encode()


def _of_scopes(kind: Kind | None, slug: str, ruling: Ruling) -> bytes:
    """What HubSpot's API answers, its members included."""
    needed = "These scopes are required, or others." if ruling.either else "All of these scopes are required."
    said = {
        "status": "error",
        "message": _MESSAGES[Reason.MISSING_SCOPES],
        "correlationId": _REQUEST_ID,
        "category": "MISSING_SCOPES",
        "errors": [{"message": needed, "context": {"requiredGranularScopes": ruling.scopes}}],
        "links": {"scopes": f"{settings.SITE_ORIGIN}/accounts/{slug}/{_APPS_PAGES.get(kind or Kind.PRIVATE_APP, '')}/"},
    }
    return json.dumps(said).encode()


def _key_page(slug: str) -> str:
    """The account's key page; the portal itself where the call has not proved whose it is."""
    return f"{settings.SITE_ORIGIN}/accounts/{slug}/api-key/" if slug else f"{settings.SITE_ORIGIN}/"


def sunset_lines(reason: Reason, sunset: Announced | None) -> bytes:
    """The headers of an announced end, on every refusal that may tell whose key it was."""
    return sunset.headers if sunset and reason not in _WITHOUT_SUNSET else b""


def headers(reason: Reason, *, retry_after: int, scopes: Sequence[str] = ()) -> list[tuple[str, str]]:
    """WWW-Authenticate (RFC 6750, 3) and Retry-After, where they belong.

    :param scopes: that the call needs, of scope-tokens' characters (RFC 6749, 3.3).
    """
    status = STATUS[reason]
    if status == 401:  # noqa: PLR2004 -- the status is its name
        challenge = "Bearer" if reason is Reason.NO_CREDENTIAL else 'Bearer error="invalid_token"'
        return [("WWW-Authenticate", challenge)]
    if reason is Reason.MISSING_SCOPES:
        return [("WWW-Authenticate", f'Bearer error="insufficient_scope", scope="{" ".join(scopes)}"')]
    if status in {429, 503}:
        return [("Retry-After", str(retry_after))]
    return []
