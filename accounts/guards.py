"""In front of every page of an account: who is it, may they, and did they just prove it?"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone

from accounts import second_factors
from accounts.models import Member, User
from accounts.permissions import Permission
from auditlog import journal
from auditlog.actions import Action

MemberView = Callable[..., HttpResponse]  # (request, member, …)
AccountView = Callable[..., HttpResponse]  # (request, slug, …)


def requires(permission: Permission, *, attempt: Action | None = None) -> Callable[[MemberView], AccountView]:
    """Turn the slug of the URL into the signed-in person's Member; 404 for strangers, 403 where the role lacks it.

    :param attempt: the action that a refusal is written down as.
    """

    def decorate(view: MemberView) -> AccountView:
        @login_required
        @wraps(view)
        def guarded(request: HttpRequest, slug: str, *args: Any, **kwargs: Any) -> HttpResponse:
            members = Member.objects.active().select_related("account", "user")
            member = get_object_or_404(members, account__slug=slug, user=request.user)
            if not member.may(permission):
                return _refuse(request, member, attempt)
            return view(request, member, *args, **kwargs)

        return guarded

    return decorate


def _refuse(request: HttpRequest, member: Member, attempt: Action | None) -> HttpResponse:
    if attempt is not None:
        reason = f"The role {member.get_role_display()} may not."
        journal.record_refusal(attempt, of=member.account, by=member, reason=reason, at=timezone.now())
    context = {"member": member, "account": member.account, "super_admins": member.account.super_admins()}
    return render(request, "accounts/role_lacks_permission.html", context, status=403)


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
            if request.accepts("text/html"):
                return redirect(url)
            return JsonResponse({"reauthenticate": url}, status=403)

        return guarded

    return decorate


def proof_address(request: HttpRequest, *, back: str) -> str:
    """Where the person proves who they are, with what they have for it, and then goes on to `back`."""
    methods = get_adapter(request).get_reauthentication_methods(request.user)
    return f"{methods[0]['url']}?{urlencode({'next': back})}"


def is_recently_authenticated(request: HttpRequest) -> bool:
    """Whether this session's newest proof that counts is at most five minutes old."""
    newest = max((record["at"] for record in _proofs(request)), default=0.0)
    return 0 <= time.time() - newest <= settings.RECENT_AUTHENTICATION_SECONDS


def shows_second_factor(request: HttpRequest) -> bool:
    """Whether this session was ever proved by all that the person has."""
    return isinstance(request.user, User) and (not second_factors.has_one(request.user) or bool(_proofs(request)))


def _proofs(request: HttpRequest) -> list[dict[str, Any]]:
    """What this session was proved by. For who has a second factor the password alone is none."""
    records: list[dict[str, Any]] = get_authentication_records(request, request.user)
    if not isinstance(request.user, User) or not second_factors.has_one(request.user):
        return records
    return [record for record in records if record["method"] == "mfa"]
