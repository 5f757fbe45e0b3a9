"""The page behind the bell: what concerns this person, over all their accounts."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import invitations, notices
from accounts.guards import person
from accounts.models import Notice

NOTICES_SHOWN = 100


@login_required
@never_cache
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The newest notices. Opening the page, or following a link of it, marks nothing as read."""
    visible = Notice.objects.visible_to(person(request)).select_related("account")
    newest = visible.order_by("-at", "-id")[:NOTICES_SHOWN]
    links = invitations.links_of_notices(newest)
    shown = [(one, notices.sentence(one), links.get(one.pk) or notices.page_of(one)) for one in newest]
    return render(request, "accounts/notices.html", {"notices": shown, "limit": NOTICES_SHOWN})


@require_POST
@login_required
def mark_read(request: HttpRequest, notice_id: int | None = None) -> HttpResponse:
    notices.mark_read(user=person(request), notice_id=notice_id, now=timezone.now())
    return redirect("notices")
