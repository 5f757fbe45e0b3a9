"""Calls as rows: cleaned, and stored many at a time."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from time import gmtime, strftime
from typing import Any

from django.db import connection

from auditlog.callers import network, product_token, route_of
from auditlog.models import Call as CallModel
from auditlog.models import DailyUsage, LastUse
from auditlog.upserts import Row, Upsert

# Whom a call concerns: account, kind and id (32 hex digits) of the credential; NOBODY if it is unknown.
Who = tuple[int | None, str, str | None]
NOBODY: Who = (None, "", None)

# A call as the queue holds it. It is a plain tuple because making one costs a tenth of any other record:
# who; Unix time; method; path without its query; status; microseconds or None; reason; user agent; address;
# request id as a number; and, of an accepted call, the account's day that it counts for, as an ISO date.
Call = tuple[Who, float, bytes, bytes, int, int | None, str, bytes, str | None, int, str | None]

Usage = Sequence[tuple[int, str, int, int]]  # account, day, calls in the batch, the day's total with them

PATH_LENGTH = 1024
USER_AGENT_LENGTH = 512
METHOD_LENGTH = 16
TEXTS_KEPT = 4_096
PATHS_KEPT = 32_768  # more than a batch has, so that none is cleaned twice
ROWS_A_STATEMENT = 250
LINES_A_WRITE = 250
COLUMNS = (
    "account_id",
    "at",
    "method",
    "path",
    "status",
    "duration_us",
    "reason",
    "credential_kind",
    "credential_id",
    "agent",
    "network",
    "user_agent",
    "address",
    "request_id",
)


class Cleaner:
    """Makes rows of calls: secrets masked, lengths bounded, callers named. Remembers the texts it has seen lately."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self.path = lru_cache(PATHS_KEPT)(lambda raw: _clean(raw, PATH_LENGTH, mask))
        self.caller = lru_cache(TEXTS_KEPT)(lambda raw, address: _caller(_clean(raw, USER_AGENT_LENGTH, mask), address))
        self.route = lru_cache(PATHS_KEPT)(lambda raw: route_of(self.path(raw)))
        self.method = lru_cache(TEXTS_KEPT)(lambda raw: raw[:METHOD_LENGTH].decode("ascii", "replace"))
        self._method_line = lru_cache(TEXTS_KEPT)(lambda raw: _escaped(self.method(raw)))
        self._path_line = lru_cache(PATHS_KEPT)(lambda raw: _escaped(self.path(raw)))
        self._caller_line = lru_cache(TEXTS_KEPT)(lambda *caller: "\t".join(map(_escaped, self.caller(*caller))))

    def cleaned(self, call: Call) -> Sequence[Any]:
        """The call as it may lie on a disk: what could be a secret is masked, and JSON takes it."""
        who, at, method, path, status, duration_us, reason, user_agent, address, request_id, day = call
        return (
            who, at, self.method(method), self.path(path), status, duration_us, reason,
            self.caller(user_agent, address)[2], address, f"{request_id:032x}", day,
        )  # fmt: skip

    def rows(self, calls: Iterable[Call]) -> Iterator[Row]:
        """In the order of COLUMNS."""
        time_of = _Times()
        for who, at, method, path, status, duration_us, reason, user_agent, address, request_id, _ in calls:
            account_id, kind, credential_id = who
            yield (
                account_id,
                time_of(at),
                self.method(method),
                self.path(path),
                status,
                duration_us,
                reason,
                kind,
                credential_id,
                *self.caller(user_agent, address),
                f"{request_id:032x}",
            )

    def lines(self, calls: Iterable[Call]) -> Iterator[str]:
        """The same rows in PostgreSQL's text format of COPY, at a third of what it costs to have them adapted."""
        time_of = _Times()
        for who, at, method, path, status, duration_us, reason, user_agent, address, request_id, _ in calls:
            account_id, kind, credential_id = who
            yield (
                f"{NULL if account_id is None else account_id}\t{time_of(at)}+00\t"
                f"{self._method_line(method)}\t{self._path_line(path)}\t{status}\t"
                f"{NULL if duration_us is None else duration_us}\t{reason}\t{kind}\t{credential_id or NULL}\t"
                f"{self._caller_line(user_agent, address)}\t{request_id:032x}\n"
            )


