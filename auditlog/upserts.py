"""Rows that are raised where they are there and made where not, many at a time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.db import connection
from django.db.models import Model

ROWS_A_STATEMENT = 250
SQLITE = {"least": "min", "greatest": "max"}  # its names for these functions of several values

Row = tuple[Any, ...]


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
        """Raise rows (in the order of `columns`, as JSON takes them); if `returns`, each as it is now.

        They are taken in order, which is thus the same for every writer, so that none waits in a circle.
        """
        rows = sorted(rows)
        if not rows:
            return []
        return self._run_on_postgresql(rows) if connection.vendor == "postgresql" else self._run_on_sqlite(rows)

    def _run_on_postgresql(self, rows: Sequence[Row]) -> list[Row]:
        """As one value, since psycopg takes 10 us for each row of placeholders."""
        types = (f"{name} {self.model._meta.get_field(name).db_type(connection)}" for name in self.columns)
        columns = self.columns
        names = [dict(zip(columns, row, strict=True)) for row in rows]
        source = f"SELECT {', '.join(self.columns)} FROM json_to_recordset(%s) AS new ({', '.join(types)})"  # noqa: S608 -- names of our own
        with connection.cursor() as cursor:
            cursor.execute(self._statement(source), [json.dumps(names)])
            return cursor.fetchall() if self.returns else []

    def _run_on_sqlite(self, rows: Sequence[Row]) -> list[Row]:
        returned: list[Row] = []
        marks = f"({', '.join('?' * len(self.columns))})"
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            part = rows[start : start + ROWS_A_STATEMENT]
            statement = self._statement(f"VALUES {', '.join([marks] * len(part))}")
            with connection.wrap_database_errors:
                returned += connection.connection.execute(statement, list(chain.from_iterable(part)))
        return returned

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
