"""Request -> the credential that it presents, or what is wrong with how it presents one.

Transports: `Authorization: Bearer <secret>` (RFC 6750, 2.1; the scheme in any case), `X-API-Key: <secret>`, and where
API_KEY_QUERY_PARAM names it a query parameter. An empty one counts as absent: some clients send `Bearer ` beside it.
"""

import re
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import NamedTuple
from urllib.parse import unquote_plus

from django.conf import settings

from apikeys import secrets
from apikeys.gate.reasons import Reason
from apikeys.secrets import Kind

QUERY_PARAM = "hapikey"  # recognised even where it is not let in, to be told apart from a call without credential
BLANKS = " \t"


class Place(Enum):
    """Where in the request a secret was."""

    BEARER = auto()
    BARE = auto()  # Authorization with another scheme than Bearer, or none
    HEADER = auto()  # X-API-Key
    QUERY = auto()


ACCEPTED_IN = {
    Place.BEARER: {Kind.API_KEY, Kind.PRIVATE_APP, Kind.CONNECTED_APP},
    Place.BARE: frozenset[Kind](),
    Place.HEADER: {Kind.API_KEY},
    Place.QUERY: {Kind.API_KEY},
}


class Presented(NamedTuple):
    """A well-formed secret, or the reason why the call presents none."""

    secret: str = ""
    reason: Reason = Reason.ACCEPTED
    kind: Kind | None = None  # what the secret looks like, if it looks like one
    in_query: bool = False

    def __repr__(self) -> str:  # the secret must not reach a log or a traceback
        return f"Presented(kind={self.kind}, reason={self.reason!r}, in_query={self.in_query})"


def presented(*, authorization: Sequence[str], api_key: Sequence[str], query: str) -> Presented:
    """Judge by text alone, without asking the store.

    :param authorization: every Authorization header's value; likewise `api_key` for X-API-Key.
    :param query: as received, percent-encoded, without the question mark.
    """
    if len(authorization) > 1:
        return Presented(reason=Reason.TWO_CREDENTIALS)
    is_bearer, token = _token(authorization[0]) if authorization else (False, "")
    keys = {value.strip(BLANKS) for value in api_key} - {""}
    in_query = _in_query(query) if "=" in query else set()
    different = {token} - {""} | keys | in_query
    if len(different) > 1:
        return Presented(reason=Reason.TWO_CREDENTIALS)
    if not different:
        return Presented(reason=Reason.NO_CREDENTIAL)
    by_query = bool(in_query) and not keys and not token
    if by_query and not settings.API_KEY_QUERY_PARAM:
        return Presented(reason=Reason.QUERY_NOT_ALLOWED, in_query=True)
    place = Place.BEARER if is_bearer and token else Place.BARE if token else Place.QUERY if by_query else Place.HEADER
    return _recognised(different.pop(), place)


def may_hold_secret(param: str) -> Callable[[bytes], object]:
    """What tells cheaply that `presented` has to look at a target's query: a name that it looks for, or an encoding."""
    names = {QUERY_PARAM, param} - {""}
    return re.compile(b"|".join([b"[%+]", *(re.escape(name.encode()) for name in sorted(names))])).search


def _token(authorization: str) -> tuple[bool, str]:
    """Whether the scheme is Bearer, and the token; of another scheme the whole value, which is then refused."""
    value = authorization.strip(BLANKS)
    scheme, _, token = value.partition(" ")
    return (True, token.strip(BLANKS)) if scheme.lower() == "bearer" else (False, value)


def _in_query(query: str) -> set[str]:
    names = {QUERY_PARAM, settings.API_KEY_QUERY_PARAM} - {""}
    items = (item.partition("=") for item in query.split("&"))
    return {unquote_plus(value).strip(BLANKS) for name, _, value in items if unquote_plus(name) in names} - {""}


def _recognised(text: str, place: Place) -> Presented:
    in_query = place is Place.QUERY
    if "\0" in text:
        return Presented(reason=Reason.BAD_CREDENTIAL, in_query=in_query)
    kind = secrets.kind_of(text)
    if kind is None:
        return Presented(reason=Reason.MALFORMED, in_query=in_query)
    if kind in ACCEPTED_IN[place]:
        return Presented(secret=text, kind=kind, in_query=in_query)
    reason = Reason.WRONG_KIND if kind is Kind.REFRESH else Reason.WRONG_TRANSPORT
    return Presented(reason=reason, kind=kind, in_query=in_query)