class _Times:
    """Unix time as text in UTC; the second's part is made once a second."""

    def __init__(self) -> None:
        self._second, self._prefix = -1, ""

    def __call__(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            self._second, self._prefix = second, strftime("%Y-%m-%d %H:%M:%S", gmtime(second))
        return f"{self._prefix}.{int((at - second) * 1e6) or 1:06}"  # never .000000, which Django writes another way


LAST_USES = Upsert(LastUse, ("credential_id",), {"at": "greatest"})
DAYS = Upsert(DailyUsage, ("account_id", "day"), {"calls": "+"}, returns=True)

NULL = "\\N"
_SPECIAL = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _escaped(text: str | None) -> str:
    if text is None:
        return NULL
    # Printable text without a backslash, which is nearly all, holds nothing special; to see that takes a fifth as long.
    return text if text.isprintable() and "\\" not in text else text.translate(_SPECIAL)


def _caller(user_agent: str, address: str | None) -> tuple[str, str, str, str | None]:
    """The columns from agent to address."""
    return product_token(user_agent), network(address), user_agent, address


def _clean(raw: bytes, length: int, mask: Callable[[str], str]) -> str:
    text = raw.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return (mask(text) if "_" in text or "%" in text else text)[:length]


def store_calls(cleaner: Cleaner, calls: Iterable[Call]) -> None:
    """Past Django's cursors, which know no COPY and adapt values; errors are Django's all the same."""
    with connection.wrap_database_errors:
        _store_calls(cleaner, calls)


def _store_calls(cleaner: Cleaner, calls: Iterable[Call]) -> None:
    if connection.vendor == "postgresql":
        _copy(cleaner.lines(calls))
        return
    # The interpreter is let go of once a statement, not once a row: calls would otherwise wait for it at each row.
    waiting = iter(cleaner.rows(calls))
    while part := list(islice(waiting, ROWS_A_STATEMENT)):
        connection.connection.execute(_insert(len(part)), list(chain.from_iterable(part)))


@lru_cache(maxsize=ROWS_A_STATEMENT)
def _insert(rows: int) -> str:
    marks = ", ".join([f"({', '.join('?' * len(COLUMNS))})"] * rows)
    return f"INSERT INTO {CallModel._meta.db_table} ({', '.join(COLUMNS)}) VALUES {marks}"  # noqa: S608 -- names of our own


def _copy(lines: Iterator[str]) -> None:
    """COPY, an order of magnitude cheaper than INSERT. The store takes lines in while we write the next ones."""
    statement = f"COPY {CallModel._meta.db_table} ({', '.join(COLUMNS)}) FROM STDIN"
    with connection.cursor() as cursor, cursor.cursor.copy(statement) as copy:
        while part := list(islice(lines, LINES_A_WRITE)):
            copy.write("".join(part))


def store_last_uses(calls: Iterable[Call]) -> None:
    """Keep when each credential was last accepted."""
    last = {who[2]: at for who, at, *_, day in calls if day is not None}
    text = timestamps()
    LAST_USES.run([(credential, text(at)) for credential, at in last.items() if credential])


def raise_usage(calls: Iterable[Call], *, by_nothing: bool = False) -> Usage:
    """Add accepted calls to their accounts' days and bring back the totals.

    :param by_nothing: they were added before; bring back the totals alone.
    """
    counted = Counter((call[0][0], call[-1]) for call in calls if call[-1] is not None)
    totals = DAYS.run([(account, day, 0 if by_nothing else number) for (account, day), number in counted.items()])
    return [(account, str(day), counted[account, str(day)], total) for account, day, total in totals]


def timestamps() -> Callable[[float], str]:
    """What makes the store's text of a Unix time, the same as in a call's row."""
    text, zone = _Times(), "+00" if connection.vendor == "postgresql" else ""
    return lambda at: f"{text(at)}{zone}"
