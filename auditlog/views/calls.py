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
    try:
        narrowed = CallFilter(request, calls, credentials=[_choice(key) for key in keys.values()])
        page = page_of(narrowed.rows(), request.GET.get("cursor", ""))
    except (BadFilterError, CursorError) as refusal:
        return render(request, "auditlog/bad_filter.html", {"member": member, "refusal": refusal}, status=400)
    rows = [(call, keys.get(call.credential_id), why_refused(call.reason)) for call in page.rows]
    first = not request.GET.get("cursor")
    since = narrowed.form.cleaned_data["since"]
    context = {
        "member": member,
        "filter": narrowed,
        "page": page,
        "rows": rows,
        "first": first,
        "follow": first and request.GET.get("follow") == "1",
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
