"""How passwords are kept. All other tests hash cheaply (`tests.hashers`); these do it as the portal does."""

import pytest
from django.contrib.auth.hashers import identify_hasher, make_password
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from keyportal import settings as written
from tests.factories import PASSWORD, UserFactory
from tests.hashers import QuickArgon2PasswordHasher


@pytest.fixture(autouse=True)
def _hashers_of_the_portal(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = written.PASSWORD_HASHERS


def test_a_password_is_kept_as_argon2id_at_the_cost_that_django_recommends() -> None:
    kept = make_password(PASSWORD)

    assert kept.startswith("argon2$argon2id$v=19$m=102400,t=2,p=8$")


@pytest.mark.django_db
def test_a_password_hashed_at_a_lower_cost_is_hashed_anew_when_its_owner_signs_in(client: Client) -> None:
    user = UserFactory.create(password=make_password(PASSWORD, hasher=QuickArgon2PasswordHasher()))
    assert identify_hasher(user.password).must_update(user.password)

    client.post("/auth/login/", {"login": user.email, "password": PASSWORD})

    assert not identify_hasher(user.password).must_update(User.objects.get().password)


@pytest.mark.django_db
def test_who_is_asked_again_and_has_it_hashed_anew_stays_signed_in(client: Client) -> None:
    user = UserFactory.create(password=make_password(PASSWORD, hasher=QuickArgon2PasswordHasher()))
    client.force_login(user)

    client.post("/auth/reauthenticate/", {"password": PASSWORD})

    assert User.objects.get().password != user.password
    assert client.get("/profile/").status_code == 200
