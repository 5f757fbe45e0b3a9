"""The account API: what it answers, to the letter."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from apikeys.account_api.document import document
from apikeys.gate import direct
from apikeys.gate.reasons import Reason
from apikeys.gate.store import Read, read_credentials
from apikeys.models import ApiKey
from apikeys.secrets import Kind
from auditlog.models import Call
from tests.account_api_calls import ask
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


# --- Who may ask ----------------------------------------------------------------------------------------------------
@pytest.fixture
def granted(key: ApiKey, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has the store say that the secret is an app's, which it keeps none of yet."""

    def grant(*scopes: str, **more: Any) -> None:
        def of_an_app(*asked: Any) -> Read:
            read = read_credentials(*asked)
            its = {"scopes": frozenset(scopes), "kind": Kind.PRIVATE_APP, **more}
            return replace(read, credentials={digest: replace(one, **its) for digest, one in read.credentials.items()})

        monkeypatch.setattr(direct, "read_credentials", of_an_app)

    return grant


@pytest.mark.parametrize("path", PATHS)
def test_an_app_needs_the_scope_oauth(key: ApiKey, granted: Callable[..., None], path: str) -> None:
    granted("contacts.read")
    without = ask(key, path)
    granted("contacts.read", "oauth")

    answer = ask(key, path)

    said = without.json()
    assert (without.status_code, said["category"]) == (403, "MISSING_SCOPES")
    assert said["errors"][0]["context"] == {"requiredGranularScopes": ["oauth"]}
    assert said["links"] == {"scopes": f"http://localhost/accounts/{key.account.slug}/private-apps/"}
    assert without.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="oauth"'
    assert (answer.status_code, ask(key, path, "HEAD").status_code) == (200, 200)


def test_an_app_that_lacks_the_scope_counts_toward_no_limit(key: ApiKey, granted: Callable[..., None]) -> None:
    granted(burst_limit=1)
    refused = [ask(key, PATHS[0]).status_code for _ in range(3)]
    granted("oauth", burst_limit=1)

    assert [*refused, ask(key, PATHS[0]).status_code] == [403, 403, 403, 200]


def test_an_apps_dead_token_is_not_told_what_it_lacks(key: ApiKey, granted: Callable[..., None]) -> None:
    granted(end="deactivated")

    answer = ask(key, PATHS[0])

    assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")


@pytest.mark.parametrize(("path", "status"), [("/integrations/v1/nothing", 404), ("/integrations/v1/..%2fme", 403)])
def test_what_is_no_endpoint_opens_nothing_to_an_app(
    key: ApiKey, granted: Callable[..., None], path: str, status: int
) -> None:
    granted("oauth")

    assert ask(key, path).status_code == status


def test_where_nothing_is_said_of_scopes_no_app_is_let_in(key: ApiKey, granted: Callable[..., None]) -> None:
    granted("oauth")
    asked = direct.ApiRequest("GET", "/anything", [("Authorization", f"Bearer {key.secret()}")], None)

    assert direct.decide(asked).reason is Reason.UNKNOWN_ROUTE


# --- What counts ------------------------------------------------------------------------------------------------------
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


@pytest.mark.parametrize("headers", [{"Authorization": "bearer {}"}, {"X-API-Key": "{}"}, {"X-API-Key": " {} "}])
def test_either_header_carries_the_key(key: ApiKey, headers: dict[str, str]) -> None:
    filled = {name: value.format(key.secret()) for name, value in headers.items()}

    assert Client().get("/integrations/v1/me", headers=filled).status_code == 200


def test_an_accepted_call_costs_three_reads(key: ApiKey, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    secret = key.secret()

    with django_assert_num_queries(3):  # the credential, the day's usage, the account
        answer = Client().get("/integrations/v1/me", headers={"X-API-Key": secret})

    assert answer.status_code == 200


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
