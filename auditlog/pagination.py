"""Pages of a log by key: where the last one ended, not how many rows came before, so that deep pages cost no more.

Filters that no index serves are looked for row by row, from where the page begins. Such a search ends when its time is
over, and the page says how far it came; its cursor goes on from there, whether or not anything was found.
"""

from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Generic, Literal, TypeVar

from django.core import signing
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from auditlog.models import AuditEntry, Call

PAGE_SIZE = 50
SEARCH_SECONDS = 0.04
FIRST_STEP = 2_000  # rows that are looked at together; then as many as the time allows
LEAST_STEP = 500
RESOLUTION = 1e-6  # seconds
SALT = "auditlog.pagination"
Direction = Literal["older", "newer"]
Position = tuple[datetime, int]  # time and id of a row


class CursorError(Exception):
    """The cursor is not one that we gave out."""


Row = TypeVar("Row", Call, AuditEntry)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows, newest first, and the cursors that lead on; empty where nothing follows."""

    rows: list[Row]
    newer: str
    older: str
    direction: Direction = "older"
    searched_to: datetime | None = None  # the search ended here, before the page was full
    goes_on: str = ""  # the cursor that goes on from there


def page_of(
    rows: QuerySet[Row], cursor: str, *, within: QuerySet[Row] | None = None, size: int = PAGE_SIZE
) -> Page[Row]:
    """One page of a log.

    :param within: what `rows` were narrowed from, if finding some among them may take long.
    :raises CursorError: for a cursor that was altered or made up.
    """
    direction: Direction = "older"
    start = None
    if cursor:
        direction, start = _read(cursor)
    found, reached = _search(rows, within, start, direction, size + 1)
    shown, there_is_more = found[:size], len(found) > size
    if direction == "newer":
        shown.reverse()
    return Page(
        shown,
        newer=_cursor("newer", shown[0]) if shown and cursor and (there_is_more or direction == "older") else "",
        older=_cursor("older", shown[-1]) if shown and (there_is_more or direction == "newer") else "",
        direction=direction,
        searched_to=reached[0] if reached else None,
        goes_on=_signed(direction, *reached) if reached else "",
    )


def _search(
    rows: QuerySet[Row], within: QuerySet[Row] | None, start: Position | None, direction: Direction, number: int
) -> tuple[list[Row], Position | None]:
    """So many rows from a position on, in the direction's order; and where the search ended, if its time was over."""
    order = ("-at", "-id") if direction == "older" else ("at", "id")
    found: list[Row] = []
    step, end = FIRST_STEP, monotonic() + SEARCH_SECONDS
    while True:
        began = monotonic()
        here = _beyond(direction, start) if start else Q()
        last = None
        if within is not None:
            last = within.filter(here).order_by(*order).values_list("at", "id")[step - 1 : step].first()
        part = rows.filter(here & _up_to(direction, last) if last else here)
        found += part.order_by(*order)[: number - len(found)]
        if len(found) == number or last is None:
            return found, None
        start, now = last, monotonic()
        step = int(step * min(2, (end - now) / max(now - began, RESOLUTION)))
        if step < LEAST_STEP:
            return found, start


def _beyond(direction: Direction, position: Position) -> Q:
    """What comes after a position; with a bound of the time alone, which an index can begin at."""
    at, pk = position
    if direction == "older":
        return Q(at__lte=at) & (Q(at__lt=at) | Q(id__lt=pk))
    return Q(at__gte=at) & (Q(at__gt=at) | Q(id__gt=pk))


def _up_to(direction: Direction, position: Position) -> Q:
    """What does not come after a position, itself included."""
    at, pk = position
    if direction == "older":
        return Q(at__gte=at) & (Q(at__gt=at) | Q(id__gte=pk))
    return Q(at__lte=at) & (Q(at__lt=at) | Q(id__lte=pk))


def cursor_at(at: datetime) -> str:
    """The cursor of the page that begins with the newest row before an instant."""
    return _signed("older", at, 0)


def _cursor(direction: Direction, row: Call | AuditEntry) -> str:
    return _signed(direction, row.at, row.pk)


def _signed(direction: Direction, at: datetime, pk: int) -> str:
    return signing.dumps([direction, at.isoformat(), pk], salt=SALT)


def _read(cursor: str) -> tuple[Direction, Position]:
    try:
        direction, at, pk = signing.loads(cursor, salt=SALT)
    except signing.BadSignature as error:
        raise CursorError(_("This page of the log does not exist.")) from error
    return direction, (datetime.fromisoformat(at), pk)
