"""Which accounts will miss an announced end: those whose key was presented in the last seven days."""

from dataclasses import dataclass
from datetime import datetime

from apikeys.models import ApiKey, Sunset
from auditlog import usage

ACCOUNTS_A_PAGE = 50
CALLERS_NAMED = 3


@dataclass(frozen=True, slots=True)
class Late:
    """An account that still calls with its key."""

    key: ApiKey
    calls: int
    last_at: datetime
    callers: list[usage.Caller]  # the busiest
    more_callers: int


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Late]
    after: str  # the slug after which the next page begins; empty: this is the last


def page(sunset: Sunset, *, now: datetime, after: str = "", size: int | None = None) -> Page:
    """The accounts in the order of their slugs, from the one after `after` on.

    Two statements a page. For the first the store goes through the week's roll-ups where few accounts call, or through
    the accounts until the page is full where most do.
    """
    keys = ApiKey.objects.active().filter(account__in=sunset.accounts(), account__slug__gt=after)
    still = keys.filter(usage.was_presented(now=now)).select_related("account").order_by("account__slug")
    size = size or ACCOUNTS_A_PAGE
    found = list(still[: size + 1])
    rows, more = found[:size], found[size:]
    callers = usage.callers_of_many({key.id: key.account_id for key in rows}, now=now)
    late = [_late(key, callers[key.id]) for key in rows if callers[key.id]]  # the last may have gone since
    return Page(late, after=rows[-1].account.slug if more else "")


def _late(key: ApiKey, callers: list[usage.Caller]) -> Late:
    return Late(
        key=key,
        calls=sum(one.calls for one in callers),
        last_at=max(one.last_at for one in callers),
        callers=callers[:CALLERS_NAMED],
        more_callers=len(callers[CALLERS_NAMED:]),
    )
