"""Operators at the admin's pages."""

from typing import Any

from django.test import Client
from django.urls import reverse

from tests.factories import PASSWORD, UserFactory


def operator_at_the_pages(**fields: Any) -> Client:
    user = UserFactory.create(is_staff=True, **fields)
    client = Client()
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    return client


def page(name: str, *args: object) -> str:
    return reverse(f"admin:accounts_{name}", args=args)
