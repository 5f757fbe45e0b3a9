"""How the rows of a test that commits are removed: by Django's `flush`, made patient, and cheap on PostgreSQL.

There it truncates, which makes new files for each table and index: a second, for the few rows of one test. Here they
are deleted, once nobody writes any more. What migrations made stays, so that it need not be made again.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from django.core.management import CommandError, call_command
from django.core.management.commands import flush
from django.db import connection
from pytest_django import DjangoDbBlocker

Made = TypeVar("Made")

MADE_BY_MIGRATIONS = {"django_content_type", "auth_permission"}

_flush = flush.Command.handle


@contextmanager
def in_use() -> Iterator[None]:
    with (
        patch.object(type(connection.ops), "sql_flush", _deletions),
        patch.object(flush.Command, "handle", _patiently),
    ):
        yield


@contextmanager
def made_once(make: Callable[[], Made], blocker: DjangoDbBlocker) -> Iterator[Made]:
    """Rows for the tests of a module, each of which is rolled back to them; removed after the last one."""
    with blocker.unblock():
        made = make()
    yield made
    with blocker.unblock():
        call_command("flush", verbosity=0, interactive=False)


def _patiently(command: flush.Command, patience: int = 5, **options: Any) -> None:
    """A server under test may still be writing calls; after a deadlock, again."""
    try:
        _flush(command, **options | {"inhibit_post_migrate": True})
    except CommandError:
        if not patience:
            raise
        _patiently(command, patience - 1, **options)


def _deletions(_ops: object, _style: object, tables: Iterable[str], **_: bool) -> list[str]:
    names = [connection.ops.quote_name(table) for table in tables if table not in MADE_BY_MIGRATIONS]
    wait = [f"LOCK TABLE {', '.join(names)} IN EXCLUSIVE MODE"] if connection.vendor == "postgresql" else []
    return wait + [f"DELETE FROM {name}" for name in names]  # noqa: S608 -- names of our own tables
