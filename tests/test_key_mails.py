"""Mails about what was done to a key: to everybody concerned, with a way to undo it."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail as mailbox
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.utils import timezone

from accounts import operations
from accounts.actors import SHELL
from accounts.permissions import Role
from accounts.tasks import send_mails
from apikeys.models import ApiKey
from apikeys.operations import api_keys
from tests.factories import PASSWORD, AccountFactory, ApiKeyFactory, MemberFactory, SuperAdminFactory
from tests.visitors import admin_of, path, signed_in

pytestmark = pytest.mark.django_db(transaction=True)

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"


@pytest.fixture
def key() -> ApiKey:
    maker = SuperAdminFactory.create(
        user__email="ada@acme.example", user__name="Ada", account__name="Acme", account__slug="acme"
    )
    SuperAdminFactory.create(account=maker.account, user__email="grace@acme.example")
    MemberFactory.create(account=maker.account, role=Role.DEVELOPER)
    return ApiKeyFactory.create(account=maker.account, created_by=maker)


def sent() -> dict[str, EmailMultiAlternatives]:
    """What goes out now, by whom it goes to."""
    mailbox.outbox.clear()
    send_mails()
    return {message.to[0]: message for message in mailbox.outbox}  # type: ignore[misc]  # the outbox's own kind


ROTATE, DEACTIVATE = api_keys.rotate_api_key, api_keys.deactivate_api_key


@pytest.mark.parametrize(
    ("change", "subject", "said"),
    [
        (ROTATE, "Acme: the API key was rotated", "Ada rotated the API key of Acme. The new one ends in"),
        (DEACTIVATE, "Acme: the API key was deactivated", "Ada deactivated the API key of Acme, which ended in"),
    ],
)
def test_everybody_concerned_hears_of_a_change(
    key: ApiKey, change: Callable[..., Any], subject: str, said: str
) -> None:
    change(account=key.account, generation=1, by=admin_of(key), now=timezone.now())

    mails = sent()

    assert set(mails) == {"ada@acme.example", "grace@acme.example"}
    for message in mails.values():
        assert message.subject == subject
        assert str(message.body).startswith(said)
        assert "\n\n\n" not in str(message.body)
        assert said in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", str(message.alternatives[0][0])))


def test_a_new_key_is_told_of() -> None:
    admin = SuperAdminFactory.create(account=AccountFactory.create(name="Acme"))

    api_keys.create_api_key(account=admin.account, by=admin, now=timezone.now())

    assert [message.subject for message in sent().values()] == ["Acme: an API key was created"]


def test_the_one_who_did_it_is_asked_whether_it_was_them(key: ApiKey) -> None:
    api_keys.rotate_api_key(account=key.account, generation=1, by=admin_of(key), now=timezone.now())

    mails = sent()

    assert "It was not you? Deactivate the key now" in str(mails["ada@acme.example"].body)
    assert "It should not have happened? Deactivate the key now" in str(mails["grace@acme.example"].body)
    assert "http://localhost/accounts/acme/api-key/deactivate/\n" in str(mails["grace@acme.example"].body)


def test_following_the_link_leads_through_sign_in_and_changes_nothing(key: ApiKey) -> None:
    api_keys.rotate_api_key(account=key.account, generation=1, by=admin_of(key), now=timezone.now())
    address = path("apikeys:api-key-deactivate", key.account)

    scanned = [Client().get(address) for _ in range(3)]
    asked = signed_in(admin_of(key)).get(address)

    assert {answer.headers["Location"] for answer in scanned} == {f"/auth/login/?next={address}"}
    assert asked.status_code == 200
    assert key.account.api_keys.active().exists()


def _show(client: Client, key: ApiKey, *, address: str) -> None:
    client.post(path("apikeys:api-key-show", key.account), REMOTE_ADDR=address, headers={"User-Agent": FIREFOX})


def test_a_showing_is_told_of_only_from_a_network_that_is_new_for_the_person(key: ApiKey) -> None:
    client = signed_in(admin_of(key))
    sent()

    _show(client, key, address="203.0.113.9")
    first = sent()
    _show(client, key, address="203.0.113.200")
    again = sent()
    _show(client, key, address="198.51.100.4")
    elsewhere = sent()

    assert set(first) == set(elsewhere) == {"ada@acme.example", "grace@acme.example"}
    assert again == {}
    text = str(elsewhere["grace@acme.example"].body)
    assert text.startswith("Ada showed the API key of Acme, which ends in")
    assert "From: 198.51.100.4, Firefox on Linux" in text


def test_signing_in_makes_no_network_known(key: ApiKey) -> None:
    client = Client(REMOTE_ADDR="198.51.100.4")
    client.post("/auth/login/", {"login": admin_of(key).user.email, "password": PASSWORD})
    client.get(path("apikeys:api-key", key.account))
    sent()

    _show(client, key, address="198.51.100.4")

    assert set(sent()) == {"ada@acme.example", "grace@acme.example"}


def test_each_showing_from_a_shell_is_told_of(key: ApiKey) -> None:
    for _ in range(2):
        api_keys.show_api_key(account=key.account, by=SHELL, now=timezone.now())

        text = str(sent()["ada@acme.example"].body)

        assert text.startswith("The people who run this portal showed the API key of Acme")
        assert "By: the people who run this portal" in text


def test_who_has_left_before_it_is_sent_hears_nothing(key: ApiKey) -> None:
    api_keys.rotate_api_key(account=key.account, generation=1, by=SHELL, now=timezone.now())
    operations.remove(member=admin_of(key), by=SHELL, now=timezone.now())

    assert set(sent()) == {"grace@acme.example"}


def test_no_mail_holds_a_secret(key: ApiKey) -> None:
    issued = api_keys.rotate_api_key(account=key.account, generation=1, by=admin_of(key), now=timezone.now())

    raw = b"".join(message.message().as_bytes() for message in sent().values())

    assert issued.secret.encode() not in raw
    assert issued.key.last4.encode() in raw


def test_a_refused_attempt_is_no_change(key: ApiKey) -> None:
    with pytest.raises(api_keys.KeyNotCurrentError):
        api_keys.rotate_api_key(account=key.account, generation=7, by=admin_of(key), now=timezone.now())

    assert sent() == {}
