"""How allauth behaves here: the portal's rules at the edges that it offers."""

import base64
import re
from collections.abc import Iterable
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.account.utils import has_verified_email
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import guards, operations, proofs_by_mail, sealing, second_factors, single_sign_on
from accounts.models import User
from auditlog import origin
from auditlog.actions import Action, Outcome
from auditlog.callers import network

SECOND_FACTOR = "keyportal/second-factor/1"  # what TOTP secrets and seeds of recovery codes are sealed for
# A browser drops tabs and line ends from an address and reads a backslash as a slash; two slashes begin a host.
_PATH_HERE = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


def _from_anywhere(credentials: dict[str, Any]) -> dict[str, str]:
    """The limit of failures with what was typed, wherever that was."""
    typed = str(credentials.get("email") or "").lower()
    return {"app": "allauth.account", "action": "login_failed_anywhere", "key": typed}


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002 -- allauth's signature
        """People come by the set-up link, the operator or an invitation; nobody signs up on their own."""
        return False

    def login(self, request: HttpRequest, user: User) -> None:
        """The last step, which may come minutes after the password: begin anew if an operator was faster."""
        if not has_verified_email(user, user.email):
            raise ImmediateHttpResponse(redirect("account_login"))
        super().login(request, user)
        through: dict[str, Any] = {}
        if guards.came_through_provider(request):
            through = {"through": settings.OIDC_NAME}
            request.session.set_expiry(0)  # as for who does not ask to stay signed in
        operations.note(Action.SIGN_IN_SUCCEEDED, user=user, now=timezone.now(), **through)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Within the limits? allauth's counts what was typed in one network, ours what was typed anywhere.

        So a stranger keeps somebody from signing in only in the stranger's own network, or with fifty guesses an hour.
        """
        super().pre_authenticate(request, **credentials)
        if not ratelimit.consume(request, dry_run=True, **_from_anywhere(credentials)):
            raise self.validation_error("too_many_login_attempts")

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        key: str = super()._get_login_attempts_cache_key(request, **credentials)
        return f"{key} {network(origin.current.get().address)}"

    def _delete_login_attempts_cached_email(self, request: HttpRequest, **credentials: Any) -> None:
        """After a new password by a mailed link."""
        super()._delete_login_attempts_cached_email(request, **credentials)
        ratelimit.clear(request, **_from_anywhere(credentials))

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        ratelimit.consume(request, **_from_anywhere(credentials))
        email = credentials.get("email") or ""
        operations.note_failed_sign_in(email=email, reason=_("Wrong password."), now=timezone.now())

    def reauthenticate(self, user: User, password: str) -> bool:
        """Judge the password under the page's own limit alone (`reauthenticate`, by person).

        allauth would count it as a sign-in too, and strangers who fail to sign in could keep members from their keys.
        """
        if user.check_password(password):
            # Which hashes it anew where that costs more by now; the session would end with the old hash.
            context.request.session[HASH_SESSION_KEY] = user.get_session_auth_hash()
            return True
        reason, now = _("Wrong password, when asked for it again."), timezone.now()
        operations.note(Action.SIGN_IN_FAILED, user=user, now=now, outcome=Outcome.REFUSED, reason=reason)
        return False

    def set_password(self, user: User, password: str) -> None:
        """The new password and the entry, both or neither. A link from a mail has shown the address to be theirs.

        The link was judged before the new password was hashed. If it ended meanwhile, its page says so, once more.
        """
        match = context.request.resolver_match
        by_link = match is not None and match.url_name == "account_reset_password_from_key"
        before = user.password
        user.set_password(password)  # takes its time by design: before SQLite's one lock for all who write
        try:
            with transaction.atomic():
                if by_link:
                    proofs_by_mail.lock_unchanged(user, password=before)
                    operations.prove_address(user)
                user.save(update_fields=["password"])
                action = Action.PASSWORD_RESET if by_link else Action.PASSWORD_CHANGED
                operations.note(action, user=user, now=timezone.now())
        except proofs_by_mail.LinkOverError as refusal:
            raise ImmediateHttpResponse(redirect(context.request.path)) from refusal

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        with transaction.atomic():
            confirmed: bool = super().confirm_email(request, email_address)
            if confirmed:
                operations.note(Action.ADDRESS_CONFIRMED, user=email_address.user, now=timezone.now())
        return confirmed

    def send_confirmation_mail(self, request: HttpRequest, emailconfirmation: Any, signup: bool) -> None:  # noqa: ARG002, FBT001 -- allauth's signature
        user = emailconfirmation.email_address.user
        proofs_by_mail.owe(proofs_by_mail.CONFIRM_ADDRESS, user=user, to=user.email, now=timezone.now())

    def get_client_ip(self, request: HttpRequest) -> str:
        """Whom the limits count: the visitor as the audit log has it, not the proxy in front of us all."""
        address: str = origin.current.get().address or super().get_client_ip(request)
        return address

    def is_safe_url(self, url: str | None) -> bool:
        """Whether `next` may lead there: to paths of the portal alone, never by way of a host, be it one of ours."""
        return _PATH_HERE.fullmatch(url or "") is not None and super().is_safe_url(url)

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:  # noqa: ARG002 -- allauth's signature
        """Judge by our own guard. allauth's lets people without a password through, and takes the password alone.

        :raises ReauthenticationRequired: its middleware then leads to the first of the methods below.
        """
        if not guards.is_recently_authenticated(context.request):
            raise ReauthenticationRequired
        return False

    def get_reauthentication_methods(self, user: User) -> list[dict[str, str]]:
        """The second factor for who has one, else password or single sign-on, else the page that says what to do."""
        methods: list[dict[str, str]] = super().get_reauthentication_methods(user)
        if not user.is_authenticated:
            return methods
        if second_factors.has_one(user):
            return [method for method in methods if method["id"] != "reauthenticate"]
        if single_sign_on.is_linked(user):
            words = _("Confirm through %(provider)s") % {"provider": settings.OIDC_NAME}
            methods.append({"id": "single_sign_on", "description": words, "url": reverse("single-sign-on-proof")})
            methods.sort(key=lambda method: (method["id"] == "single_sign_on") != self._came_through_provider())
        return methods or [{"id": "none", "description": "", "url": reverse("no-proof")}]

    @staticmethod
    def _came_through_provider() -> bool:
        return guards.came_through_provider(context.request)


class SecondFactorAdapter(DefaultMFAAdapter):
    def encrypt(self, text: str) -> str:
        key_id, sealed = sealing.seal(text, bound_to=SECOND_FACTOR)
        return f"{key_id}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, encrypted_text: str) -> str:
        key_id, _, sealed = encrypted_text.partition(":")
        return sealing.unseal(key_id, base64.b64decode(sealed), bound_to=SECOND_FACTOR)

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:  # noqa: A002 -- allauth's signature
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return _("Passkey %(number)d") % {"number": number}

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": _("KeyPortal")}


class SessionsAdapter(DefaultUserSessionsAdapter):
    def end_sessions(self, sessions: Iterable[UserSession]) -> None:
        ended = list(sessions)
        with transaction.atomic():
            super().end_sessions(ended)
            if ended:
                operations.note(Action.SESSIONS_ENDED, user=ended[0].user, now=timezone.now(), sessions=len(ended))
