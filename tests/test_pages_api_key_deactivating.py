"""Deactivating on the pages: confirmed by the account's name, and what is left afterwards."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from apikeys.models import ApiKey
from apikeys.operations import api_keys
from tests.factories import AccountFactory, ApiKeyFactory, CallFactory, SuperAdminFactory
from tests.key_pages import DEACTIVATE, PAGE, PREVIOUS, ROTATE, text_of
from tests.visitors import admin_of, path, signed_in

pytestmark = pytest.mark.django_db


def test_the_accounts_name_confirms_however_the_keyboard_composes_its_accents() -> None:
    key = ApiKeyFactory.create(account__name="Caf\u00e9 Okafor")

    confirmed = {"generation": 1, "confirmation": "Cafe\u0301  Okafor"}
    answer = signed_in(admin_of(key)).post(path(DEACTIVATE, key.account), confirmed)

    assert answer.status_code == 302
    assert not ApiKey.objects.active().exists()


@pytest.mark.parametrize("typed", ["", "acme", "Acme Industries "])
def test_deactivating_takes_the_accounts_name(typed: str) -> None:
    key = ApiKeyFactory.create(account=AccountFactory.create(name="Acme Industries"))

    answer = signed_in(admin_of(key)).post(path(DEACTIVATE, key.account), {"generation": 1, "confirmation": typed})

    key.refresh_from_db()
    assert key.is_active == (typed.strip() != "Acme Industries")
    assert answer.status_code == (400 if key.is_active else 302)


def test_after_deactivating_the_page_lists_who_still_presents_the_key() -> None:
    key = ApiKeyFactory.create()
    api_keys.deactivate_api_key(
        account=key.account, generation=1, by=admin_of(key), now=timezone.now() - timedelta(hours=1)
    )
    CallFactory.create(
        account_id=key.account_id, credential_id=key.id, agent="hubspot3", status=401, reason="deactivated"
    )

    text = text_of(signed_in(admin_of(key)), PREVIOUS, key.account)

    assert "The API key is deactivated" in text
    assert "<strong>hubspot3</strong>" in text


@pytest.mark.parametrize("name", [ROTATE, DEACTIVATE])
def test_without_a_key_there_is_nothing_to_rotate_or_deactivate(name: str) -> None:
    admin = SuperAdminFactory.create()

    answer = signed_in(admin).get(path(name, admin.account), follow=True)

    assert answer.redirect_chain == [(path(PAGE, admin.account), 302)]
    assert b"This account has no active API key." in answer.content


def test_a_call_of_another_credential_is_no_caller_of_the_key() -> None:
    key = ApiKeyFactory.create()
    CallFactory.create(account_id=key.account_id, credential_id=uuid4(), agent="other")

    assert "other" not in text_of(signed_in(admin_of(key)), ROTATE, key.account).partition("What keeps working")[0]
