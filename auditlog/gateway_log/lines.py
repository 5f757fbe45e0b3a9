"""One line of a gateway's access log -> what it tells of a call. Nothing else of a line is kept, logged or repeated."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from auditlog.usage import CALLS_KEPT_FOR

LINE_LIMIT = 65_536  # bytes; Caddy logs all headers of an answer
LONGEST_US = 2**31 - 1  # of the column, 36 minutes; longer calls are shown as this long
LARGEST = 2**63 - 1
AHEAD = timedelta(minutes=10)  # a gateway's clock may be this wrong

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
Said = Mapping[str, Any]


class Completion(NamedTuple):
    """What became of a call."""

    request_id: UUID
    ended_at: float  # Unix time
    status: int
    duration_us: int
    size: int  # bytes of the answer's body

    @property
    def began_at(self) -> float:
        return self.ended_at - self.duration_us / 1e6


class BadLineError(Exception):
    """The line tells nothing of a call; the text is one of a few words, never the line's own."""


def completion(line: bytes, *, now: datetime) -> Completion | None:
    """Read a line; None if it is of a call that the gate was not asked about, and so has no request id.

    Three shapes are known, each a JSON object: Caddy's, Traefik's, and ours, which `deploy/` has nginx and Envoy write
    and which is for everybody else:
    `{"request_id": UUID, "status": 200, "seconds": 0.012, "bytes": 512, "time": 1764115200.5}`, where `milliseconds`
    may stand for `seconds`, `time` may be missing or in ISO 8601, and `started`, when the call began, may stand for it.
    A syslog header (RFC 3164) may precede.

    :raises BadLineError: if it is none of these.
    """
    said = _parsed(line)
    if "resp_headers" in said:
        identity, status, duration, size, at = _caddy(said)
    elif "DownstreamStatus" in said:
        identity, status, duration, size, at = _traefik(said)
    else:
        identity, status, duration, size, at = _own(said)
    if identity in (None, "", "-"):
        return None
    took = min(int(_number(duration, "duration", 0, math.inf)), LONGEST_US)
    ended_at = _instant(at, now) + (took / 1e6 if "started" in said else 0.0)
    return Completion(
        _uuid(identity),
        ended_at,
        int(_number(status, "status", 100, 599)),
        took,
        int(_number(size, "size", 0, LARGEST)),
    )


def _parsed(line: bytes) -> Said:
    if line.startswith(b"<"):  # syslog: <priority>timestamp host tag: message
        line = line[line.find(b"{") :]
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLineError("json") from None
    if not isinstance(said, dict):
        raise BadLineError("json")
    return said


def _own(said: Said) -> tuple[Any, ...]:
    seconds, milliseconds = said.get("seconds"), said.get("milliseconds")
    duration = _times(seconds, 1e6) if seconds is not None else _times(milliseconds, 1e3)
    at = said["started"] if "started" in said else said.get("time")
    return said.get("request_id"), said.get("status"), duration, said.get("bytes"), at


def _caddy(said: Said) -> tuple[Any, ...]:
    headers = said["resp_headers"]
    values = headers.get("X-Request-Id") if isinstance(headers, dict) else None
    identity = values[0] if isinstance(values, list) and values else None
    return identity, said.get("status"), _times(said.get("duration"), 1e6), said.get("size"), said.get("ts")


def _traefik(said: Said) -> tuple[Any, ...]:
    identity = said.get("request_X-Request-Id") or said.get("downstream_X-Request-Id")
    size = said.get("DownstreamContentSize")
    return identity, said["DownstreamStatus"], _times(said.get("Duration"), 1e-3), size, said.get("time")


def _times(value: Any, factor: float) -> Any:
    return value * factor if isinstance(value, int | float) and not isinstance(value, bool) else value


def _number(value: Any, what: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:  # NaN is not either
        raise BadLineError(what)
    if math.isinf(value):
        raise BadLineError(what)
    return value


def _uuid(text: Any) -> UUID:
    if not isinstance(text, str) or not _UUID.fullmatch(text):
        raise BadLineError("request_id")
    return UUID(text)


def _instant(value: Any, now: datetime) -> float:
    """Unix time. The log keeps calls for seven days: what ended before has no row any more.

    :raises BadLineError: for an instant before that, or in the future.
    """
    if value is None:
        return now.timestamp()
    latest = (now + AHEAD).timestamp()
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
            value = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            raise BadLineError("time") from None
    return _number(value, "time", (now - CALLS_KEPT_FOR).timestamp(), latest)
