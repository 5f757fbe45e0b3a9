"""The account API: what it answers, to the letter, and what it answers to mistakes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.actors import SHELL
from accounts.models import Account
from apikeys import secrets
from apikeys.account_api.document import document
from apikeys.gate import direct
from apikeys.models import ApiKey
from apikeys.operations import api_keys
from auditlog.models import Call
from tests.factories import AccountFactory, ApiKeyFactory

pytestmark = pytest.mark.django_db(transaction=True)

NEW_YEAR = datetime(2026, 1, 1, 12, tzinfo=UTC)
PATHS = [
    "/integrations/v1/me",
    "/integrations/v1/limit/daily",
    *(
        f"/account-info/{version}/{path}"
        for version in ("v3", "2026-03", "2026-09")
        for path in ("details", "api-usage/daily")
    ),
]


@pytest.fixture
def key() -> ApiKey:
    return ApiKeyFactory.create(account=AccountFactory.create(time_zone="America/New_York"))


@pytest.fixture(autouse=True)
def _process(transactional_db: None) -> Iterator[None]:
    """A process of the portal for each test, that has written its calls when the test's database is emptied."""
    yield
    direct.close()


def ask(key: ApiKey, path: str, method: str = "GET", **extra: Any) -> Any:
    return Client().generic(method, path, headers={"Authorization": f"Bearer {key.secret()}"}, **extra)


def key_in(zone: str) -> ApiKey:
    return ApiKeyFactory.create(account=AccountFactory.create(time_zone=zone))


# --- What it answers ----------------------------------------------------------------------------------------------
def test_me_names_the_account_its_zone_and_currency(key: ApiKey) -> None:
    with time_machine.travel(NEW_YEAR, tick=False):
        answer = ask(key, "/integrations/v1/me")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json() == {
        "portalId": key.account.number,
        "timeZone": "America/New_York",
        "currency": "USD",
        "utcOffsetMilliseconds": -18_000_000,
        "utcOffset": "-05:00",
    }


def test_the_daily_limit_is_an_array_with_times_in_milliseconds(key: ApiKey) -> None:
    with time_machine.travel(NEW_YEAR, tick=False):
        answer = ask(key, "/integrations/v1/limit/daily")

    assert answer.json() == [
        {
            "name": "api-calls-daily",
            "usageLimit": 250_000,
            "currentUsage": 1,
            "collectedAt": 1_767_268_800_000,
            "fetchStatus": "SUCCESS",
            "resetsAt": 1_767_330_000_000,
        }
    ]


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_details_say_the_same_in_every_spelling(key: ApiKey, version: str, settings: Settings) -> None:
    settings.SITE_ORIGIN = "https://portal.example.com"

    with time_machine.travel(NEW_YEAR, tick=False):
        answer = ask(key, f"/account-info/{version}/details")

    assert answer.json() == {
        "portalId": key.account.number,
        "accountType": "STANDARD",
        "timeZone": "America/New_York",
        "companyCurrency": "USD",
        "additionalCurrencies": [],
        "utcOffset": "-05:00",
        "utcOffsetMilliseconds": -18_000_000,
        "uiDomain": "portal.example.com",
        "dataHostingLocation": "self-hosted",
    }


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_the_daily_usage_is_an_object_with_times_in_iso_8601(key: ApiKey, version: str) -> None:
    with time_machine.travel(NEW_YEAR, tick=False):
        answer = ask(key, f"/account-info/{version}/api-usage/daily")

    assert answer.json() == {
        "results": [
            {
                "name": "api-calls-daily",
                "usageLimit": 250_000,
                "currentUsage": 1,
                "collectedAt": "2026-01-01T12:00:00Z",
                "fetchStatus": "SUCCESS",
                "resetsAt": "2026-01-02T05:00:00Z",
            }
        ]
    }


def test_the_call_itself_counts_and_refused_ones_do_not(key: ApiKey) -> None:
    ask(key, "/integrations/v1/me")
    ask(key, "/integrations/v1/me", "DELETE")
    Client().get("/integrations/v1/me", headers={"Authorization": f"Bearer {key.secret()}x"})

    answer = ask(key, "/account-info/v3/api-usage/daily")

    assert answer.json()["results"][0]["currentUsage"] == 3
    assert answer.headers["X-HubSpot-RateLimit-Daily-Remaining"] == "249997"


@pytest.mark.parametrize(
    ("zone", "moment", "text", "milliseconds"),
    [
        ("UTC", NEW_YEAR, "+00:00", 0),
        ("America/New_York", datetime(2026, 7, 1, tzinfo=UTC), "-04:00", -14_400_000),
        ("America/New_York", datetime(2026, 3, 8, 6, 59, 59, tzinfo=UTC), "-05:00", -18_000_000),
        ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC), "-04:00", -14_400_000),
        ("America/St_Johns", NEW_YEAR, "-03:30", -12_600_000),
        ("America/St_Johns", datetime(2026, 7, 1, tzinfo=UTC), "-02:30", -9_000_000),
        ("Pacific/Marquesas", NEW_YEAR, "-09:30", -34_200_000),
        ("Asia/Kathmandu", NEW_YEAR, "+05:45", 20_700_000),
        ("Pacific/Kiritimati", NEW_YEAR, "+14:00", 50_400_000),
    ],
)
def test_offsets_follow_the_account_s_zone_with_daylight_saving_and_half_hours(
    zone: str, moment: datetime, text: str, milliseconds: int
) -> None:
    key = key_in(zone)

    with time_machine.travel(moment, tick=False):
        answers = [ask(key, path).json() for path in ("/integrations/v1/me", "/account-info/v3/details")]

    assert [(one["utcOffset"], one["utcOffsetMilliseconds"]) for one in answers] == [(text, milliseconds)] * 2


