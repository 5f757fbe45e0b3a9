"""The call log: the last seven days, newest first."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.models import Member
from accounts.permissions import Permission
from auditlog import usage
from auditlog.filters import BadFilterError, CallFilter
from auditlog.pagination import CursorError, page_of
from auditlog.polling import polled
from auditlog.words import why_refused


@polled
@requires(Permission.SEE_CALLS)
@never_cache
@require_safe
def log(request: HttpRequest, member: Member) -> HttpResponse:
    now = timezone.now()
    calls = usage.calls_of(member.account_id, now=now)
    keys = {key.id: key for key in member.account.api_keys.order_by("-generation")}
    # What a planned rotation has prepared is presented, and refused, under the id that its key will have.
    prepared = {plan.id: plan for plan in member.account.rotation_plans.open()}
    try:
        credentials = [*map(_choice, keys.values()), *map(_prepared_choice, prepared.values())]
        narrowed = CallFilter(request, calls, credentials=credentials)
        page = page_of(narrowed.rows(), request.GET.get("cursor", ""), within=narrowed.searched())
    except (BadFilterError, CursorError) as refusal:
        return render(request, "auditlog/bad_filter.html", {"member": member, "refusal": refusal}, status=400)
    known = keys | prepared
    rows = [(call, known.get(call.credential_id), why_refused(call.reason)) for call in page.rows]
    first = not request.GET.get("cursor")
    since = narrowed.form.cleaned_data["since"]
    context = {
        "member": member,
        "filter": narrowed,
        "page": page,
        "searches_newer": page.direction == "newer",
        "rows": rows,
        "first": first,
        "follow": first and request.GET.get("follow") == "1",
        "has_verdicts": any(call.duration_us is None for call, *_ in rows),
        "kept_days": usage.CALLS_KEPT_FOR.days,
        "asks_for_more": since is not None and since < now - usage.CALLS_KEPT_FOR,
    }
    return render(
        request, "auditlog/_calls.html" if "HX-Request" in request.headers else "auditlog/calls.html", context
    )


def _choice(key: Any) -> tuple[str, str]:
    """What the filter offers for an API key, whose model this package does not know."""
    name = _("Key …%(last4)s") % {"last4": key.last4}
    return str(key.id), f"{name} ({key.get_end_display()})" if key.end else name


def _prepared_choice(plan: Any) -> tuple[str, str]:
    return str(plan.id), _("Prepared key …%(last4)s") % {"last4": plan.last4}
