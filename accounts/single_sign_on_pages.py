"""The way to the provider and back: signing in, proving who one is, and the page for what went wrong."""

from typing import NamedTuple

import structlog
from allauth.account.utils import get_next_redirect_url
from allauth.core.internal.ratelimit import consume_or_429
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from requests import RequestException

from accounts.openid_connect import OAuth2Adapter, Provider, RefusedError

_log = structlog.get_logger(__name__)


class Refusal(NamedTuple):
    status: int
    heading: Promise
    what_to_do: Promise  # %(provider)s


REFUSALS = {
    "cancelled": Refusal(403, _("You did not sign in"), _("It was cancelled at %(provider)s, or not allowed there.")),
    "stale": Refusal(
        400, _("This sign-in is over"), _("It took over ten minutes, or was begun in another browser. Start again.")
    ),
    "away": Refusal(
        503, _("%(provider)s does not answer"), _("Try again in a few minutes, or sign in another way that you have.")
    ),
    "broken": Refusal(
        502, _("%(provider)s did not confirm it"), _("Try again. If it stays so, tell the people who run this portal.")
    ),
    "unverified": Refusal(
        403,
        _("Your address is not verified"),
        _("%(provider)s has not made sure that your e-mail address is yours. Have that done there, then try again."),
    ),
    "stranger": Refusal(
        403,
        _("You are not known here"),
        _(
            "Nobody here signs in with what %(provider)s says of you. Ask a super admin to invite the address that you"
            " have there, or the people who run this portal."
        ),
    ),
    "other": Refusal(
        403, _("That was somebody else"), _("Confirm it at %(provider)s as the person who is signed in here.")
    ),
    "old": Refusal(
        403,
        _("%(provider)s did not ask you"),
        _("It has to say that you showed who you are just now, and did not. Try again, or else choose a password."),
    ),
}
# What no provider that keeps to the protocol makes allauth fall over, and others do.
MISTAKES = (ArithmeticError, AttributeError, ImproperlyConfigured, LookupError, OAuth2Error, TypeError, ValueError)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def begin(request: HttpRequest) -> HttpResponse:
    """Lead to the provider. A link or bookmark leads to the sign-in page, whose button it is."""
    _require_provider()
    if request.method != "POST":
        return redirect("account_login")
    return _lead_to_provider(request, proof=False)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def prove(request: HttpRequest) -> HttpResponse:
    """For who has no password: show the provider once more who they are."""
    _require_provider()
    if request.method == "POST":
        return _lead_to_provider(request, proof=True)
    return render(request, "accounts/single_sign_on_proof.html", {"next": get_next_redirect_url(request)})


@never_cache
@require_http_methods(["GET"])
def callback(request: HttpRequest) -> HttpResponse:
    """Where the provider sends people back to."""
    _require_provider()
    too_many: HttpResponse | None = consume_or_429(
        request, app="allauth.account", action="single_sign_on", limit_get=True
    )
    if too_many is not None:
        return too_many
    try:
        answer: HttpResponse = OAuth2CallbackView.adapter_view(OAuth2Adapter(request, settings.OIDC_ISSUER))(request)
    except RefusedError as refusal:
        return _refuse(request, refusal.reason, refusal.__cause__)
    except RequestException as failure:
        return _refuse(request, "away", failure)
    except MISTAKES as mistake:
        return _refuse(request, "broken", mistake)
    return answer


def _require_provider() -> None:
    if not settings.OIDC_ISSUER:
        raise Http404


def _lead_to_provider(request: HttpRequest, *, proof: bool) -> HttpResponse:
    """A page that goes on by itself: the content security policy lets no form lead to another site."""
    too_many: HttpResponse | None = consume_or_429(request, app="allauth.account", action="single_sign_on")
    if too_many is not None:
        return too_many
    provider: Provider = get_adapter(request).get_provider(request, provider=settings.OIDC_ISSUER)
    again = {"prompt": "login", "max_age": "0"} if proof else {}
    back = get_next_redirect_url(request)
    try:
        there = provider.redirect(request, AuthProcess.LOGIN, back, auth_params=again, proof=proof)
    except RequestException as failure:
        return _refuse(request, "away", failure)
    except MISTAKES as mistake:
        return _refuse(request, "broken", mistake)
    address = there.headers["Location"]
    page = render(request, "accounts/single_sign_on_leave.html", {"address": address})
    page.headers["Refresh"] = f"0; url={address}"
    return page


def _refuse(request: HttpRequest, reason: str, cause: BaseException | None) -> HttpResponse:
    refusal = REFUSALS[reason]
    if cause is not None:  # by its name alone: it may quote what the provider said
        _log.warning("single_sign_on_refused", reason=reason, cause=type(cause).__name__)
    named = {"provider": settings.OIDC_NAME}
    context = {"heading": refusal.heading % named, "what_to_do": refusal.what_to_do % named, "reason": reason}
    return render(request, "accounts/single_sign_on_refused.html", context, status=refusal.status)
