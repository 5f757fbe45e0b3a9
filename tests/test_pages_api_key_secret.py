"""How the secret of the account API key leaves by the pages: created, shown, refused, asked for again."""

import time

import pytest
from django.test import Client

from accounts.permissions import Role
from apikeys.models import ApiKey
from auditlog.actions import Action, Outcome
from tests.factories import ApiKeyFactory, MemberFactory, SuperAdminFactory
from tests.key_pages import CREATE, DEACTIVATE, NOT_SUPER_ADMIN, PAGE, ROTATE, SHOW, entries
from tests.visitors import HTML, JSON, admin_of, path, signed_in, signed_in_a_while_ago

pytestmark = pytest.mark.django_db


def test_creating_makes_the_key_and_leads_back_to_its_page() -> None:
    admin = SuperAdminFactory.create()

    answer = signed_in(admin).post(path(CREATE, admin.account))

    assert answer.headers["Location"] == path(PAGE, admin.account)
    assert ApiKey.objects.get().account == admin.account


def test_creating_a_second_key_changes_nothing_and_says_so() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).post(path(CREATE, key.account), follow=True)

    assert b"has an active API key already" in answer.content
    assert ApiKey.objects.count() == 1


def test_the_script_gets_the_secret_as_json_that_nobody_stores_and_an_entry_is_written() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).post(path(SHOW, key.account), headers=JSON)

    assert answer.json() == {"secret": key.secret(), "hide_after": 60}
    assert "no-store" in answer.headers["Cache-Control"]
    assert entries(Action.API_KEY_VIEWED) == [Outcome.DONE]


def test_without_script_the_secret_is_a_page_that_nobody_stores_and_that_leaves_by_itself() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).post(path(SHOW, key.account), headers=HTML)

    assert key.secret() in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Refresh"] == f"60;url={path(PAGE, key.account)}"


def test_the_secret_is_never_the_answer_to_a_get() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).get(path(SHOW, key.account))

    assert answer.status_code == 302
    assert answer.headers["Location"] == path(PAGE, key.account)
    assert not entries(Action.API_KEY_VIEWED)


def test_another_method_than_its_own_is_explained_on_a_page() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in(admin_of(key)).put(path(SHOW, key.account))

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, POST"
    assert b"Nothing was changed." in answer.content


def test_where_the_session_ended_the_script_is_sent_to_sign_in_and_back() -> None:
    key = ApiKeyFactory.create()

    answer = Client().post(path(SHOW, key.account), headers=JSON)

    assert answer.status_code == 401
    assert answer.json() == {"sign_in": f"/auth/login/?next={path(PAGE, key.account)}"}


def test_a_script_on_a_page_from_before_signing_in_again_is_told_to_reload() -> None:
    key = ApiKeyFactory.create()

    answer = Client(enforce_csrf_checks=True).post(path(SHOW, key.account), headers=JSON)

    assert answer.status_code == 403
    assert "Reload it" in answer.json()["message"]


def test_a_script_of_who_may_not_gets_words_to_show() -> None:
    key = ApiKeyFactory.create()
    member = MemberFactory.create(account=key.account, role=Role.DEVELOPER)

    answer = signed_in(member).post(path(SHOW, key.account), headers=JSON)

    strangers = signed_in(SuperAdminFactory.create()).post(path(SHOW, key.account), headers=JSON)

    assert (answer.status_code, strangers.status_code) == (403, 404)
    assert "role" in answer.json()["message"]
    assert "nothing here" in strangers.json()["message"]


def test_an_older_proof_of_identity_counts_though_a_clock_that_was_set_back_left_a_newer_one() -> None:
    key = ApiKeyFactory.create()
    client = signed_in(admin_of(key))
    session = client.session
    records = session["account_authentication_methods"]
    session["account_authentication_methods"] = [*records, {**records[0], "at": time.time() + 3600}]
    session.save()

    answer = client.post(path(SHOW, key.account), headers=JSON)

    assert answer.status_code == 200


def test_showing_a_key_that_is_gone_says_so() -> None:
    admin = SuperAdminFactory.create()

    answer = signed_in(admin).post(path(SHOW, admin.account), headers=JSON)

    assert answer.status_code == 409
    assert "no active API key" in answer.json()["message"]


def test_a_secret_that_cannot_be_opened_is_explained() -> None:
    key = ApiKeyFactory.create()
    ApiKey.objects.update(sealed_with="lost-key")

    answer = signed_in(admin_of(key)).post(path(SHOW, key.account), headers=JSON)

    assert answer.status_code == 409
    assert "cannot be opened" in answer.json()["message"]


def test_five_minutes_after_signing_in_the_script_is_sent_to_the_password_and_back() -> None:
    key = ApiKeyFactory.create()

    answer = signed_in_a_while_ago(admin_of(key)).post(path(SHOW, key.account), headers=JSON)

    assert answer.status_code == 403
    assert answer.json() == {
        "reauthenticate": f"/auth/reauthenticate/?next=%2Faccounts%2F{key.account.slug}%2Fapi-key%2F"
    }
    assert not entries(Action.API_KEY_VIEWED)


@pytest.mark.parametrize(("name", "back"), [(SHOW, PAGE), (CREATE, PAGE), (ROTATE, ROTATE), (DEACTIVATE, DEACTIVATE)])
def test_everything_that_touches_the_secret_asks_for_the_password_again(name: str, back: str) -> None:
    key = ApiKeyFactory.create()

    answer = signed_in_a_while_ago(admin_of(key)).post(path(name, key.account), {"generation": 1}, headers=HTML)

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/auth/reauthenticate/")
    assert path(back, key.account).replace("/", "%2F") in answer.headers["Location"]
    assert ApiKey.objects.get().is_active


@pytest.mark.parametrize("role", NOT_SUPER_ADMIN)
@pytest.mark.parametrize(
    ("name", "action"),
    [
        (SHOW, Action.API_KEY_VIEWED),
        (CREATE, Action.API_KEY_CREATED),
        (ROTATE, Action.API_KEY_ROTATED),
        (DEACTIVATE, Action.API_KEY_DEACTIVATED),
    ],
)
def test_who_may_not_is_told_whom_to_ask_and_the_attempt_is_an_entry(role: Role, name: str, action: Action) -> None:
    key = ApiKeyFactory.create()
    member = MemberFactory.create(account=key.account, role=role)

    answer = signed_in(member).post(path(name, key.account), {"generation": 1})

    assert answer.status_code == 403
    assert admin_of(key).user.email in answer.content.decode()
    assert entries(action) == [Outcome.REFUSED]
    assert ApiKey.objects.get().is_active
