"""The audit log: who did what, to what, when, from where."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.models import Member
from accounts.permissions import Permission
from auditlog.filters import AuditEntryFilter, BadFilterError
from auditlog.models import AuditEntry
from auditlog.pagination import CursorError, page_of
from auditlog.words import browser, detail_name


@requires(Permission.SEE_AUDIT_LOG)
@never_cache
@require_safe
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
@require_safe
def entry(request: HttpRequest, member: Member, entry_id: int) -> HttpResponse:
    shown = get_object_or_404(AuditEntry, pk=entry_id, account_id=member.account_id)
    context = {"member": member, "entry": shown, "browser": browser(shown.user_agent), "details": _in_words(shown)}
    return render(request, "auditlog/audit_log_entry.html", context)


def _in_words(entry: AuditEntry) -> list[tuple[Promise | str, object]]:
    """The entry's own facts, as ("Calls a day", "250000, before 100000") pairs; what stayed the same is left out."""
    details = dict(entry.details)
    before, after = details.get("before"), details.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        del details["before"], details["after"]
        changed = {name: value for name, value in after.items() if value != before.get(name)}
        words = _("%(after)s, before: %(before)s")
        details |= {name: words % {"after": value, "before": before.get(name, "–")} for name, value in changed.items()}
    return [(detail_name(name), _listed(value)) for name, value in details.items()]


def _listed(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
