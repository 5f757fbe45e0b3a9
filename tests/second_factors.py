"""People with second factors, in tests: an authenticator app's codes, recovery codes, and signing in with them."""

import time

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.factories import PASSWORD

PERIOD = 30  # seconds


def add_app(user: User) -> str:
    """An authenticator app and recovery codes; its secret."""
    secret: str = generate_totp_secret()
    TOTP.activate(user, secret)
    RecoveryCodes.activate(user)
    return secret


def code(secret: str, *, lasts: float = 2) -> str:
    """What the app shows, for so many seconds at least. It counts again: tests do not wait."""
    cache.clear()
    if (left := PERIOD - time.time() % PERIOD) < lasts:
        time.sleep(left)
    shown: str = format_hotp_value(hotp_value(secret, int(time.time()) // PERIOD))
    return shown


def recovery_code(user: User) -> str:
    codes: list[str] = Authenticator.objects.get(user=user, type="recovery_codes").wrap().get_unused_codes()
    return codes[0]


def signed_in_with(user: User, secret: str) -> Client:
    client = Client()
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    client.post(reverse("mfa_authenticate"), {"code": code(secret)})
    return client
