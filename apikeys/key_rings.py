"""Whether the key rings of this process are those that the store's secrets were made with."""

from django.db import connection

from accounts.sealing import UnsealError
from apikeys import secrets
from apikeys.models import ApiKey


class ForeignStoreError(Exception):
    """With these rings no secret that the store holds would be found, or none would open."""


def refuse_foreign_store() -> None:
    """Try the newest key. Reads columns that the first migration made, so it may come before the others.

    :raises ForeignStoreError: if its digest or its seal is not of these rings.
    """
    if ApiKey._meta.db_table not in connection.introspection.table_names():
        return
    needed = ("account_id", "generation", "digest", "sealed_secret", "sealed_with")
    newest = ApiKey.objects.only(*needed).order_by("-created_at").first()
    if newest is None:
        return
    try:
        secret = newest.secret()
    except UnsealError as failure:
        raise ForeignStoreError(_refusal("KEY_ENCRYPTION_KEYS")) from failure
    if bytes(newest.digest) not in secrets.digests(secret):
        raise ForeignStoreError(_refusal("DIGEST_PEPPERS"))


def _refusal(variable: str) -> str:
    return f"The database holds API keys that were made with another {variable}."
