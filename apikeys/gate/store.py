"""What the gate asks the store: one statement each, so that what it brings belongs to one moment (G1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error as StoreError
from django.db.utils import OperationalError

from apikeys.gate.routes import EVERYTHING, Scopes
from apikeys.secrets import Kind

__all__ = ["Credential", "Read", "StoreError", "read_credentials", "read_usage"]


@dataclass(frozen=True, slots=True)
class Credential:
    """What a decision needs to know of a credential and its account."""

    digest: bytes
    id: UUID
    kind: Kind
    end: str  # how it ended: rotated, deactivated; empty: active
    scopes: Scopes
    account_id: int
    account_number: int
    account_slug: str
    account_state: str
    burst_limit: int  # calls in any 10 seconds
    daily_limit: int
    time_zone: str


@dataclass(frozen=True, slots=True)
class Read:
    """What the store held at one moment: its revision, and those of the digests that it knows."""

    revision: int
    credentials: dict[bytes, Credential]


_READ = """
    SELECT r.number, {in_recovery}, k.digest, k.id, k."end",
           a.id, a.number, a.slug, a.state, a.burst_limit, a.daily_limit, a.time_zone
    FROM (SELECT COALESCE(MAX(number), 0) AS number FROM accounts_revision) r
    LEFT JOIN apikeys_apikey k ON k.digest IN ({digests})
    LEFT JOIN accounts_account a ON a.id = k.account_id
"""


def read_credentials(store: BaseDatabaseWrapper, digests: Sequence[bytes]) -> Read:
    """Look digests up.

    :raises StoreError: if the store cannot be asked, or is one that only follows another.
    """
    marks = ", ".join(["%s"] * len(digests))
    with store.cursor() as cursor:
        cursor.execute(_READ.format(in_recovery=in_recovery(store), digests=marks), digests)
        rows = cursor.fetchall()
    revision, following = rows[0][:2]
    if following:
        raise OperationalError("The store is in recovery: it may lack the newest changes.")
    found = (_api_key(*row[2:]) for row in rows if row[2] is not None)
    return Read(revision, {credential.digest: credential for credential in found})


def _api_key(digest: bytes, key_id: UUID | str, end: str, *account: Any) -> Credential:
    identity = key_id if isinstance(key_id, UUID) else UUID(key_id)  # SQLite keeps it as text
    return Credential(bytes(digest), identity, Kind.API_KEY, end, EVERYTHING, *account)


def in_recovery(store: BaseDatabaseWrapper) -> str:
    """SQL that says whether this is a standby, which may lack the newest changes."""
    return "pg_is_in_recovery()" if store.vendor == "postgresql" else "FALSE"


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
