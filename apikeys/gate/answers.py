"""Answers as bytes, ready to be sent."""

import json
from http import HTTPStatus
from uuid import UUID

from apikeys.gate import refusals
from apikeys.gate.reasons import STATUS, Reason
from apikeys.gate.routes import PASSES, Ruling
from apikeys.secrets import Kind

NGINX_TAKES = {401, 403}  # nginx's auth_request makes 500 of every refusal but these

_CATEGORY = {503: "SERVICE_UNAVAILABLE"}


def answer(
    status: int, headers: list[tuple[str, str]], body: bytes, *, head: bool = False, close: bool = False
) -> bytes:
    """One HTTP/1.1 answer (RFC 9112); `head`: to a HEAD request, which gets no body."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else body)


def with_close(made: bytes) -> bytes:
    """The same answer, as the last of its connection (RFC 9112, 9.6)."""
    return made.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


def json_answer(status: int, said: object, *, head: bool = False) -> bytes:
    return answer(status, [("Content-Type", "application/json")], json.dumps(said).encode(), head=head)


def mistake(
    status: int, message: str, *, request_id: str, nginx: bool = False, head: bool = False, close: bool = True
) -> bytes:
    """A request that is wrong as HTTP, in the one error body of the API."""
    said = {
        "status": "error",
        "message": message,
        "correlationId": request_id,
        "category": _CATEGORY.get(status, "VALIDATION_ERROR"),
    }
    body = json.dumps(said).encode()
    headers = [("Content-Type", refusals.CONTENT_TYPE), ("X-Request-Id", request_id)]
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
    status = _for_nginx(status, headers, body) if nginx else status
    return answer(status, headers, body, head=head, close=close)


def refusal(
    reason: Reason,
    request_id: bytes,
    *,
    kind: Kind | None = None,
    slug: str = "",
    retry_after: int = refusals.STORE_RETRY_SECONDS,
    lines: bytes = b"",
    ruling: Ruling = PASSES,
    nginx: bool = False,
    head: bool = False,
) -> bytes:
    """A refused call's answer.

    :param lines: more headers, such as the account's limits; each line with its CRLF.
    """
    body = refusals.body(reason, request_id, kind=kind, slug=slug, ruling=ruling)
    headers = [("Content-Type", refusals.CONTENT_TYPE), ("X-Request-Id", request_id.decode())]
    headers += refusals.headers(reason, retry_after=retry_after, scopes=ruling.scopes)
    headers += [(name, value) for name, _, value in (line.partition(": ") for line in lines.decode().splitlines())]
    status = _for_nginx(STATUS[reason], headers, body) if nginx else STATUS[reason]
    return answer(status, headers, body, head=head)


def refusal_of_anybody(reason: Reason, *, kind: Kind | None = None, nginx: bool = False, head: bool = False) -> bytes:
    """The same where it depends on no account, to be made once: `ANY_REQUEST_ID` in it is replaced by the call's."""
    return refusal(reason, ANY_REQUEST_ID, kind=kind, nginx=nginx, head=head)


ANY_REQUEST_ID = str(UUID(int=0)).encode()  # as long as each, so that Content-Length holds


def _for_nginx(status: int, headers: list[tuple[str, str]], body: bytes) -> int:
    """Put status and body into headers, which is all that nginx hands on, and make the status one that it takes."""
    headers.append(("X-Refusal-Body", body.decode()))
    if status in NGINX_TAKES:
        return status
    headers.append(("X-Refusal-Status", str(status)))
    return 403
