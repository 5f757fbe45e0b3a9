"""Rows that are raised where they are there and made where not, many at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from django.db import connection
from django.db.models import DateTimeField, Field, Model
from psycopg import Cursor

from auditlog.binary_forms import FORMS, TEXT, Array, ArrayDumper, Form
from auditlog.call_rows import instant_text

ROWS_A_STATEMENT = 250
SQLITE = {"least": "min", "greatest": "max"}  # its names for these functions of several values

Row = tuple[Any, ...]
Column = Sequence[Any]


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
        return self.prepared(rows).run()

    def prepared(self, rows: Sequence[Row]) -> "Prepared":
        """To raise rows (in the order of `columns`) with; to be made while the store does something else.

        Of their values, times are microseconds since 1970, dates text as of ISO 8601, ids of credentials 32 hex digits.
        Rows are taken in order, which is thus the same for every writer, so that none waits in a circle.
        """
        columns: list[Column] = list(zip(*sorted(rows), strict=True))
        if connection.vendor == "postgresql":
            columns = [form.array(column) for form, column in zip(self._forms, columns, strict=bool(rows))]
        return Prepared(self, columns)

    def run_prepared(self, columns: Sequence[Column]) -> list[Row]:
        if not columns:
            return []
        return self._run_on_postgresql(columns) if connection.vendor == "postgresql" else self._run_on_sqlite(columns)

    def _run_on_postgresql(self, arrays: Sequence[Column]) -> list[Row]:
        """By a binary array for each column, past Django's cursor, which would write them out as text.

        psycopg takes 10 us for a row of placeholders, the server as much for JSON.
        """
        marks = ", ".join(f"%s::{form.type}[]" for form in self._forms)
        source = f"SELECT * FROM unnest({marks})"  # noqa: S608 -- names of our own
        connection.ensure_connection()
        with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
            cursor.adapters.register_dumper(Array, ArrayDumper)
            cursor.execute(self._statement(source), arrays)
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
    def _forms(self) -> list[Form]:
        return [FORMS.get(field.get_internal_type(), TEXT) for field in self._fields]

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


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows to raise, as their store takes them."""

    upsert: Upsert
    columns: Sequence[Column]

    def run(self) -> list[Row]:
        """If the upsert `returns`, each row as it is now."""
        return self.upsert.run_prepared(self.columns)


def _on_sqlite(field: "Field[Any, Any]", column: Column) -> Iterable[Any]:
    return map(instant_text, column) if isinstance(field, DateTimeField) else column
