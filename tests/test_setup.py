"""The one-time link of a new installation."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client

from accounts import setup
from accounts.models import Account, Member, User
from accounts.permissions import Role
from apikeys import secrets
from auditlog.models import AuditEntry
from tests.factories import NOW, UserFactory
from tests.test_addresses import REFUSED

pytestmark = pytest.mark.django_db

FILLED_IN = {
    "account_name": "Acme Ltd",
    "name": "Ada Okafor",
    "email": "ada@acme.example",
    "password": "correct horse battery staple",
}


def _path() -> str:
    link = setup.link()
    assert link is not None
    return urlsplit(link).path


def test_the_link_makes_operator_account_and_super_admin_and_signs_in(client: Client) -> None:
    answer = client.post(_path(), FILLED_IN)

    member = Member.objects.select_related("user", "account").get()
    assert (member.role, member.user.is_staff, member.user.is_superuser) == (Role.SUPER_ADMIN, True, True)
    assert (member.account.name, member.account.slug) == ("Acme Ltd", "acme-ltd")
    assert client.session["_auth_user_id"] == str(member.user.pk)
    assert answer.headers["Location"] == "/accounts/acme-ltd/"
    assert AuditEntry.objects.filter(actor_email="ada@acme.example", account_id=member.account.pk).exists()


def test_who_typed_capitals_into_their_address_can_sign_in_and_prove_who_they_are(client: Client) -> None:
    capitals = {"login": "Ada@Acme.example", "password": FILLED_IN["password"]}
    client.post(_path(), FILLED_IN | {"email": "Ada@Acme.example"})
    again = Client()

    signed_in = again.post("/auth/login/", capitals)
    proved = again.post("/auth/reauthenticate/", {"password": FILLED_IN["password"], "next": "/profile/"})

    assert (signed_in.status_code, signed_in.headers["Location"]) == (302, "/accounts/")
    assert (proved.status_code, proved.headers["Location"]) == (302, "/profile/")


def test_opening_the_link_shows_the_form_and_changes_nothing(client: Client) -> None:
    answer = client.get(_path())

    assert answer.status_code == 200
    assert b'name="account_name"' in answer.content
    assert not User.objects.exists()


def test_the_link_works_once(client: Client) -> None:
    path = _path()
    client.post(path, FILLED_IN)

    again = Client().post(path, FILLED_IN | {"email": "eve@acme.example"})

    assert again.status_code == 410
    assert User.objects.get().email == "ada@acme.example"


def test_there_is_no_link_once_there_is_a_user() -> None:
    UserFactory.create()

    assert setup.link() is None


def test_a_link_that_was_tampered_with_is_not_found(client: Client) -> None:
    path = _path()

    answers = [client.post(wrong, FILLED_IN).status_code for wrong in (path[:-2] + "x/", "/set-up/x/", path + "x/")]

    assert answers == [404, 404, 404]
    assert not User.objects.exists()


@pytest.mark.parametrize("field", ["account_name", "name"])
def test_a_key_that_was_pasted_into_a_name_is_refused(client: Client, field: str) -> None:
    secret = secrets.generate(secrets.Kind.API_KEY)

    answer = client.post(_path(), FILLED_IN | {field: f"Ada {secret}"})

    assert b"This looks like a key" in answer.content
    assert secret.encode() not in answer.content
    assert not User.objects.exists()


@pytest.mark.parametrize("typed", [*REFUSED, "", " "])
def test_a_bad_address_is_explained_and_nobody_is_made(client: Client, typed: str) -> None:
    answer = client.post(_path(), FILLED_IN | {"email": typed})

    assert REFUSED.get(typed, "This field is required.") in answer.content.decode()
    assert not User.objects.exists()


def test_a_weak_password_is_refused_on_the_form(client: Client) -> None:
    answer = client.post(_path(), FILLED_IN | {"password": "password"})

    assert answer.status_code == 200
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_at_once_one_becomes_the_first() -> None:
    def use_link(number: int) -> str:
        try:
            setup.make_first_account(
                account_name="Acme", name="Ada", email=f"ada{number}@acme.example", password="x", now=NOW
            )
        except setup.AlreadySetUpError:
            return "too late"
        finally:
            connection.close()
        return "first"

    with ThreadPoolExecutor(16) as pool:
        answers = sorted(pool.map(use_link, range(16)))

    assert answers == ["first"] + ["too late"] * 15
    assert Account.objects.count() == User.objects.count() == 1
