"""`POST /access-log`: lines of a gateway's access log as NDJSON, from whoever has a gateway token. An ASGI application.

Answers in JSON: `{"taken": 12, "left": 1}`; what is left was bad, known or of no call. `/metrics` is for Prometheus.
"""

import asyncio
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector as Metrics

from auditlog import origin

PATH = "/access-log"
BODY_LIMIT = 1_048_576  # bytes
BODY_SECONDS = 10.0
RETRY_SECONDS = "2"
TYPES = frozenset({b"application/x-ndjson", b"application/jsonl", b"application/json", b"text/plain"})
FORWARDING = (b"forwarded", b"x-real-ip", b"x-forwarded-")


class Intake(Protocol):
    """What takes lines in."""

    @property
    def counts(self) -> Mapping[str, int]: ...

    @property
    def has_room(self) -> bool: ...

    def __len__(self) -> int:
        """How many wait for their calls."""

    def take(self, line: bytes) -> bool: ...

    def count(self, outcome: str) -> None: ...


class _Answer(NamedTuple):
    status: HTTPStatus
    body: bytes
    headers: Sequence[tuple[str, str]] = ()
    kind: str = "application/json"


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, message: str, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.answer = _Answer(status, json.dumps({"status": "error", "message": message}).encode(), headers)


class Receiver:
    def __init__(self, intake: Intake, tokens: Sequence[str]) -> None:
        """:param tokens: any of them will do, so that a new one can be brought in before the old one goes."""
        self._intake = intake
        self._tokens = [token.encode() for token in tokens]

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            if scope["path"] == PATH:
                answer = await self._take(scope, receive)
            elif scope["path"] == "/metrics":
                answer = self._metrics(scope)
            else:
                raise _RefusedError(HTTPStatus.NOT_FOUND, f"There is nothing here. Send lines to {PATH}.")  # noqa: TRY301 -- one way out
        except _RefusedError as refusal:
            answer = refusal.answer
        lines = [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body))), *answer.headers]
        headers = [(name.encode(), value.encode()) for name, value in lines]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _take(self, scope: dict[str, Any], receive: Any) -> _Answer:
        headers = dict(scope["headers"])
        if scope["method"] != "POST":
            raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "Lines come by POST.", ("Allow", "POST"))
        self._refuse_stranger(headers.get(b"authorization", b""))
        kind = headers.get(b"content-type", b"text/plain").partition(b";")[0].strip().lower()
        if kind not in TYPES or headers.get(b"content-encoding", b"identity") != b"identity":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Lines come as application/x-ndjson, uncompressed.")
        if not self._intake.has_room:
            why = "More came than the store takes. Send it again."
            raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, why, ("Retry-After", RETRY_SECONDS))
        lines = [line for line in (await _body(receive)).split(b"\n") if line.strip()]
        taken = sum(map(self._intake.take, lines))
        return _Answer(HTTPStatus.OK, json.dumps({"taken": taken, "left": len(lines) - taken}).encode())

    def _refuse_stranger(self, authorization: bytes) -> None:
        scheme, _, token = authorization.partition(b" ")
        known = [hmac.compare_digest(token.strip(), one) for one in self._tokens]
        if scheme.lower() != b"bearer" or not any(known):
            why = "A gateway token is needed: Authorization: Bearer <one of ACCESS_LOG_TOKENS>."
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, why, ("WWW-Authenticate", "Bearer"))

    def _metrics(self, scope: dict[str, Any]) -> _Answer:
        is_forwarded = any(name.startswith(FORWARDING) for name, _ in scope["headers"])
        if is_forwarded or not origin.may_read_metrics((scope["client"] or ("",))[0]):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "Metrics are for loopback and METRICS_ALLOW.")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Counts(self._intake))
        return _Answer(HTTPStatus.OK, generate_latest(registry), kind=CONTENT_TYPE_PLAIN_0_0_4)


async def _body(receive: Any) -> bytes:
    """The request's body, within bounds of size and time."""
    body, more = b"", True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                body, more = body + message.get("body", b""), message.get("more_body", False)
                if len(body) > BODY_LIMIT:
                    why = f"A request holds up to {BODY_LIMIT:,} bytes. Send several."
                    raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why, ("Connection", "close"))
    except TimeoutError:
        why = f"The body did not come within {BODY_SECONDS:.0f} seconds."
        raise _RefusedError(HTTPStatus.REQUEST_TIMEOUT, why, ("Connection", "close")) from None
    return body


class _Counts(Metrics):
    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def collect(self) -> Iterator[Metric]:
        lines = CounterMetricFamily(
            "keyportal_access_log_lines", "Lines of gateways' access logs, by what became of them.", labels=["outcome"]
        )
        for outcome, number in self._intake.counts.items():
            lines.add_metric((outcome,), number)
        yield lines
        yield GaugeMetricFamily("keyportal_access_log_held", "Lines that wait for their call's row.", len(self._intake))
