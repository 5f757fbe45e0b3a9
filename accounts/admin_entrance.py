"""The way into the operators' pages: the portal's own sign-in, second factor included.

The admin's sign-in form takes a password alone, also from somebody who is signed in already: it is never shown.
"""

from allauth.account.utils import get_next_redirect_url
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache

from accounts import guards


def may_enter(request: HttpRequest) -> bool:
    """Whether an operator asks, and this session was proved by the second factor of who has one."""
    return request.user.is_active and request.user.is_staff and guards.shows_second_factor(request)


@never_cache
def enter(request: HttpRequest, extra_context: object = None) -> HttpResponse:  # noqa: ARG001 -- the admin's signature
    back = get_next_redirect_url(request) or reverse("admin:index")
    if not request.user.is_authenticated:
        return redirect(f"{reverse('account_login')}?{urlencode({'next': back})}")
    if not request.user.is_staff:
        raise PermissionDenied
    return redirect(back if may_enter(request) else guards.proof_address(request, back=back))
