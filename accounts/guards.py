"""In front of every page of an account: who is it, may they, and did they just prove it?"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import second_factors
from accounts.models import Member, User
from accounts.permissions import Permission
from auditlog import journal
from auditlog.actions import Action

MemberView = Callable[..., HttpResponse]  # (request, member, …)
AccountView = Callable[..., HttpResponse]  # (request, slug, …)

CLOCKS_DIFFER_BY = 60  # seconds, at most, for a provider's word to count


def requires(
    permission: Permission, *, attempt: Action | None = None, come_back_to: str | None = None
) -> Callable[[MemberView], AccountView]:
    """Turn the slug of the URL into the signed-in person's Member; 404 for strangers, 403 where the role lacks it.

    Scripts, which ask for JSON, get `{"sign_in": address}` or `{"message": words}` instead of a page.

    :param attempt: the action that a refusal is written down as.
    :param come_back_to: the URL name that signing in leads to; by default the page itself. Needed where that takes
        only POST.
    """

    def decorate(view: MemberView) -> AccountView:
        @wraps(view)
        def guarded(request: HttpRequest, slug: str, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return _lead_to_sign_in(request, reverse(come_back_to, args=[slug]) if come_back_to else None)
            members = Member.objects.active().select_related("account", "user")
            member = members.filter(account__slug=slug, user=request.user).first()
            if member is None:
                return _nothing_here(request)
            if not member.may(permission):
                return _refuse(request, member, attempt)
            return view(request, member, *args, **kwargs)

        return guarded

    return decorate


def person(request: HttpRequest) -> User:
    """Who is signed in, behind `login_required`."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def wants_page(request: HttpRequest) -> bool:
    """Whether a person's browser asks, rather than a page's script that asks for JSON."""
    return request.accepts("text/html")


def _lead_to_sign_in(request: HttpRequest, back: str | None) -> HttpResponse:
    answer = redirect_to_login(back or request.get_full_path())
    return answer if wants_page(request) else JsonResponse({"sign_in": answer.url}, status=401)


def _nothing_here(request: HttpRequest) -> HttpResponse:
    if wants_page(request):
        raise Http404
    return JsonResponse({"message": _("There is nothing here for you.")}, status=404)


def _refuse(request: HttpRequest, member: Member, attempt: Action | None) -> HttpResponse:
    if attempt is not None:
        reason = _("The role %(role)s may not.") % {"role": member.get_role_display()}
        journal.record_refusal(attempt, of=member.account, by=member, reason=reason, at=timezone.now())
    if not wants_page(request):
        return JsonResponse({"message": _("Your role does not allow this.")}, status=403)
    context = {"member": member, "account": member.account, "super_admins": member.account.super_admins()}
    return render(request, "accounts/role_lacks_permission.html", context, status=403)


def only_posted(*, otherwise: str) -> Callable[[MemberView], MemberView]:
    """Take a POST; lead a GET, such as a bookmark or a reload after signing in, to the page that has the button.

    :param otherwise: the URL name of that page.
    """

    def decorate(view: MemberView) -> MemberView:
        @wraps(view)
        def guarded(request: HttpRequest, member: Member, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method in {"GET", "HEAD"}:
                return redirect(otherwise, member.account.slug)
            if request.method != "POST":
                return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
            return view(request, member, *args, **kwargs)

        return guarded

    return decorate


def recently_authenticated(*, come_back_to: str | None = None) -> Callable[[MemberView], MemberView]:
    """Ask for the password or second factor again unless that was done in the last five minutes.

    :param come_back_to: the URL name to return to; by default the page itself. Needed where that takes only POST.
    """

    def decorate(view: MemberView) -> MemberView:
        @wraps(view)
        def guarded(request: HttpRequest, member: Member, *args: Any, **kwargs: Any) -> HttpResponse:
            if is_recently_authenticated(request):
                return view(request, member, *args, **kwargs)
            back = reverse(come_back_to, args=[member.account.slug]) if come_back_to else request.path
            url = proof_address(request, back=back)
            return redirect(url) if wants_page(request) else JsonResponse({"reauthenticate": url}, status=403)

        return guarded

    return decorate


def proof_address(request: HttpRequest, *, back: str) -> str:
    """Where the person proves who they are, with what they have for it, and then goes on to `back`."""
    methods = get_adapter(request).get_reauthentication_methods(request.user)
    return f"{methods[0]['url']}?{urlencode({'next': back})}"


def is_recently_authenticated(request: HttpRequest) -> bool:
    """Whether this session has a proof that counts and is at most five minutes old.

    One from the future, as a clock leaves it that was set back, counts for nothing and hides none.
    """
    now = time.time()
    proven_at = [record["at"] for record in _proofs(request)]
    return any(now - settings.RECENT_AUTHENTICATION_SECONDS <= at <= now for at in proven_at)


def shows_second_factor(request: HttpRequest) -> bool:
    """Whether this session was ever proved by all that the person has."""
    return isinstance(request.user, User) and (not second_factors.has_one(request.user) or bool(_proofs(request)))


def came_through_provider(request: HttpRequest) -> bool:
    """Whether single sign-on was a step of this session's sign-in."""
    return any(record["method"] == "socialaccount" for record in get_authentication_records(request, request.user))


def record_provider_proof(request: HttpRequest, user: User, *, at: float | None) -> None:
    """Remember when the person last showed the provider of single sign-on who they are.

    :param at: seconds since 1970, by the provider's clock; None, where it does not say, is no proof.
    """
    now = time.time()
    if at is not None and at <= now + CLOCKS_DIFFER_BY:
        record_authentication(request, user, "single_sign_on", at=min(at, now))


def _proofs(request: HttpRequest) -> list[dict[str, Any]]:
    """What this session was proved by. For who has a second factor the password alone is none.

    That somebody came through the provider is none: it may have let a browser through that it saw proof from long ago.
    """
    records: list[dict[str, Any]] = get_authentication_records(request, request.user)
    if not isinstance(request.user, User) or not second_factors.has_one(request.user):
        return [record for record in records if record["method"] != "socialaccount"]
    return [record for record in records if record["method"] == "mfa"]
