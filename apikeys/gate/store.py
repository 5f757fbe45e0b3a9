"""What the gate asks the store: one statement each, so that what it brings belongs to one moment (G1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error as StoreError
from django.db.utils import OperationalError

from apikeys.gate.announced import Announced, announced
from apikeys.gate.clock import boot_seconds
from apikeys.gate.routes import EVERYTHING, Scopes
from apikeys.secrets import Kind

__all__ = ["Base", "Credential", "Read", "StoreError", "read_credentials", "read_usage"]


@dataclass(frozen=True, slots=True)
class Base:
    """The newest revision that was seen, and its mark; None: not known."""

    revision: int | None = None
    mark: int | None = None


NOTHING_SEEN = Base()


@dataclass(frozen=True, slots=True)
class Credential:
    """What a decision needs to know of a credential and its account."""

    digest: bytes
    id: UUID
    kind: Kind
    end: str  # how it ended: rotated, deactivated; or that it is only prepared; empty: active
    scopes: Scopes
    account_id: int
    account_number: int
    account_slug: str
    account_state: str
    burst_limit: int  # calls in any 10 seconds
    daily_limit: int
    time_zone: str
    sunset: Announced | None = None  # what counts for it


@dataclass(frozen=True, slots=True)
class Read:
    """What the store held at one moment: those of the digests that it knows."""

    base: Base  # by which it was asked
    has_base: bool  # the store had that change then: nothing that was seen before is missing from what it said
    credentials: dict[bytes, Credential]
    sunset: Announced | None  # what counts for keys that belong to nobody
    asked_at: float  # boot seconds, taken before it was sent
    said: float  # Unix seconds by the store's clock, read after that


# What a planned rotation prepared is found for the call log alone: it counts once it is a key.
_READ = """
    SELECT r.number, b.mark, {in_recovery}, {unix_time},
           e.announced_at, e.authentication_ends_at, e.brownouts,
           s.announced_at, s.authentication_ends_at, s.brownouts,
           k.digest, k.id, k."end",
           a.id, a.number, a.slug, a.state, a.burst_limit, a.daily_limit, a.time_zone
    FROM (SELECT COALESCE(MAX(number), 0) AS number FROM accounts_revision) r
    LEFT JOIN accounts_change b ON b.revision = %s
    LEFT JOIN apikeys_sunset e ON e.withdrawn_at IS NULL AND e.group_id IS NULL
    LEFT JOIN (
        SELECT digest, id, "end", account_id FROM apikeys_apikey WHERE digest IN ({digests})
        UNION ALL SELECT digest, id, 'prepared', account_id FROM apikeys_rotationplan WHERE digest IN ({digests})
    ) k ON TRUE
    LEFT JOIN accounts_account a ON a.id = k.account_id
    LEFT JOIN accounts_groupedaccount g ON g.account_id = k.account_id
    LEFT JOIN apikeys_sunset s ON s.withdrawn_at IS NULL AND s.group_id = g.group_id
"""
_EVERYBODYS, _GROUPS, _KEY = slice(4, 7), slice(7, 10), slice(10, None)  # columns of an answer


def read_credentials(store: BaseDatabaseWrapper, digests: Sequence[bytes], base: Base = NOTHING_SEEN) -> Read:
    """Look digests up.

    :param base: what the store is to have; for who keeps nothing, nothing.
    :raises StoreError: if the store cannot be asked, or is one that only follows another.
    """
    marks = ", ".join(["%s"] * len(digests))
    asked = _READ.format(in_recovery=in_recovery(store), unix_time=unix_time(store), digests=marks)
    asked_at = boot_seconds()
    with store.cursor() as cursor:
        cursor.execute(asked, [base.revision, *digests, *digests])
        rows = cursor.fetchall()
    number, mark, following, said = rows[0][:4]
    if following:
        raise OperationalError("The store is in recovery: it may lack the newest changes.")
    everybodys = _sunset(*rows[0][_EVERYBODYS])
    found = (_api_key(everybodys, row[_GROUPS], *row[_KEY]) for row in rows if row[_KEY][0] is not None)
    has_base = mark == base.mark and number >= (base.revision or 0)
    return Read(base, has_base, {credential.digest: credential for credential in found}, everybodys, asked_at, said)


def _api_key(
    everybodys: Announced | None, groups: Sequence[Any], digest: bytes, key_id: UUID | str, end: str, *account: Any
) -> Credential:
    """A key that has ended belongs to nobody any more: its answers are those of one that never was."""
    identity = key_id if isinstance(key_id, UUID) else UUID(key_id)  # SQLite keeps it as text
    sunset = everybodys if end else _sunset(*groups) or everybodys
    return Credential(bytes(digest), identity, Kind.API_KEY, end, EVERYTHING, *(*account, sunset))


def _sunset(announced_at: datetime | str | None, ends_at: datetime | str | None, brownouts: str) -> Announced | None:
    return announced(announced_at, ends_at, brownouts) if announced_at is not None else None


def in_recovery(store: BaseDatabaseWrapper) -> str:
    """SQL that says whether this is a standby, which may lack the newest changes."""
    return "pg_is_in_recovery()" if store.vendor == "postgresql" else "FALSE"


def unix_time(store: BaseDatabaseWrapper) -> str:
    """SQL for the store's own clock, as it stands while it answers: seconds, never too little.

    SQLite, which is on this machine, cuts its clock to the millisecond.
    """
    if store.vendor == "postgresql":
        return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS double precision)"
    return "(julianday('now') - 2440587.5) * 86400.0 + 0.002"


def read_usage(store: BaseDatabaseWrapper, days: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """Accepted calls by account and day, as far as they are stored; days without one are left out.

    :raises StoreError: if the store cannot be asked.
    """
    asked = list(days)
    if not asked:
        return {}
    either = " OR ".join(["(account_id = %s AND day = %s)"] * len(asked))
    with store.cursor() as cursor:
        cursor.execute(
            f"SELECT account_id, day, calls FROM auditlog_dailyusage WHERE {either}",  # noqa: S608 -- placeholders alone
            [value for day in asked for value in day],
        )
        return {(account_id, str(day)): calls for account_id, day, calls in cursor.fetchall()}
