"""The call log: the last seven days, newest first."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.guards import requires
from accounts.models import Account, Member
from accounts.permissions import Permission
from auditlog import usage
from auditlog.filters import BadFilterError, CallFilter
from auditlog.pagination import CursorError, page_of
from auditlog.polling import polled
from auditlog.words import why_refused


@polled
@requires(Permission.SEE_CALLS)
@never_cache
@require_GET
def log(request: HttpRequest, member: Member) -> HttpResponse:
    now = timezone.now()
    calls = usage.calls_of(member.account_id, now=now)
    credentials = _credentials(member.account)
    try:
        narrowed = CallFilter(request, calls, credentials=list(credentials.items()))
        page = page_of(narrowed.rows(), request.GET.get("cursor", ""))
    except (BadFilterError, CursorError) as refusal:
        return render(request, "auditlog/bad_filter.html", {"member": member, "refusal": refusal}, status=400)
    rows = [(call, credentials.get(str(call.credential_id), ""), why_refused(call.reason)) for call in page.rows]
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


def _credentials(account: Account) -> dict[str, str]:
    """What calls of this account may have carried, by id, in words."""
    return {
        str(key.id): _("Key …%(last4)s") % {"last4": key.last4} + (f" ({key.get_end_display()})" if key.end else "")
        for key in account.api_keys.order_by("-generation")
    }
