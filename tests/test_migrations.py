"""Migrations that a busy PostgreSQL can take: none holds a lock for as long as it reads a table."""

from collections.abc import Iterator
from typing import ClassVar

import pytest
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import connection, models
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

OURS = {"accounts", "apikeys", "auditlog"}
CREATES = (operations.CreateModel,)
SCANS = (operations.AddIndex, operations.AddConstraint, operations.AlterUniqueTogether)  # read all rows, locked
BREAKS = (operations.RenameField, operations.RenameModel)  # what runs during the change knows the old name


def _ours() -> Iterator[Migration]:
    for (app, _), migration in MigrationLoader(None).disk_migrations.items():
        if app in OURS:
            yield migration


def unsafe(migration: Migration) -> list[str]:
    """The operations of a migration that would stop a portal that runs, each in words."""
    created = {each.name.lower() for each in migration.operations if isinstance(each, CREATES)}
    found = [_why(each) for each in migration.operations if getattr(each, "model_name", "").lower() not in created]
    kinds = {type(each) is operations.RunPython for each in migration.operations}
    mixed = ["moves data and changes tables in one transaction"] if kinds == {True, False} else []
    return [f"{migration}: {why}" for why in [*filter(None, found), *mixed]]


def _why(operation: Operation) -> str:
    if isinstance(operation, SCANS) and not isinstance(operation, AddConstraintNotValid):
        return f"{operation.describe()} locks a table that has rows; make it concurrently or NOT VALID first"
    return f"{operation.describe()} breaks what still runs" if isinstance(operation, BREAKS) else ""


def test_no_migration_stops_a_portal_that_runs() -> None:
    assert [why for migration in _ours() for why in unsafe(migration)] == []


@pytest.mark.parametrize(
    "planted",
    [
        operations.AddIndex("call", models.Index(fields=["at"], name="x")),
        operations.RenameField("call", "at", "began_at"),
    ],
)
def test_the_check_finds_what_it_looks_for(planted: Operation) -> None:
    class Planted(Migration):
        operations: ClassVar[list[Operation]] = [planted]

    migration = Planted("0099_planted", "auditlog")

    assert len(unsafe(migration)) == 1


@pytest.mark.django_db
def test_every_migration_has_been_applied() -> None:
    applied = MigrationLoader(connection).applied_migrations

    assert {(each.app_label, each.name) for each in _ours()} <= set(applied)
