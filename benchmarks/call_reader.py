"""`python -m benchmarks.call_reader`: reads one installation's call log, as its pages do, and says how long that took.

On stdin the name of a reading a line; on stdout as JSON the milliseconds, and whether the search was cut off.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from time import perf_counter
from typing import NamedTuple
from uuid import UUID

import django

Reading = Callable[["Busiest"], bool]


class Busiest(NamedTuple):
    """Whose calls are read, and as of when."""

    account_id: int
    credential_id: UUID
    now: datetime


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keyportal.settings")
    django.setup()
    busiest, do = _busiest(), readings()
    for line in sys.stdin:
        began = perf_counter()
        cut_off = do[line.strip()](busiest)
        sys.stdout.write(f"{json.dumps([(perf_counter() - began) * 1e3, cut_off])}\n")
        sys.stdout.flush()


READINGS: dict[str, dict[str, str]] = {
    "page of 50, newest": {},
    "page of 50, in the middle": {"middle": "yes"},
    "status 5xx (1 %)": {"status": "5"},
    "method DELETE (10 %)": {"method": "DELETE"},
    "path /tickets/999 (0.02 %)": {"path": "/tickets/999"},
    "caller Go-http (25 %)": {"caller": "Go-http"},
    "path that no call has": {"path": "/nowhere"},
    "callers of the key, 7 days": {"callers": "yes"},
}


def readings() -> dict[str, Reading]:
    return {name: _reading(query) for name, query in READINGS.items()}


def _reading(query: dict[str, str]) -> Reading:
    from django.test import RequestFactory  # noqa: PLC0415 -- needs the settings

    from auditlog import pagination, usage  # noqa: PLC0415 -- likewise
    from auditlog.filters import CallFilter  # noqa: PLC0415 -- likewise

    def read(busiest: Busiest) -> bool:
        if "callers" in query:
            usage.callers(busiest.credential_id, account_id=busiest.account_id, now=busiest.now)
            return False
        calls = usage.calls_of(busiest.account_id, now=busiest.now)
        cursor = ""
        if "middle" in query:
            cursor = pagination.cursor_at(busiest.now - timedelta(days=3.5))
        filters = {name: value for name, value in query.items() if name != "middle"}
        narrowed = CallFilter(RequestFactory().get("/", filters), calls, credentials=[])
        page = pagination.page_of(narrowed.rows(), cursor, within=narrowed.searched())
        return bool(page.goes_on)

    return read


def _busiest() -> Busiest:
    from django.db.models import Max, Sum  # noqa: PLC0415 -- needs the settings

    from auditlog.models import CallsByCaller  # noqa: PLC0415 -- likewise

    account_id, credential_id, _ = (
        CallsByCaller.objects.values_list("account_id", "credential_id").annotate(all=Sum("calls")).order_by("-all")[0]
    )
    newest = CallsByCaller.objects.filter(account_id=account_id).aggregate(Max("last_at"))["last_at__max"]
    return Busiest(account_id, credential_id, newest)


if __name__ == "__main__":
    main()
