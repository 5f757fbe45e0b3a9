"""An announced end of account API keys, as a decision needs it: when calls are refused, and which headers say so.

All times are Unix seconds by the database's clock. The moment of a decision is made of that clock's time in the newest
answer, and of the seconds since the question was sent, by a clock that never goes back (`apikeys.gate.clock`): so no
wall clock of a gate, however wrong, lets a key in after its end.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from math import inf

from django.conf import settings

from apikeys.gate.reasons import Reason

MIGRATION_PATH = "/migrate/"
Windows = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Announced:
    """What counts for an account's key; for all that belong to no account, what counts for everybody's."""

    announced_at: float
    ends_at: float  # no call is accepted from then on; inf: only the creation of keys ends
    brownouts: Windows  # from and until when calls are refused before that, in order

    def refuses(self, at: float) -> Reason:
        """Why a call of that moment is refused, if it is."""
        if at >= self.ends_at:
            return Reason.SUNSET
        return Reason.BROWNOUT if any(start <= at < end for start, end in self.brownouts) else Reason.ACCEPTED

    def next_refusal(self, at: float) -> float:
        """When calls are refused next, from that moment on; in the past where they are refused now."""
        return next((start for start, end in self.brownouts if at < end), self.ends_at)

    @property
    def deprecation(self) -> bytes:
        """RFC 9745."""
        return f"Deprecation: @{int(self.announced_at)}\r\n".encode()

    @property
    def headers(self) -> bytes:
        """With the end of calls (RFC 8594) where there is one, and the page that says what to use instead."""
        sunset = f"Sunset: {formatdate(self.ends_at, usegmt=True)}\r\n" if self.ends_at < inf else ""
        return self.deprecation + f'{sunset}Link: <{migration_page()}>; rel="sunset"\r\n'.encode()


def migration_page() -> str:
    return f"{settings.SITE_ORIGIN}{MIGRATION_PATH}"


@lru_cache(maxsize=1024)
def announced(announced_at: datetime | str, ends_at: datetime | str | None, brownouts: str) -> Announced:
    """Of a row's columns; one object for all credentials that a row counts for."""
    windows = tuple((_unix(start), _unix(end)) for start, end in json.loads(brownouts))
    return Announced(_unix(announced_at), inf if ends_at is None else _unix(ends_at), windows)


def _unix(at: datetime | str) -> float:
    """SQLite keeps times as text, without saying that they are UTC."""
    time = datetime.fromisoformat(at) if isinstance(at, str) else at
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
