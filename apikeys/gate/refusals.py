"""What a refused caller is told: one JSON body for all, and the headers that go with it. Nothing sent is repeated."""

import json
from functools import cache

from django.conf import settings

from apikeys.gate.reasons import STATUS, Reason
from apikeys.secrets import Kind

CONTENT_TYPE = "application/json"
QUERY_DEPRECATION = ("Deprecation", "@1669766400")  # RFC 9745; keys in a query ended then with the dialect's author
STORE_RETRY_SECONDS = 2
_REQUEST_ID = "{request id}"  # stands in a body until it is sent

_INVALID = "The credential is not valid. Take the current API key from the portal, or ask a super admin of the account."
_MESSAGES = {
    Reason.NO_CREDENTIAL: "This call carries no credential. Send the account's API key as `X-API-Key: <key>`, "
    "or any credential as `Authorization: Bearer <secret>`.",
    Reason.TWO_CREDENTIALS: "This call carries two credentials. Send one, in one header: Authorization or X-API-Key.",
    Reason.BAD_CREDENTIAL: "The credential holds a character that no HTTP header may.",
    Reason.QUERY_NOT_ALLOWED: "Credentials in the URL are not accepted here. Send the account's API key as "
    "`X-API-Key: <key>` or as `Authorization: Bearer <key>`.",
    Reason.SUSPENDED: "This account is suspended. Ask the operator of this API.",
    Reason.CLOSED: "This account is closed. Ask the operator of this API.",
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
_POLICIES = {Reason.BURST_LIMIT: "TEN_SECONDLY_ROLLING", Reason.DAILY_LIMIT: "DAILY"}


def body(reason: Reason, request_id: bytes, *, kind: Kind | None = None, slug: str = "") -> bytes:
    """The JSON of a refusal.

    :param kind: what a secret in the wrong place looks like; `slug`: the account's, where the caller has proved it.
    """
    return _body(reason, kind if reason is Reason.WRONG_TRANSPORT else None, slug).replace(
        _REQUEST_ID.encode(), request_id
    )


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
    return json.dumps(said | {"links": {"api key": _key_page(slug)}}).encode()


def _key_page(slug: str) -> str:
    """The account's key page; the portal itself where the call has not proved whose it is."""
    return f"{settings.SITE_ORIGIN}/accounts/{slug}/api-key/" if slug else f"{settings.SITE_ORIGIN}/"


def headers(reason: Reason, *, retry_after: int) -> list[tuple[str, str]]:
    """WWW-Authenticate (RFC 6750, 3) and Retry-After, where they belong."""
    status = STATUS[reason]
    if status == 401:  # noqa: PLR2004 -- the status is its name
        challenge = "Bearer" if reason is Reason.NO_CREDENTIAL else 'Bearer error="invalid_token"'
        return [("WWW-Authenticate", challenge)]
    if status in {429, 503}:
        return [("Retry-After", str(retry_after))]
    return []
