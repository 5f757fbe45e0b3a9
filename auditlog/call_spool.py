"""Calls that the store does not take now, kept on the disk until it does (G7).

A segment is one batch, in a file DATA_DIR/spool/<writer>.<number>.<calls> that appears whole or not at all, as JSON: it
outlives the process that wrote it, and the version of Python. Whoever stores calls on this machine stores its own
segments, and those of writers that are dead. Secrets are masked before anything is written.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from auditlog.call_rows import Call

LIMIT = 2 * 2**30  # bytes on the disk; about eight million calls
LEAVE_FREE = 2**30  # bytes: the store may live on the same disk
NAME = re.compile(r"([0-9a-f-]{36})\.([0-9]{12})\.([0-9]+)\Z")


class SpoolFullError(Exception):
    """There is no room for more."""


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One batch of a writer."""

    writer: UUID
    number: int  # of the writer's batches, which are stored in this order
    calls: int

    @property
    def path(self) -> Path:
        return directory() / f"{self.writer}.{self.number:012}.{self.calls}"


def directory() -> Path:
    return Path(settings.DATA_DIR) / "spool"


def segments() -> list[Segment]:
    """All that wait, each writer's in order."""
    return sorted(
        Segment(UUID(found[1]), int(found[2]), int(found[3]))
        for path in (directory().iterdir() if directory().is_dir() else ())
        if (found := NAME.match(path.name))
    )


def write(segment: Segment, calls: Sequence[Call], *, clean: Callable[[Call], Sequence[Any]]) -> None:
    """Keep a batch.

    :param clean: makes what is written of a call: no secret, nothing but what JSON takes.
    :raises SpoolFullError, OSError: if it cannot be kept.
    """
    directory().mkdir(mode=0o700, parents=True, exist_ok=True)
    taken = sum(path.stat().st_size for path in directory().iterdir())
    if taken > LIMIT or shutil.disk_usage(directory()).free < LEAVE_FREE:
        raise SpoolFullError
    unfinished = segment.path.with_suffix(".part")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump([clean(call) for call in calls], file, separators=(",", ":"))
    unfinished.rename(segment.path)


def read(segment: Segment) -> list[Call]:
    """:raises OSError: if it is gone; ValueError: if it cannot be read, as after a loss of power."""
    return [_call(fields) for fields in json.loads(segment.path.read_text())]


def remove(segment: Segment) -> None:
    segment.path.unlink(missing_ok=True)


def sweep(is_alive: Callable[[UUID], bool]) -> None:
    """Remove what killed writers had not finished writing: it was counted as lost."""
    for path in directory().glob("*.part"):
        if not is_alive(UUID(path.name.partition(".")[0])):
            path.unlink(missing_ok=True)


def lay_aside(segment: Segment) -> None:
    """Take a segment that cannot be read out of the way, for somebody to look at."""
    segment.path.rename(segment.path.with_suffix(".unreadable"))


def _call(fields: Sequence[Any]) -> Call:
    (account, kind, credential), at, method, path, status, duration_us, reason, user_agent, *last = fields
    address, request_id, day = last
    return (
        (account, kind, credential), at, method.encode(), path.encode(), status, duration_us, reason,
        user_agent.encode(), address, int(request_id, 16), day,
    )  # fmt: skip
