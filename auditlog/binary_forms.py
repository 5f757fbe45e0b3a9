"""Values in PostgreSQL's binary formats, which it reads without a parser (each type's `..._recv` in its source).

Of a value, its length in bytes comes first; of an array, its dimensions do.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from itertools import chain, repeat
from operator import sub
from typing import Any, NamedTuple

from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper

from auditlog.remembered import Remembered

EPOCH = 946_684_800_000_000  # of its times, 2000-01-01, in microseconds since 1970
EPOCH_DAY = date(2000, 1, 1).toordinal()
NULL = struct.pack("!i", -1)
LENGTH, DATE = struct.Struct("!i"), struct.Struct("!ii")
ARRAY = struct.Struct("!iiIii")  # dimensions, whether it has NULLs, type of its elements; number, number of the first
UUID_BYTES = 16
TEXTS_KEPT = 65_536


def text_form(text: str) -> bytes:
    return bytes_form(text.encode())


def bytes_form(value: bytes) -> bytes:
    return LENGTH.pack(len(value)) + value


class Form(NamedTuple):
    """How an array of a type is written."""

    type: str
    oid: int  # of the type, in pg_type.dat
    elements: Callable[[Sequence[Any]], bytes]

    def array(self, values: Sequence[Any]) -> "Array":
        return Array(ARRAY.pack(1, 0, self.oid, len(values), 1) + self.elements(values))


class Array(bytes):
    """One that psycopg passes on as it is."""


class ArrayDumper(Dumper):
    format = pq.Format.BINARY

    def dump(self, obj: Any) -> Buffer:
        return bytes(obj)


def _numbers(values: Iterable[int]) -> bytes:
    column = list(values)
    lengths_and_values = [8] * (2 * len(column))
    lengths_and_values[1::2] = column
    return struct.pack(f"!{'iq' * len(column)}", *lengths_and_values)


def _times(values: Sequence[int]) -> bytes:
    """:param values: microseconds since 1970."""
    return _numbers(map(sub, values, repeat(EPOCH)))


def _uuids(values: Sequence[str]) -> bytes:
    """:param values: of 32 hex digits."""
    return b"".join(chain.from_iterable(zip(repeat(LENGTH.pack(UUID_BYTES)), map(bytes.fromhex, values))))


def _texts(values: Sequence[str]) -> bytes:
    return b"".join(map(_remembered_text, values))


def _dates(values: Sequence[str]) -> bytes:
    """:param values: as of ISO 8601."""
    return b"".join(map(_remembered_date, values))


def _date(text: str) -> bytes:
    return DATE.pack(4, date.fromisoformat(text).toordinal() - EPOCH_DAY)


_remembered_text = Remembered(text_form, size=TEXTS_KEPT).__getitem__
_remembered_date = Remembered(_date, size=TEXTS_KEPT).__getitem__

TEXT = Form("text", 25, _texts)
NUMBER = Form("bigint", 20, _numbers)
FORMS = {  # by the field's internal type
    "BigIntegerField": NUMBER,
    "PositiveBigIntegerField": NUMBER,
    "UUIDField": Form("uuid", 2950, _uuids),
    "DateField": Form("date", 1082, _dates),
    "DateTimeField": Form("timestamptz", 1184, _times),
}
