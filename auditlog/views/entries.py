"""The audit log: who did what, to what, when, from where."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.guards import requires
from accounts.models import Member
from accounts.permissions import Permission
from auditlog.filters import AuditEntryFilter, BadFilterError
from auditlog.models import AuditEntry
from auditlog.pagination import CursorError, page_of
from auditlog.words import browser


@requires(Permission.SEE_AUDIT_LOG)
@never_cache
@require_GET
def log(request: HttpRequest, member: Member) -> HttpResponse:
    try:
        narrowed = AuditEntryFilter(request, AuditEntry.objects.filter(account_id=member.account_id))
        page = page_of(narrowed.rows(), request.GET.get("cursor", ""))
    except (BadFilterError, CursorError) as refusal:
        return render(request, "auditlog/bad_filter.html", {"member": member, "refusal": refusal}, status=400)
    context = {"member": member, "filter": narrowed, "page": page, "first": not request.GET.get("cursor")}
    return render(request, "auditlog/audit_log.html", context)


@requires(Permission.SEE_AUDIT_LOG)
@never_cache
@require_GET
def entry(request: HttpRequest, member: Member, entry_id: int) -> HttpResponse:
    shown = get_object_or_404(AuditEntry, pk=entry_id, account_id=member.account_id)
    context = {"member": member, "entry": shown, "browser": browser(shown.user_agent), "details": _in_words(shown)}
    return render(request, "auditlog/audit_log_entry.html", context)


def _in_words(entry: AuditEntry) -> list[tuple[str, object]]:
    """The entry's own facts, as ("Replaced", "…abcd") pairs."""
    return [(name.replace("_", " ").capitalize(), value) for name, value in entry.details.items()]
