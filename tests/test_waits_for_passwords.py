"""Hashing a password takes a tenth of a second by design. No transaction is open meanwhile: on SQLite others wait."""

import re
from typing import Any

import pytest
from django.conf import settings as portal
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts import invitations, proofs_by_mail, setup
from accounts.models import User
from tests.factories import NOW, PASSWORD, InvitationFactory, UserFactory
from tests.hashers import QuickArgon2PasswordHasher

pytestmark = pytest.mark.django_db(transaction=True)

ANOTHER = "another correct horse"
in_transaction: list[bool] = []


class WatchedHasher(QuickArgon2PasswordHasher):
    def encode(self, password: str, salt: str) -> str:
        in_transaction.append(connection.in_atomic_block)
        return str(super().encode(password, salt))


@pytest.fixture(autouse=True)
def _watched(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.WatchedHasher"]
    in_transaction.clear()


def test_who_accepts_an_invitation_makes_nobody_wait() -> None:
    guest: dict[str, Any] = {"name": "Guest", "password": ANOTHER, "now": timezone.now()}

    member = invitations.accept_as_new_person(invitation=InvitationFactory.create(), **guest)

    assert member.user.check_password(ANOTHER)
    assert set(in_transaction) == {False}


def test_who_sets_the_portal_up_makes_nobody_wait() -> None:
    own = {"account_name": "Acme", "name": "Ada", "email": "ada@acme.example", "password": ANOTHER}

    setup.make_first_account(**own, now=NOW)

    assert User.objects.get().check_password(ANOTHER)
    assert set(in_transaction) == {False}


def test_who_changes_their_password_makes_nobody_wait() -> None:
    user, client = UserFactory.create(), Client()
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    in_transaction.clear()

    client.post(
        reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": ANOTHER, "password2": ANOTHER}
    )

    assert User.objects.get().check_password(ANOTHER)
    assert set(in_transaction) == {False}


def test_who_chooses_a_password_by_a_link_makes_nobody_wait(client: Client) -> None:
    user = UserFactory.create()
    link = re.sub(f"^{portal.SITE_ORIGIN}", "", proofs_by_mail.new_password_link(user))
    form = client.get(link).headers["Location"]
    in_transaction.clear()

    client.post(form, {"password1": ANOTHER, "password2": ANOTHER})

    assert User.objects.get().check_password(ANOTHER)
    assert set(in_transaction) == {False}


def test_who_signs_in_makes_nobody_wait(client: Client) -> None:
    user = UserFactory.create()
    in_transaction.clear()

    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})

    assert "_auth_user_id" in client.session
    assert set(in_transaction) <= {False}
