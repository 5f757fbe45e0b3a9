"""Rows that are raised where they are there and made where not, many at a time."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import DateTimeField, Field, Model

from auditlog.call_rows import instant_text
from auditlog.remembered import Remembered

ROWS_A_STATEMENT = 250
SQLITE = {"least": "min", "greatest": "max"}  # its names for these functions of several values

TEXTS_KEPT = 65_536

Row = tuple[Any, ...]
Column = Sequence[Any]


class Form(NamedTuple):
    """How PostgreSQL is given the values of a column."""

    type: str  # of an array's elements
    text: Callable[[Any], str]  # an element within the text of an array
    value: str  # what is made of an element


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace("\\", r"\\").replace('"', r"\""))


quoted = Remembered(_quoted, size=TEXTS_KEPT).__getitem__

TEXT = Form("text", quoted, "{}")
NUMBER = Form("bigint", str, "{}")
FORMS = {  # by the field's internal type
    "BigIntegerField": NUMBER,
    "PositiveBigIntegerField": NUMBER,
    "UUIDField": Form("uuid", str, "{}"),
    "DateField": Form("date", str, "{}"),
    "DateTimeField": Form("bigint", str, "timestamptz 'epoch' + {} * interval '1 microsecond'"),
}


@dataclass(frozen=True, slots=True)
class Upsert:
    """Into one model's table.

    :param keys: the columns of its unique constraint.
    :param raised: the other columns, each with how a row that is there takes a new value: "+", "least" or "greatest".
    """

    model: type[Model]
    keys: tuple[str, ...]
    raised: dict[str, str]
    returns: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.keys, *self.raised)

    def run(self, rows: Sequence[Row]) -> list[Row]:
        """Raise rows (in the order of `columns`); if `returns`, each as it is now.

        Of their values, times are microseconds since 1970, dates text as of ISO 8601, ids of credentials 32 hex digits.
        Rows are taken in order, which is thus the same for every writer, so that none waits in a circle.
        """
        if not rows:
            return []
        columns = list(zip(*sorted(rows), strict=True))
        return self._run_on_postgresql(columns) if connection.vendor == "postgresql" else self._run_on_sqlite(columns)

    def _run_on_postgresql(self, columns: Sequence[Column]) -> list[Row]:
        """By an array for each column: psycopg takes 10 us for a row of placeholders, the server as much for JSON."""
        forms = [FORMS.get(field.get_internal_type(), TEXT) for field in self._fields]
        arrays = ", ".join(f"%s::{form.type}[]" for form in forms)
        values = ", ".join(form.value.format(name) for form, name in zip(forms, self.columns, strict=True))
        source = f"SELECT {values} FROM unnest({arrays}) AS new ({', '.join(self.columns)})"  # noqa: S608 -- names of our own
        with connection.cursor() as cursor:
            cursor.execute(
                self._statement(source),
                [f"{{{','.join(map(form.text, column))}}}" for form, column in zip(forms, columns, strict=True)],
            )
            return cursor.fetchall() if self.returns else []

    def _run_on_sqlite(self, columns: Sequence[Column]) -> list[Row]:
        returned: list[Row] = []
        marks = f"({', '.join('?' * len(self.columns))})"
        rows = zip(*map(_on_sqlite, self._fields, columns), strict=True)
        while part := list(islice(rows, ROWS_A_STATEMENT)):
            statement = self._statement(f"VALUES {', '.join([marks] * len(part))}")
            with connection.wrap_database_errors:
                returned += connection.connection.execute(statement, list(chain.from_iterable(part)))
        return returned

    @property
    def _fields(self) -> list[Any]:
        return [self.model._meta.get_field(name) for name in self.columns]

    def _statement(self, source: str) -> str:
        names = SQLITE if connection.vendor == "sqlite" else {}
        sets = (
            f"{name} = kept.{name} + excluded.{name}"
            if how == "+"
            else f"{name} = {names.get(how, how)}(kept.{name}, excluded.{name})"
            for name, how in self.raised.items()
        )
        columns = ", ".join(self.columns)
        return (
            f"INSERT INTO {self.model._meta.db_table} AS kept ({columns}) {source} "
            f"ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET {', '.join(sets)} "
            f"{f'RETURNING {columns}' if self.returns else ''}"
        )


def _on_sqlite(field: "Field[Any, Any]", column: Column) -> Iterable[Any]:
    return map(instant_text, column) if isinstance(field, DateTimeField) else column
