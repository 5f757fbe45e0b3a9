"""The page of an account's usage: the last seven days against its limits, in pictures that need no script."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.models import Account, Member
from accounts.permissions import Permission
from auditlog.account_usage import ERRORS_GUIDELINE, AccountUsage, Day, Part, usage_of
from auditlog.words import why_refused

HEIGHT = 100  # of a day's picture, in its own units; each hour is one wide
ERRORS_SHOWN = 4 * ERRORS_GUIDELINE  # per cent, where a bar of errors ends
BURST_LIMIT = "burst_limit"  # the reason, as calls have it


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour's calls of one kind; numbers as SVG has them, whatever the reader's language."""

    x: int
    kind: str  # accepted | refused
    y: str
    height: str


@requires(Permission.SEE_CALLS)
@never_cache
@require_safe
def usage(request: HttpRequest, member: Member) -> HttpResponse:
    account = member.account
    found = usage_of(account.pk, zone=account.zone, now=timezone.now())
    context = {
        "member": member,
        "usage": found,
        "today": found.days[0],
        "today_burst": found.days[0].refused_for[BURST_LIMIT],
        "days": [_row(day, account, found) for day in found.days],
        "parts": [
            _table("credentials", _("By credential"), _("Credential"), found.credentials, _credentials(account)),
            _table("callers", _("By caller"), _("Caller"), found.callers, _caller),
            _table("routes", _("By route"), _("Route"), found.routes, _route),
        ],
        "guideline": ERRORS_GUIDELINE,
    }
    return render(request, "auditlog/usage.html", context)


def _row(day: Day, account: Account, found: AccountUsage) -> dict[str, Any]:
    share = 100 * day.counted / account.daily_limit if account.daily_limit else 100.0
    return {
        "day": day,
        "bars": _bars(day, found),
        "said": _said(day),
        "limit_share": share,
        "of_limit": _width(share),
        "at_limit": share >= 100,  # noqa: PLR2004 -- per cent
        "of_errors": _width(100 * day.error_rate / ERRORS_SHOWN),
        "mark": _width(100 * ERRORS_GUIDELINE / ERRORS_SHOWN),
        "over": day.error_rate > ERRORS_GUIDELINE,
        "why": [(str(why_refused(reason)), calls) for reason, calls in day.refused_for.most_common()],
    }


def _bars(day: Day, found: AccountUsage) -> list[Bar]:
    """Of each hour with calls; refused ones stand on the accepted ones. All days have one scale."""
    scale = HEIGHT / (found.most_in_an_hour or 1)
    bars = []
    for hour, calls in day.hours.items():
        accepted, refused = calls.accepted * scale, calls.refused * scale
        if accepted:
            bars.append(Bar(hour, "accepted", f"{HEIGHT - accepted:.2f}", f"{accepted:.2f}"))
        if refused:
            bars.append(Bar(hour, "refused", f"{HEIGHT - accepted - refused:.2f}", f"{refused:.2f}"))
    return bars


def _said(day: Day) -> str:
    """What the picture of a day says, for who does not see it."""
    hour, number = day.busiest
    if not number:
        return _("No calls")
    words = ngettext(
        "Most at %(hour)s: %(number)d call in an hour", "Most at %(hour)s: %(number)d calls in an hour", number
    )
    return words % {"hour": formats.time_format(time(hour), "HOUR_FORMAT"), "number": number}


def _width(per_cent: float) -> str:
    return f"{min(per_cent, 100):.2f}"


# --- Parts --------------------------------------------------------------------------------------------------------
def _table(anchor: str, title: str, head: str, parts: Sequence[Part], name: Any) -> dict[str, Any]:
    total = sum(part.calls for part in parts)
    rows = [{"part": part, "share": _width(100 * part.calls / total), **name(part)} for part in parts]
    return {"id": anchor, "title": title, "head": head, "rows": rows}


def _credentials(account: Account) -> Any:
    """What names a credential, whose models this package does not know; an id speaks for one that is none of these."""
    names: dict[str, dict[str, str]] = {}
    for key in account.api_keys.all():
        end = key.get_end_display() if key.end else ""
        names[str(key.id)] = {"name": _("Key …%(last4)s") % {"last4": key.last4}, "beside": end}
    for plan in account.rotation_plans.open():
        names[str(plan.id)] = {"name": _("Prepared key …%(last4)s") % {"last4": plan.last4}}
    for connection in account.connections.select_related("app"):
        names[str(connection.id)] = {"name": connection.app.name, "beside": _("connected app")}
    return lambda part: names.get(part.what[0], {"name": part.what[0]})


def _caller(part: Part) -> dict[str, str]:
    if not part.what:
        return {"name": _("All others")}
    agent, network = part.what
    return {"name": agent or _("No user agent"), "beside": network}


def _route(part: Part) -> dict[str, Any]:
    if not any(part.what) or not part.what[1]:
        return {"name": _("All others")}
    return {"name": " ".join(part.what), "code": True}
