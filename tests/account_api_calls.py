"""Calls of the account API, made in the tests' own process."""

from typing import Any

from django.test import Client

from apikeys.models import ApiKey


def ask(key: ApiKey, path: str, method: str = "GET", **extra: Any) -> Any:
    return Client().generic(method, path, headers={"Authorization": f"Bearer {key.secret()}"}, **extra)