@pytest.mark.parametrize(
    ("zone", "moment", "resets_at"),
    [
        ("UTC", datetime(2026, 5, 4, 0, 0, tzinfo=UTC), "2026-05-05T00:00:00Z"),
        ("UTC", datetime(2026, 5, 4, 23, 59, 59, tzinfo=UTC), "2026-05-05T00:00:00Z"),
        ("America/New_York", datetime(2026, 3, 7, 20, tzinfo=UTC), "2026-03-08T05:00:00Z"),
        ("America/New_York", datetime(2026, 3, 8, 20, tzinfo=UTC), "2026-03-09T04:00:00Z"),
        ("Asia/Kolkata", datetime(2026, 5, 4, 18, 30, tzinfo=UTC), "2026-05-05T18:30:00Z"),
        ("Africa/Cairo", datetime(2026, 4, 23, 12, tzinfo=UTC), "2026-04-23T22:00:00Z"),  # midnight is skipped
        ("America/Havana", datetime(2026, 10, 31, 12, tzinfo=UTC), "2026-11-01T04:00:00Z"),  # midnight comes twice
    ],
)
def test_the_day_ends_at_midnight_of_the_account_s_zone(zone: str, moment: datetime, resets_at: str) -> None:
    key = key_in(zone)

    with time_machine.travel(moment, tick=False):
        iso = ask(key, "/account-info/v3/api-usage/daily").json()["results"][0]["resetsAt"]
        milliseconds = ask(key, "/integrations/v1/limit/daily").json()[0]["resetsAt"]

    assert iso == resets_at
    assert datetime.fromtimestamp(milliseconds / 1000, UTC) == datetime.fromisoformat(resets_at)


# --- What every answer has ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", PATHS)
def test_every_answer_names_its_request_and_what_is_left(key: ApiKey, path: str) -> None:
    answer = ask(key, path)

    assert answer.status_code == 200
    assert answer.headers["X-Request-Id"].count("-") == 4
    assert answer.headers["X-HubSpot-RateLimit-Daily"] == "250000"
    assert answer.headers["X-HubSpot-RateLimit-Daily-Remaining"] == "249999"
    assert answer.headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
    assert answer.headers["X-HubSpot-RateLimit-Max"] == "100"
    assert answer.headers["X-HubSpot-RateLimit-Remaining"] == "99"
    assert '"burst";q=100;w=10' in answer.headers["RateLimit-Policy"]
    assert '"burst";r=99;t=' in answer.headers["RateLimit"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert not answer.cookies


@pytest.mark.parametrize("path", PATHS)
def test_without_a_credential_nothing_is_told(path: str) -> None:
    answer = Client().get(path)

    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["category"] == "INVALID_AUTHENTICATION"
    assert answer.json()["correlationId"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("headers", [{"Authorization": "bearer {}"}, {"X-API-Key": "{}"}, {"X-API-Key": " {} "}])
def test_either_header_carries_the_key(key: ApiKey, headers: dict[str, str]) -> None:
    filled = {name: value.format(key.secret()) for name, value in headers.items()}

    assert Client().get("/integrations/v1/me", headers=filled).status_code == 200


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


def test_an_accepted_call_costs_three_reads(key: ApiKey, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    secret = key.secret()

    with django_assert_num_queries(3):  # the credential, the day's usage, the account
        answer = Client().get("/integrations/v1/me", headers={"X-API-Key": secret})

    assert answer.status_code == 200


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


def test_head_answers_as_get(key: ApiKey) -> None:
    answer = ask(key, "/integrations/v1/me", "HEAD")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")


def test_options_list_the_methods(key: ApiKey) -> None:
    answer = ask(key, "/integrations/v1/me", "OPTIONS")

    assert (answer.status_code, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", PATHS)
def test_answers_have_the_fields_that_the_document_names(key: ApiKey, path: str) -> None:
    example = document()["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"]

    assert _shape(ask(key, path).json()) == _shape(example)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shape(one) for one in value]
    return type(value)


def test_the_log_has_every_call_with_its_own_status_and_duration(key: ApiKey) -> None:
    answers = [
        ask(key, "/integrations/v1/me?hapikey="),
        ask(key, "/integrations/v1/me", "DELETE"),
        ask(key, "/integrations/v1/nothing"),
        ask(key, "/integrations/v1/me?a=1"),
        Client().get("/account-info/v3/details"),
    ]
    direct.close()

    calls = list(Call.objects.order_by("at"))

    assert [(call.method, call.path, call.status, call.reason) for call in calls] == [
        ("GET", "/integrations/v1/me", 200, ""),
        ("DELETE", "/integrations/v1/me", 405, ""),
        ("GET", "/integrations/v1/nothing", 404, ""),
        ("GET", "/integrations/v1/me", 400, ""),
        ("GET", "/account-info/v3/details", 401, "no_credential"),
    ]
    assert [str(call.request_id) for call in calls] == [answer.headers["X-Request-Id"] for answer in answers]
    assert all(call.duration_us for call in calls)


def test_the_metrics_count_decisions_and_calls(key: ApiKey) -> None:
    before = _metrics()
    ask(key, "/integrations/v1/me")
    Client().get("/integrations/v1/me")
    direct.close()

    after = _metrics()

    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    assert grown == {
        'keyportal_decisions_total{kind="api_key",reason=""}': 1,
        'keyportal_decisions_total{kind="",reason="no_credential"}': 1,
        "keyportal_calls_issued_total": 2,
        "keyportal_calls_stored_total": 2,
    }


def _metrics() -> dict[str, float]:
    lines = Client().get("/metrics").content.decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if line.startswith("keyportal_") and "_created" not in line)
    return {name: float(value) for name, _, value in samples}


# --- Mistakes -----------------------------------------------------------------------------------------------------
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
