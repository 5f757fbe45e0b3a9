"""Calls in the binary format of PostgreSQL's COPY: it costs the server about half of what text does.

In this format ("Binary Format" in the manual's page on COPY) a row begins with the number of its columns, and each
value with its length in bytes, -1 for NULL. So the bytes of columns that stand beside each other are one piece, which
can be kept. The order of the columns puts together what comes again together: the credential; how the call ended; who
called. The rows of a batch are its columns of pieces, zipped and joined.
"""

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from itertools import chain, islice, repeat, tee
from operator import methodcaller, sub

from django.db import DataError, connection

from auditlog.binary_forms import EPOCH, NULL, bytes_form, text_form
from auditlog.call_rows import PATH_LENGTH, Batch, Caller, Who
from auditlog.models import Call as CallModel
from auditlog.remembered import Remembered

COLUMNS = (
    *("account_id", "credential_kind", "credential_id"),
    *("method", "status", "duration_us", "reason"),
    "path",
    *("agent", "network", "user_agent", "address"),
    *("at", "request_id"),
)
STATEMENT = f"COPY {CallModel._meta.db_table} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)"

BEGIN = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)  # no flags, no extension
END = struct.pack("!h", -1)
COUNT = struct.pack("!h", len(COLUMNS))  # before each row
LENGTHS = [struct.pack("!i", length) for length in range(4 * PATH_LENGTH + 1)]  # of paths; UTF-8 has up to 4 bytes each
SMALL, INTEGER, BIG = struct.Struct("!ih"), struct.Struct("!ii"), struct.Struct("!iq")  # lengths, with what follows
AT = struct.Struct("!iqi")  # and the length of the request's id, which follows
ID_BYTES = 16
INET, INET6 = 2, 3  # address families, as the server's network_recv reads them
IPV4_BYTES = 4

ROWS_A_WRITE = 500  # about 100 KB: the server works on these while we make the next ones
CREDENTIALS_KEPT = 65_536
PIECES_KEPT = 4_096

Outcome = tuple[str, int, int | None, str]  # method, status, duration, reason


class Rows:
    """Makes rows of batches. Remembers the pieces."""

    def __init__(self) -> None:
        self._who = Remembered(_who, size=CREDENTIALS_KEPT)
        self._outcome = Remembered(_outcome, size=PIECES_KEPT)
        self._caller = Remembered(_caller, size=PIECES_KEPT)

    @contextmanager
    def going_in(self, batch: Batch) -> Iterator[None]:
        """Write a batch to the call log; on leaving it is there, in the transaction that there is.

        :raises django.db.Error: DataError for a value that its column cannot hold.
        """
        with connection.wrap_database_errors, connection.cursor() as cursor, cursor.cursor.copy(STATEMENT) as copy:
            for part in self.parts(batch):
                copy.write(part)
            yield

    def parts(self, batch: Batch) -> Iterator[bytes]:
        """The batch as COPY takes it, in parts of some rows.

        :raises django.db.DataError: likewise.
        """
        rows = zip(*self._pieces(batch), strict=True)
        yield BEGIN
        try:
            while part := b"".join(chain.from_iterable(islice(rows, ROWS_A_WRITE))):
                yield part
        except (struct.error, ValueError, OverflowError) as failure:  # what these say would show a value
            raise DataError(type(failure).__name__) from None
        yield END

    def _pieces(self, batch: Batch) -> Iterable[Iterable[bytes]]:
        """Columns of pieces, in the order of COLUMNS."""
        outcomes = zip(batch.method, batch.status, batch.duration_us, batch.reason, strict=True)
        paths, measured = tee(map(str.encode, batch.path))
        return (
            map(self._who.__getitem__, batch.who),
            map(self._outcome.__getitem__, outcomes),
            map(LENGTHS.__getitem__, map(len, measured)),
            paths,
            map(self._caller.__getitem__, batch.caller),
            map(AT.pack, repeat(8), map(sub, batch.at, repeat(EPOCH)), repeat(ID_BYTES)),
            map(methodcaller("to_bytes", ID_BYTES, "big"), batch.request_id),
        )  # fmt: skip


def _who(who: Who) -> bytes:
    """The first piece of a row: it begins with how many columns there are."""
    account, kind, credential = who
    return (
        COUNT
        + _packed(BIG, 8, account)
        + text_form(kind)
        + (bytes_form(bytes.fromhex(credential)) if credential else NULL)
    )


def _outcome(outcome: Outcome) -> bytes:
    method, status, duration_us, reason = outcome
    return text_form(method) + _packed(SMALL, 2, status) + _packed(INTEGER, 4, duration_us) + text_form(reason)


def _caller(caller: Caller) -> bytes:
    *texts, address = caller
    return b"".join(map(text_form, texts)) + (_inet(address) if address else NULL)


def _inet(address: str) -> bytes:
    """One address: not a network, so that all its bits count."""
    packed = ip_address(address).packed
    family = INET if len(packed) == IPV4_BYTES else INET6
    return bytes_form(bytes((family, 8 * len(packed), 0, len(packed))) + packed)


def _packed(form: struct.Struct, length: int, number: int | None) -> bytes:
    return NULL if number is None else form.pack(length, number)
