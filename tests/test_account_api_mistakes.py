"""The account API: what it answers to mistakes, and to those whom it does not let in."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SHELL
from accounts.models import Account
from apikeys import secrets
from apikeys.gate import direct
from apikeys.models import ApiKey
from apikeys.operations import api_keys
from tests.account_api_calls import ask
from tests.factories import AccountFactory, ApiKeyFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _process(transactional_db: None) -> Iterator[None]:
    """A process of the portal for each test, that has written its calls when the test's database is emptied."""
    yield
    direct.close()


@pytest.fixture
def key() -> ApiKey:
    return ApiKeyFactory.create()


# --- Who is not let in --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/integrations/v1/me", "/account-info/2026-09/details", "/integrations/nothing"])
def test_without_a_credential_nothing_is_told(path: str) -> None:
    answer = Client().get(path)

    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["category"] == "INVALID_AUTHENTICATION"
    assert answer.json()["correlationId"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_header_that_came_twice_is_no_single_credential(key: ApiKey, header: str) -> None:
    once = f"Bearer {key.secret()}" if header == "Authorization" else key.secret()
    other = once[:-1] + ("0" if once[-1] != "0" else "1")

    answer = Client().get("/integrations/v1/me", headers={header: f"{once},{other}"})

    assert answer.status_code == 400
    assert answer.json()["category"] == "VALIDATION_ERROR"


def test_what_is_recognisably_no_secret_costs_no_read(
    key: ApiKey, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    typo = key.secret()[:-1] + ("0" if key.secret()[-1] != "0" else "1")

    with django_assert_num_queries(0):
        answer = Client().get("/integrations/v1/me", headers={"X-API-Key": typo})

    assert answer.status_code == 401


def test_all_secrets_that_are_not_valid_get_the_same_answer(key: ApiKey) -> None:
    rotated = key.secret()
    api_keys.rotate_api_key(account=key.account, generation=1, by=SHELL, now=timezone.now())
    unknown = secrets.generate(secrets.Kind.API_KEY)
    malformed = ["kp_", "kp", "x", f"{unknown}0", unknown[:-1], unknown.swapcase(), f"{unknown}%0a", "kp_" + "a" * 4000]

    answers = [
        Client().get("/integrations/v1/me", headers={"Authorization": f"Bearer {secret}"})
        for secret in [rotated, unknown, *malformed]
    ]

    bodies = {answer.content.replace(answer.json()["correlationId"].encode(), b"") for answer in answers}
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer error="invalid_token"'}
    assert len(bodies) == 1


def test_a_store_that_fails_lets_nothing_in_and_says_when_to_come_back(key: ApiKey) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE apikeys_apikey RENAME TO apikeys_apikey_gone")
    try:
        answer = Client().get("/integrations/v1/me", headers={"X-API-Key": key.secret()})
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE apikeys_apikey_gone RENAME TO apikeys_apikey")

    assert answer.status_code == 503
    assert answer.json()["category"] == "SERVICE_UNAVAILABLE"
    assert int(answer.headers["Retry-After"]) >= 1


# --- What is asked wrongly ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/integrations/v1/me", "/account-info/2026-09/details"])
def test_another_method_is_told_which_ones_there_are(key: ApiKey, path: str, method: str) -> None:
    answer = ask(key, path, method)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["category"] == "VALIDATION_ERROR"
    assert answer.json()["correlationId"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "path",
    [
        "/integrations/",
        "/integrations/v1/me/",
        "/integrations/v1/unknown",
        "/account-info/v4/details",
        "/account-info/2026-13/details",
        "/account-info/v3/%2e%2e/details",
        "/account-info/v3/../v3/details",
        "/account-info/v3//details",
        "/account-info/v3/details%0a",
        "/account-info/v3/%ff",
        "/account-info/v3/%3Cscript%3E",
    ],
)
def test_a_path_that_is_none_has_the_error_shape_and_repeats_nothing(key: ApiKey, path: str) -> None:
    answer = ask(key, path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["category"] == "OBJECT_NOT_FOUND"
    assert "script" not in answer.content.decode()


@pytest.mark.parametrize(
    "query", ["a=1", "limit=5&limit=6", "account__name__startswith=a", "order=password", "%ff", "a"]
)
def test_a_query_parameter_that_nobody_knows_is_refused(key: ApiKey, query: str) -> None:
    answer = ask(key, f"/integrations/v1/me?{query}")

    assert answer.status_code == 400
    assert answer.json()["category"] == "VALIDATION_ERROR"
    assert "password" not in answer.content.decode()


def test_a_bare_question_mark_is_no_parameter(key: ApiKey) -> None:
    assert ask(key, "/integrations/v1/me?").status_code == 200


def test_a_key_in_a_body_or_a_cookie_is_no_credential(key: ApiKey) -> None:
    client = Client()
    client.cookies["hapikey"] = key.secret()

    answers = [
        client.get("/integrations/v1/me"),
        client.post("/integrations/v1/me", {"hapikey": key.secret()}),
        client.post("/integrations/v1/me", {"hapikey": key.secret()}, content_type="application/json"),
    ]

    assert [answer.status_code for answer in answers] == [401] * 3


def test_a_suspended_account_is_refused(key: ApiKey) -> None:
    key.account.state = Account.State.SUSPENDED
    key.account.save()

    answer = ask(key, "/integrations/v1/me")

    assert (answer.status_code, answer.json()["category"]) == (403, "ACCESS_DENIED")


def test_the_call_after_the_last_of_ten_seconds_is_told_when_to_come_back() -> None:
    key = ApiKeyFactory.create(account=AccountFactory.create(burst_limit=2))
    ask(key, "/integrations/v1/me")
    ask(key, "/integrations/v1/me")

    answer = ask(key, "/integrations/v1/me")

    assert answer.status_code == 429
    assert answer.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert answer.json()["requestId"] == answer.headers["X-Request-Id"]
    assert 1 <= int(answer.headers["Retry-After"]) <= 11


def test_the_call_after_the_last_of_the_day_is_told_so_until_midnight() -> None:
    key = ApiKeyFactory.create(account=AccountFactory.create(daily_limit=1))
    ask(key, "/integrations/v1/me")

    answer = ask(key, "/integrations/v1/me")

    assert (answer.status_code, answer.json()["policyName"]) == (429, "DAILY")
    assert 1 <= int(answer.headers["Retry-After"]) <= timedelta(days=1).total_seconds()
