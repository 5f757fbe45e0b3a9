"""How allauth speaks OpenID Connect here: to the one provider that the environment names, and strictly."""

from dataclasses import dataclass
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base import AuthError
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.crypto import constant_time_compare, get_random_string
from django.utils.translation import gettext as _
from requests import RequestException

from accounts import guards, operations, single_sign_on, site
from accounts.models import User
from auditlog.actions import Action, Outcome


class RefusedError(Exception):
    """The provider's answer signs nobody in; `reason` is one of `single_sign_on_pages.REFUSALS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claims:
    """What counts of what the provider says (OpenID Connect Core 1.0, 2 and 5.1)."""

    nonce: str
    proved_at: float | None  # auth_time: when the person last showed the provider who they are
    email: str
    email_verified: bool


class OAuth2Adapter(OpenIDConnectOAuth2Adapter):
    @property
    def openid_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().openid_config
        if config["issuer"].rstrip("/") != settings.OIDC_ISSUER:  # OpenID Connect Discovery 1.0, 4.3
            raise OAuth2Error("The discovery document is another issuer's.")
        return config

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:  # noqa: ARG002 -- allauth's signature
        """At the portal's own address, whatever host the request claims."""
        return site.link_to("single-sign-on-callback")

    def get_access_token_data(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        data: dict[str, Any] = super().get_access_token_data(*args, **kwargs)
        self.did_fetch_access_token = False  # else allauth would not verify the ID token's signature
        return data


class Provider(OpenIDConnectProvider):
    oauth2_adapter_class = OAuth2Adapter

    def redirect(self, request: HttpRequest, *args: Any, auth_params: dict[str, str], **kwargs: Any) -> HttpResponse:
        nonce = get_random_string(32)
        params = {**auth_params, "nonce": nonce}
        answer: HttpResponse = super().redirect(request, *args, auth_params=params, nonce=nonce, **kwargs)
        return answer

    def sociallogin_from_response(self, request: HttpRequest, response: dict[str, Any]) -> SocialLogin:
        login = super().sociallogin_from_response(request, response)
        token, told = response["id_token"], response["userinfo"]
        if told["sub"] != token["sub"]:  # OpenID Connect Core 1.0, 5.3.2
            raise OAuth2Error("The user info is somebody else's.")
        source = told if "email" in told else token
        login.claims = Claims(
            nonce=str(token.get("nonce", "")),
            proved_at=_moment(token.get("auth_time")),
            email=str(source.get("email", "")),
            email_verified=source.get("email_verified") is True,
        )
        return login

    def extract_uid(self, data: dict[str, Any]) -> str:
        return str(data["id_token"]["sub"])

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 -- allauth's signature
        """Nothing: what the provider says is asked anew each time."""
        return {}

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 -- allauth's signature
        return {}

    def extract_email_addresses(self, data: dict[str, Any]) -> list[Any]:  # noqa: ARG002 -- allauth's signature
        return []


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def list_apps(self, *_filters: Any, **_more: Any) -> list[SocialApp]:
        """The one that the environment names; rows of the database would count as well."""
        if not settings.OIDC_ISSUER:
            return []
        return [
            SocialApp(
                provider=Provider.id,
                provider_id=settings.OIDC_ISSUER,
                name=settings.OIDC_NAME,
                client_id=settings.OIDC_CLIENT_ID,
                secret=settings.OIDC_CLIENT_SECRET,
                settings={"server_url": settings.OIDC_ISSUER},
            )
        ]

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:  # noqa: ARG002 -- allauth's signature
        return False

    def on_authentication_error(
        self,
        request: HttpRequest,  # noqa: ARG002 -- allauth's signature
        provider: Provider,  # noqa: ARG002 -- likewise
        error: str | None = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        if error == AuthError.CANCELLED:
            raise RefusedError("cancelled")
        if isinstance(exception, RequestException):
            raise RefusedError("away") from exception
        without_state = exception is None and "state_id" in (extra_context or {})
        raise RefusedError("stale" if without_state else "broken") from exception

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Judge who it is, before allauth signs them in. By then the ID token is verified, its nonce is not.

        :raises RefusedError: if it is nobody.
        """
        sociallogin.token = None  # has served its purpose; allauth would keep it in the session until the second factor
        if not constant_time_compare(sociallogin.claims.nonce, sociallogin.state["nonce"]):
            raise RefusedError("stale")
        if sociallogin.state.get("proof"):
            raise ImmediateHttpResponse(self._prove(request, sociallogin))
        if not sociallogin.is_existing:
            self._link(sociallogin)
        if not sociallogin.user.is_active:
            reason = _("Single sign-on: the sign-in is switched off.")
            operations.note(
                Action.SIGN_IN_FAILED,
                user=sociallogin.user,
                now=timezone.now(),
                outcome=Outcome.REFUSED,
                reason=reason,
            )
            raise ImmediateHttpResponse(redirect("account_inactive"))
        guards.record_provider_proof(request, sociallogin.user, at=sociallogin.claims.proved_at)

    def _link(self, sociallogin: SocialLogin) -> None:
        claims, now = sociallogin.claims, timezone.now()
        if not claims.email_verified:
            reason = _("Single sign-on: the provider has not verified the address.")
            operations.note_failed_sign_in(email=claims.email, reason=reason, now=now)
            raise RefusedError("unverified")
        try:
            sociallogin.account = single_sign_on.link(subject=sociallogin.account.uid, email=claims.email, now=now)
        except single_sign_on.StrangerError as error:
            operations.note_failed_sign_in(email=claims.email, reason=str(error), now=now)
            raise RefusedError("stranger") from error
        sociallogin.user = sociallogin.account.user

    def _prove(self, request: HttpRequest, sociallogin: SocialLogin) -> HttpResponse:
        """Let who is signed in go on if the provider says that they just now showed who they are."""
        if not isinstance(request.user, User) or sociallogin.user != request.user:
            raise RefusedError("other")
        guards.record_provider_proof(request, request.user, at=sociallogin.claims.proved_at)
        if not guards.is_recently_authenticated(request):
            raise RefusedError("old")
        return redirect(sociallogin.get_redirect_url(request) or "accounts:choose")


def _moment(claim: object) -> float | None:
    return float(claim) if isinstance(claim, int | float) and not isinstance(claim, bool) else None
