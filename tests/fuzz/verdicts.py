"""What the gate must say to a request that is well-formed as HTTP, from the pages that promise it and nothing of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_plus

from tests.fuzz import bench

if TYPE_CHECKING:
    from tests.fuzz.strict import Request

BAD_REQUEST, NOT_ALLOWED, TOO_LARGE, TOO_LONG, HEAD_TOO_LARGE = 400, 405, 413, 414, 431

_ONCE = (b"host", b"x-original-method", b"x-original-uri", b"x-forwarded-method", b"x-forwarded-uri", b"x-gateway")
_HOST = re.compile(rb"(?:testserver|localhost|127\.0\.0\.1)\.?(?::[0-9]+)?", re.IGNORECASE)
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE)
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,16}")
_OF_NGINX = {401, 403}
_PAGES = (b"/livez", b"/readyz", b"/metrics")


class Verdict(NamedTuple):
    status: int
    is_last: bool = False  # the connection ends with it


def verdict(request: Request) -> Verdict:
    """The answer's status."""
    of_bounds = _of_bounds(request)
    if of_bounds:
        return Verdict(of_bounds, is_last=True)
    status = _of_http(request)
    if status:
        return Verdict(_to_nginx(request, status), is_last=True)
    path = _path(request)
    if path == b"/check" or path.startswith((b"/check/", b"/check?")):
        status = _of_call(request, path)
        is_last = status < 0  # a mistake in how the gateway asks
        return Verdict(_to_nginx(request, abs(status)), is_last=is_last or not request.keeps)
    return Verdict(_of_page(request, path), is_last=not request.keeps)


def _of_bounds(request: Request) -> int:
    if request.body > 1_048_576:
        return TOO_LARGE
    if len(request.target) > 4_096:
        return TOO_LONG
    if len(request.fields) + len(request.trailers) > 100 or request.size > 8_192:
        return HEAD_TOO_LARGE
    return 0


def _of_http(request: Request) -> int:
    hosts = request.values(b"host")
    if any(len(request.values(name)) > 1 for name in _ONCE) or not hosts or not _HOST.fullmatch(hosts[0]):
        return BAD_REQUEST
    if not request.target.startswith(b"/"):
        absolute = _ABSOLUTE.fullmatch(request.target)
        if absolute is None or not _HOST.fullmatch(absolute[1]):
            return BAD_REQUEST
    return NOT_ALLOWED if request.method in {b"TRACE", b"CONNECT"} else 0


def _path(request: Request) -> bytes:
    absolute = _ABSOLUTE.fullmatch(request.target)
    return (absolute[2] or b"/") if absolute and not request.target.startswith(b"/") else request.target


def _one(request: Request, *names: bytes) -> bytes:
    return next((value for name in names for value in request.values(name) if value), b"")


def _of_call(request: Request, path: bytes) -> int:
    """The status; below zero if what is wrong is the gateway's request, not the call."""
    target = _one(request, b"x-original-uri", b"x-forwarded-uri")
    method = b"GET"
    if target:
        method = _one(request, b"x-original-method", b"x-forwarded-method") or method
    elif path != b"/check":
        target, method = path[len(b"/check") :], request.method
    if not _METHOD.fullmatch(method):
        return -BAD_REQUEST
    return _of_credentials(request, target)


def _of_credentials(request: Request, target: bytes) -> int:
    """Exactly one credential, in a place where its kind belongs, or none of it counts."""
    authorizations = request.values(b"authorization")
    if len(authorizations) > 1:
        return BAD_REQUEST
    bearer = other = b""
    for value in authorizations:
        scheme, _, token = value.partition(b" ")
        if scheme.lower() == b"bearer":
            bearer = token.strip(b" \t")
        else:
            other = value
    keys = {value for value in request.values(b"x-api-key") if value}
    items = [item.partition("=") for item in target.partition(b"?")[2].decode("latin-1").split("&")]
    in_query = {unquote_plus(value).strip(" \t") for name, _, value in items if unquote_plus(name) == "hapikey"} - {""}
    texts = {one.decode("latin-1") for one in {bearer, other, *keys} if one} | in_query
    if len(texts) > 1:
        return BAD_REQUEST
    good = {bench.KEY, bench.LATE} | ({bench.APP} if bearer else set())
    in_header = bool(bearer or keys)
    if texts and in_header and not other and texts <= good:
        return 204
    has_nul = bool(bearer or other or keys) and any("\0" in text for text in texts)
    return BAD_REQUEST if has_nul else 401


def _of_page(request: Request, path: bytes) -> int:
    name = path.partition(b"?")[0]
    if name not in _PAGES:
        return 404
    if request.method not in {b"GET", b"HEAD"}:
        return NOT_ALLOWED
    forwarded = any(
        field.startswith(b"x-forwarded-") or field in {b"forwarded", b"x-real-ip"} for field, _ in request.fields
    )
    return 403 if name == b"/metrics" and forwarded else 200


def _to_nginx(request: Request, status: int) -> int:
    """Its auth_request makes 500 of every refusal but two."""
    is_nginx = request.values(b"x-gateway") == [b"nginx"]
    return 403 if is_nginx and status >= 400 and status not in _OF_NGINX else status
