"""How many calls were issued, stored and lost (G7): counted in mapped files, which survive the death of a process.

Each writer has a file DATA_DIR/calls/<its id> and locks it while it lives, so that anybody can tell a dead writer's
missing calls, which are lost unless they wait on the disk, from a living one's, which may still be in its queue. The
files are of this machine; each machine reports its own.
"""

import fcntl
import mmap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings

from auditlog import call_spool
from auditlog.models import CallWriter

COUNTS = 3  # unsigned 64-bit numbers: issued, dropped for a full queue, refused by the store


class CountsFile:
    """One writer's `numbers`: each is raised by one thread alone."""

    def __init__(self, writer_id: UUID) -> None:
        directory = counts_directory()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = (directory / str(writer_id)).open("w+b")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.truncate(COUNTS * 8)
        self._map = mmap.mmap(self._file.fileno(), COUNTS * 8)
        self.numbers = memoryview(self._map).cast("Q")

    def close(self) -> None:
        """Let go of the file: what is missing from the store counts as lost from now on."""
        self.numbers.release()
        self._map.close()
        self._file.close()


@dataclass(frozen=True, slots=True)
class Totals:
    """Of every writer that this machine has had."""

    issued: int
    stored: int
    waiting: int  # on the disk, for the store
    lost: int


def totals() -> Totals:
    """Count over all writers' files.

    :raises django.db.Error: if the store cannot be asked.
    """
    directory = counts_directory()
    waiting = call_spool.segments()  # before the store is asked: a segment goes after it was stored
    counted = {path.name: _read(path) for path in directory.iterdir()} if directory.is_dir() else {}
    rows = {str(row.id): row for row in CallWriter.objects.filter(id__in=map(UUID, counted))}
    stored = {name: row.stored for name, row in rows.items()}
    on_disk: Counter[str] = Counter()
    for one in waiting:
        name = str(one.writer)
        if name in counted and (name not in rows or rows[name].batches < one.number):
            on_disk[name] += one.calls
    return Totals(
        issued=sum(issued for issued, _, _ in counted.values()),
        stored=sum(stored.values()),
        waiting=sum(on_disk.values()),
        lost=sum(
            given_up if lives else issued - stored.get(name, 0) - on_disk[name]
            for name, (issued, given_up, lives) in counted.items()
        ),
    )


def counts_directory() -> Path:
    return Path(settings.DATA_DIR) / "calls"


def is_alive(writer_id: UUID) -> bool:
    """Whether a writer of this machine still holds its file."""
    path = counts_directory() / str(writer_id)
    return path.exists() and _read(path)[2]


def _read(path: Path) -> tuple[int, int, bool]:
    """Issued, given up, and whether the writer lives."""
    with path.open("rb") as file:
        numbers = memoryview(file.read(COUNTS * 8).ljust(COUNTS * 8, b"\0")).cast("Q")
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return numbers[0], numbers[1] + numbers[2], True
        return numbers[0], numbers[1] + numbers[2], False
