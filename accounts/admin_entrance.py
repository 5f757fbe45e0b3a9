"""The operators' site, and the way into it: the portal's own sign-in, second factor included.

The admin's own forms take a password alone, also from somebody who is signed in already, and no entry tells of them:
they are never shown.
"""

from typing import Any

from allauth.account.utils import get_next_redirect_url
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from accounts import bounces, guards


class OperatorSite(AdminSite):
    site_header = site_title = _("KeyPortal operators")
    index_title = _("All accounts")

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether an operator asks, and this session was proved by the second factor of who has one."""
        return request.user.is_active and request.user.is_staff and guards.shows_second_factor(request)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, {**(extra_context or {}), "unreached": bounces.unreached().count()})

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: object = None) -> HttpResponse:  # noqa: ARG002 -- Django's
        back = get_next_redirect_url(request) or reverse("admin:index")
        if not request.user.is_authenticated:
            return redirect(f"{reverse('account_login')}?{urlencode({'next': back})}")
        if not request.user.is_staff:
            raise PermissionDenied
        return redirect(back if self.has_permission(request) else guards.proof_address(request, back=back))

    def password_change(  # type: ignore[override]  # Django shows a page
        self,
        request: HttpRequest,  # noqa: ARG002 -- Django's
        extra_context: object = None,  # noqa: ARG002 -- Django's
    ) -> HttpResponse:
        return redirect("account_change_password")
