"""The embedded installation's queue keeps what waits, and nothing else: its clock adds a message every few seconds."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from kombu.connection import Connection

import keyportal.celery  # noqa: F401 -- makes our broker known to kombu

# kombu's use of SQLAlchemy
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def _rows(file: Path) -> int:
    with closing(sqlite3.connect(file)) as store:
        count: int = store.execute("SELECT count(*) FROM kombu_message").fetchone()[0]
    return count


def test_a_message_that_was_taken_leaves_no_row(tmp_path: Path) -> None:
    file = tmp_path / "jobs.sqlite3"
    with Connection(f"sqla+sqlite:///{file}") as connection:  # type: ignore[no-untyped-call] # kombu has no types here
        queue = connection.SimpleQueue("celery")
        for number in range(3):
            queue.put({"number": number})
        waiting = _rows(file)
        taken = []
        for _ in range(3):
            message = queue.get(timeout=10)
            taken.append(message.payload["number"])
            message.ack()
        engine, _ = queue.channel._open()  # noqa: SLF001 -- to close its files with the test
        queue.close()
    engine.dispose()

    assert (waiting, taken, _rows(file)) == (3, [0, 1, 2], 0)
