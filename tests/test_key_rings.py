"""A portal whose key rings are not the store's does not start: it would call every key unknown."""

import base64

import pytest
from django.db import connection
from pytest_django import Settings

from apikeys.key_rings import ForeignStoreError, refuse_foreign_store
from tests.factories import ApiKeyFactory

pytestmark = pytest.mark.django_db

OTHER = {"other": base64.b64decode("b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3Q=")}


def test_a_store_without_keys_belongs_to_whoever_comes_first() -> None:
    refuse_foreign_store()


def test_a_store_without_tables_belongs_to_whoever_comes_first() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE apikeys_apikey RENAME TO put_aside")

    refuse_foreign_store()


def test_the_rings_that_made_the_keys_are_taken(settings: Settings) -> None:
    ApiKeyFactory.create()
    settings.KEY_ENCRYPTION_KEYS = OTHER | settings.KEY_ENCRYPTION_KEYS
    settings.DIGEST_PEPPERS = OTHER | settings.DIGEST_PEPPERS

    refuse_foreign_store()


@pytest.mark.parametrize("variable", ["KEY_ENCRYPTION_KEYS", "DIGEST_PEPPERS"])
def test_rings_of_another_installation_are_refused_by_name(settings: Settings, variable: str) -> None:
    ApiKeyFactory.create()
    setattr(settings, variable, OTHER)

    with pytest.raises(ForeignStoreError, match=variable):
        refuse_foreign_store()


def test_a_ring_that_has_the_right_names_and_other_bytes_is_refused_too(settings: Settings) -> None:
    ApiKeyFactory.create()
    settings.KEY_ENCRYPTION_KEYS = dict.fromkeys(settings.KEY_ENCRYPTION_KEYS, OTHER["other"])

    with pytest.raises(ForeignStoreError, match="KEY_ENCRYPTION_KEYS"):
        refuse_foreign_store()
