"""Why a call was refused, as the call log and the metrics name it."""

from enum import StrEnum


class Reason(StrEnum):
    """Empty: accepted."""

    ACCEPTED = ""
    # Recognised without asking the store:
    NO_CREDENTIAL = "no_credential"
    TWO_CREDENTIALS = "two_credentials"
    BAD_CREDENTIAL = "bad_credential"  # holds a NUL
    MALFORMED = "malformed"
    WRONG_KIND = "wrong_kind"  # a refresh token where an access token belongs
    WRONG_TRANSPORT = "wrong_transport"  # a secret in a place where its kind does not belong
    QUERY_NOT_ALLOWED = "query_not_allowed"
    # Judged by what the store says:
    UNKNOWN = "unknown"
    PREPARED = "prepared"  # for a planned rotation: no key yet
    ROTATED = "rotated"
    DEACTIVATED = "deactivated"
    SUNSET = "sunset"  # API keys are past their announced end
    BROWNOUT = "brownout"  # and, for a few announced minutes, before it
    SUSPENDED = "suspended"
    CLOSED = "closed"
    MISSING_SCOPES = "missing_scopes"
    UNKNOWN_ROUTE = "unknown_route"  # not in the API's document, and API_UNKNOWN_ROUTES=refuse
    BURST_LIMIT = "burst_limit"
    DAILY_LIMIT = "daily_limit"
    STORE_UNAVAILABLE = "store_unavailable"


STATUS = {
    Reason.NO_CREDENTIAL: 401,
    Reason.TWO_CREDENTIALS: 400,
    Reason.BAD_CREDENTIAL: 400,
    Reason.MALFORMED: 401,
    Reason.WRONG_KIND: 401,
    Reason.WRONG_TRANSPORT: 401,
    Reason.QUERY_NOT_ALLOWED: 401,
    Reason.UNKNOWN: 401,
    Reason.PREPARED: 401,
    Reason.ROTATED: 401,
    Reason.DEACTIVATED: 401,
    Reason.SUNSET: 401,
    Reason.BROWNOUT: 401,
    Reason.SUSPENDED: 403,
    Reason.CLOSED: 403,
    Reason.MISSING_SCOPES: 403,
    Reason.UNKNOWN_ROUTE: 403,
    Reason.BURST_LIMIT: 429,
    Reason.DAILY_LIMIT: 429,
    Reason.STORE_UNAVAILABLE: 503,
}

LIMITS = frozenset((Reason.BURST_LIMIT, Reason.DAILY_LIMIT))
