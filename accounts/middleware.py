"""What every page does: words and times as the reader chose, and no way on without the second factor one must have."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect

from accounts import guards, readers, second_factors
from accounts.models import User


class ReaderMiddleware:
    """Write pages as the person chose in their profile. For who is signed out the browser's language stays."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not isinstance(request.user, User):
            return self.get_response(request)
        with readers.written_for(request.user):
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", translation.get_language() or "")
            return response


# What opens without the second factor that a person must have: the pages to add one, their own settings, the way out,
# and what asks nobody who they are. Those that end in * by their beginning. An invitation is not among them: it would
# give another place, be it a super admin's, to whoever has the password alone. Its link waits.
OPEN = (
    *("mfa_*", "profile", "profile-mails", "theme", "no-proof", "usersessions_list"),
    *("account_login", "account_logout", "account_inactive", "account_reauthenticate", "account_reset_password*"),
    *("single-sign-on*", "account_confirm_email", "account_email_verification_sent"),
    *("account-api:*", "account_api:*", "set-up", "keyportal.health.*"),
    *("migrate", "mails-switch-off", "role-mailbox-confirm"),
)


class SecondFactorMiddleware:
    """After the days of grace, super admins and operators without a second factor find only the page to add one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: Any) -> HttpResponse | None:
        if not isinstance(request.user, User):
            return None
        now = timezone.now()
        trusted = settings.OIDC_SECOND_FACTOR and guards.came_through_provider(request)
        due_at = None if trusted else second_factors.due_at(request.user, now=now)
        overdue = due_at is not None and due_at <= now
        request.second_factor_due_at, request.second_factor_overdue = due_at, overdue  # type: ignore[attr-defined]  # for the notice
        if not overdue or _is_open(request):
            return None
        if not request.accepts("text/html"):
            return JsonResponse({"message": _("Add a second factor first.")}, status=403)
        enrolment = reverse("mfa_index")
        return HttpResponseClientRedirect(enrolment) if "HX-Request" in request.headers else redirect(enrolment)


def _is_open(request: HttpRequest) -> bool:
    name = request.resolver_match.view_name if request.resolver_match else ""
    return any(name == known or (known.endswith("*") and name.startswith(known[:-1])) for known in OPEN)
