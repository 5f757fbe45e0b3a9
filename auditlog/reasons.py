"""Why a call was refused, in words for people. The names are the gate's (`Call.reason`)."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

REASONS: dict[str, Promise | str] = {
    "": "",
    "no_credential": _("No credential was sent"),
    "two_credentials": _("Two different credentials were sent"),
    "bad_credential": _("The credential held a NUL character"),
    "malformed": _("Not a well-formed credential"),
    "wrong_kind": _("A refresh token where an access token belongs"),
    "wrong_transport": _("The credential was sent in the wrong place"),
    "query_not_allowed": _("Keys in the address are not allowed"),
    "unknown": _("Unknown credential"),
    "rotated": _("The key was rotated away"),
    "deactivated": _("The key was deactivated"),
    "suspended": _("The account is suspended"),
    "closed": _("The account is closed"),
    "burst_limit": _("Too many calls in 10 seconds"),
    "daily_limit": _("The day’s calls are used up"),
    "store_unavailable": _("The store could not be asked"),
}


def why_refused(reason: str) -> Promise | str:
    """The words for a `Call.reason`; a reason that has none speaks for itself."""
    return REASONS.get(reason, reason.replace("_", " "))
