"""How allauth behaves here."""

import re
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.mail import EmailMessage
from django.http import HttpRequest
from django.utils import timezone

from accounts import operations
from accounts.models import User

# A browser drops tabs and line ends from an address and reads a backslash as a slash; two slashes begin a host.
_PATH_HERE = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002 -- allauth's signature
        """People come by the set-up link, the operator or an invitation; nobody signs up on their own."""
        return False

    def login(self, request: HttpRequest, user: User) -> None:
        super().login(request, user)
        operations.note_sign_in(user=user, now=timezone.now())

    def is_safe_url(self, url: str | None) -> bool:
        """Whether `next` may lead there: to paths of the portal alone, never by way of a host, be it one of ours."""
        return _PATH_HERE.fullmatch(url or "") is not None and super().is_safe_url(url)

    def get_reset_password_from_key_url(self, key: str) -> str:
        """At SITE_ORIGIN, whatever host and port the request named."""
        path = urlsplit(super().get_reset_password_from_key_url(key)).path
        return f"{settings.SITE_ORIGIN}{path}"

    def render_mail(self, template_prefix: str, email: str, context: dict[str, Any], **rest: Any) -> EmailMessage:
        """allauth's texts name the site as the request did; here, as it is."""
        site = SimpleNamespace(name="KeyPortal", domain=settings.SITE_ORIGIN)
        message: EmailMessage = super().render_mail(template_prefix, email, {**context, "current_site": site}, **rest)
        return message
