"""Pages of a log by key: where the last one ended, not how many rows came before, so that deep pages cost no more."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from django.core import signing
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from auditlog.models import AuditEntry, Call

PAGE_SIZE = 50
SALT = "auditlog.pagination"
Direction = Literal["older", "newer"]


class CursorError(Exception):
    """The cursor is not one that we gave out."""


Row = TypeVar("Row", Call, AuditEntry)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows, newest first, and the cursors that lead on; empty where nothing follows."""

    rows: list[Row]
    newer: str
    older: str


def page_of(rows: QuerySet[Row], cursor: str, *, size: int = PAGE_SIZE) -> Page[Row]:
    """One page of a log.

    :raises CursorError: for a cursor that was altered or made up.
    """
    if not cursor:
        found = list(rows.order_by("-at", "-id")[: size + 1])
        return Page(found[:size], newer="", older=_cursor("older", found[:size][-1]) if len(found) > size else "")
    direction, at, pk = _read(cursor)
    if direction == "older":
        found = list(rows.filter(Q(at__lt=at) | Q(at=at, id__lt=pk)).order_by("-at", "-id")[: size + 1])
        shown = found[:size]
        there_is_more = {"older": len(found) > size, "newer": True}
    else:
        found = list(rows.filter(Q(at__gt=at) | Q(at=at, id__gt=pk)).order_by("at", "id")[: size + 1])
        shown = found[:size][::-1]
        there_is_more = {"older": True, "newer": len(found) > size}
    if not shown:
        return Page([], newer="", older="")
    return Page(
        shown,
        newer=_cursor("newer", shown[0]) if there_is_more["newer"] else "",
        older=_cursor("older", shown[-1]) if there_is_more["older"] else "",
    )


def _cursor(direction: Direction, row: Call | AuditEntry) -> str:
    return signing.dumps([direction, row.at.isoformat(), row.pk], salt=SALT)


def _read(cursor: str) -> tuple[Direction, datetime, int]:
    try:
        direction, at, pk = signing.loads(cursor, salt=SALT)
    except signing.BadSignature as error:
        raise CursorError(_("This page of the log does not exist.")) from error
    return direction, datetime.fromisoformat(at), pk
