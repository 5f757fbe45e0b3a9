"""The provider's pages: its own sign-in, the toolkit's endpoints, and what tests set it up with."""

import json
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.models import Application
from oauth2_provider.oauth2_validators import OAuth2Validator

PASSWORD = "at the provider"
CLAIMS: dict[str, dict[str, Any]] = {}  # by user name
MISCHIEF: dict[str, Any] = {}


class Validator(OAuth2Validator):
    oidc_claim_scope = None

    def get_additional_claims(self, request: Any) -> dict[str, Any]:
        claims: dict[str, Any] = CLAIMS.get(request.user.username, {})
        return claims

    def get_id_token_dictionary(self, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], Any]:
        claims: dict[str, Any]
        claims, expires_at = super().get_id_token_dictionary(*args, **kwargs)
        return claims | MISCHIEF.get("id_token", {}), expires_at

    def finalize_id_token(self, id_token: dict[str, Any], *args: Any, **kwargs: Any) -> str:
        changed = {name: MISCHIEF[name] for name in ("aud", "nonce") if name in MISCHIEF}
        token: str = super().finalize_id_token(id_token | changed, *args, **kwargs)
        head, body, signature = token.split(".")
        return f"{head}.{body}.{'A' * len(signature)}" if MISCHIEF.get("forged") else token

    def get_userinfo_claims(self, request: Any) -> dict[str, Any]:
        claims: dict[str, Any] = super().get_userinfo_claims(request)
        changed: dict[str, Any] = MISCHIEF.get("userinfo", {})
        return claims | changed


@csrf_exempt
def person(request: HttpRequest, name: str) -> HttpResponse:
    user, made = User.objects.get_or_create(username=name)
    if made:
        user.set_password(PASSWORD)
        user.save()
    CLAIMS[name] = json.loads(request.body)
    return HttpResponse(str(user.pk))


@csrf_exempt
def client(request: HttpRequest, client_id: str) -> HttpResponse:
    facts = json.loads(request.body)
    Application.objects.filter(client_id=client_id).delete()
    Application.objects.create(
        client_id=client_id,
        client_secret=facts["secret"],
        redirect_uris=facts["redirect_uri"],
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        algorithm=Application.RS256_ALGORITHM,
    )
    return HttpResponse()


@csrf_exempt
def mischief(request: HttpRequest) -> HttpResponse:
    MISCHIEF.clear()
    MISCHIEF.update(json.loads(request.body))
    return HttpResponse()


urlpatterns = [
    path("sign-in/", LoginView.as_view()),
    path("test/people/<str:name>", person),
    path("test/clients/<str:client_id>", client),
    path("test/mischief", mischief),
    path("", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
