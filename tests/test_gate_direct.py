"""The check as the web process makes it: `direct.decide` and `direct.finish`."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Never

import pytest
from django.db import OperationalError
from django.test import override_settings
from django.utils import timezone

from accounts.actors import SHELL
from accounts.models import Account
from apikeys import secrets
from apikeys.gate import direct
from apikeys.gate.reasons import Reason
from apikeys.operations import api_keys, rotation_plans
from auditlog.models import Call, DailyUsage, LastUse
from tests.factories import NOW, ApiKeyFactory
from tests.visitors import admin_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_writer() -> Iterator[None]:
    yield
    direct.close()


def request(*headers: tuple[str, str], target: str = "/integrations/v1/me") -> direct.ApiRequest:
    return direct.ApiRequest(method="GET", target=target, headers=headers, address="203.0.113.9")


def bearer(secret: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {secret}")


def eventually(condition: Callable[[], bool]) -> None:
    """The writer is another thread: ask until it is so."""
    while not condition():
        time.sleep(0.02)


def test_the_active_key_is_accepted() -> None:
    key = ApiKeyFactory.create()

    decision = direct.decide(request(bearer(key.secret())))

    assert (decision.accepted, decision.account_id, decision.usage) == (True, key.account_id, 1)
    headers = dict(decision.headers)
    assert headers["X-HubSpot-RateLimit-Daily"] == "250000"
    assert headers["X-HubSpot-RateLimit-Daily-Remaining"] == "249999"
    assert headers["RateLimit-Policy"] == '"burst";q=100;w=10'
    assert headers["RateLimit"].startswith('"burst";r=99;t=')
    assert headers["X-Request-Id"] == str(decision.request_id)


def test_malformed_unknown_prepared_rotated_and_deactivated_secrets_get_the_same_bytes() -> None:
    key = ApiKeyFactory.create()
    rotated = key.secret()
    issued = api_keys.rotate_api_key(account=key.account, generation=1, by=SHELL, now=NOW)
    other = ApiKeyFactory.create()
    deactivated = other.secret()
    api_keys.deactivate_api_key(account=other.account, generation=1, by=SHELL, now=NOW)
    third = ApiKeyFactory.create()
    plan = rotation_plans.plan_rotation(
        account=third.account, generation=1, planned_for=NOW + timedelta(days=1), by=admin_of(third), now=NOW
    )
    prepared = plan.key(at=NOW).secret()
    unknown = secrets.generate(secrets.Kind.API_KEY)
    refresh = secrets.generate(secrets.Kind.REFRESH)
    presented = (rotated, deactivated, prepared, unknown, refresh, "garbage")

    decisions = [direct.decide(request(bearer(secret))) for secret in presented]

    assert direct.decide(request(bearer(issued.secret))).accepted
    bodies = {d.body.replace(str(d.request_id).encode(), b"") for d in decisions}
    assert len(bodies) == 1
    assert {d.status for d in decisions} == {401}
    assert {dict(d.headers)["WWW-Authenticate"] for d in decisions} == {'Bearer error="invalid_token"'}
    assert [d.reason for d in decisions] == [
        Reason.ROTATED, Reason.DEACTIVATED, Reason.PREPARED, Reason.UNKNOWN, Reason.WRONG_KIND, Reason.MALFORMED,
    ]  # fmt: skip


def test_a_call_without_credential_is_told_how_to_send_one() -> None:
    decision = direct.decide(request())

    body = json.loads(decision.body)
    assert (decision.status, body["category"]) == (401, "INVALID_AUTHENTICATION")
    assert body["correlationId"] == str(decision.request_id)
    assert dict(decision.headers)["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("state", ["suspended", "closed"])
def test_a_suspended_or_closed_account_is_denied_access(state: str) -> None:
    key = ApiKeyFactory.create()
    Account.objects.filter(pk=key.account_id).update(state=state)

    decision = direct.decide(request(bearer(key.secret())))

    assert (decision.status, decision.reason) == (403, state)
    assert json.loads(decision.body)["category"] == "ACCESS_DENIED"


def test_a_call_over_the_burst_limit_gets_429_and_counts_for_nothing() -> None:
    key = ApiKeyFactory.create(account__burst_limit=2)
    asked = request(bearer(key.secret()))
    direct.decide(asked), direct.decide(asked)

    decision = direct.decide(asked)

    body, headers = json.loads(decision.body), dict(decision.headers)
    assert (decision.status, body["policyName"], body["errorType"]) == (429, "TEN_SECONDLY_ROLLING", "RATE_LIMIT")
    assert body["requestId"] == body["correlationId"] == str(decision.request_id)
    assert 1 <= int(headers["Retry-After"]) <= 11
    assert headers["X-HubSpot-RateLimit-Remaining"] == "0"
    assert decision.usage == 2


def test_the_daily_limit_counts_what_was_stored_before_any_process_asked_for_a_part_of_the_day() -> None:
    key = ApiKeyFactory.create(account__daily_limit=10)
    asked = request(bearer(key.secret()))
    DailyUsage.objects.create(account_id=key.account_id, day=timezone.now().date(), calls=9)
    first = direct.decide(asked)

    decision = direct.decide(asked)

    assert (first.accepted, first.usage, dict(first.headers)["X-HubSpot-RateLimit-Daily-Remaining"]) == (True, 10, "0")

    assert (decision.status, json.loads(decision.body)["policyName"]) == (429, "DAILY")


@override_settings(API_KEY_QUERY_PARAM="hapikey")
def test_a_key_in_the_query_is_accepted_with_a_deprecation_where_it_is_let_in() -> None:
    key = ApiKeyFactory.create()

    decision = direct.decide(request(("Authorization", "Bearer "), target=f"/x?a=1&hapikey={key.secret()}"))

    assert decision.accepted
    assert dict(decision.headers)["Deprecation"] == "@1669766400"


def test_finished_calls_are_in_the_call_log_without_any_secret() -> None:
    key = ApiKeyFactory.create()
    secret = key.secret()
    asked = request(bearer(secret), ("User-Agent", f"curl/8 {secret}"), target=f"/things/{secret}?hapikey={secret}")
    decision = direct.decide(asked)

    direct.finish(decision, asked, status=200, duration_us=1500)

    eventually(Call.objects.exists)
    call = Call.objects.get()
    assert (call.account_id, call.status, call.duration_us, call.reason) == (key.account_id, 200, 1500, "")
    assert (call.credential_kind, call.credential_id) == ("api_key", key.id)
    assert (call.agent, call.network, call.address) == ("curl", "203.0.113.0/24", "203.0.113.9")
    assert call.request_id == decision.request_id
    assert abs(call.at.timestamp() - decision.at) < 0.001
    assert secret not in f"{call.path} {call.user_agent}"
    assert DailyUsage.objects.get().calls == 1
    assert LastUse.objects.get().credential_id == key.id


def test_a_refused_call_of_a_dead_key_names_account_credential_and_reason() -> None:
    key = ApiKeyFactory.create()
    asked = request(bearer(key.secret()))
    api_keys.rotate_api_key(account=key.account, generation=1, by=SHELL, now=NOW)

    direct.finish(direct.decide(asked), asked, status=401, duration_us=10)

    eventually(Call.objects.exists)
    call = Call.objects.get()
    assert (call.account_id, call.credential_id, call.reason) == (key.account_id, key.id, "rotated")
    assert not DailyUsage.objects.exists()
    assert not LastUse.objects.exists()


def test_a_call_during_which_the_store_went_away_is_in_the_log_of_whose_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(*_: object) -> Never:
        raise OperationalError

    key = ApiKeyFactory.create()
    asked = request(bearer(key.secret()))
    monkeypatch.setattr(direct, "read_usage", gone)

    decision = direct.decide(asked)
    direct.finish(decision, asked, status=decision.status, duration_us=10)

    eventually(Call.objects.exists)
    call = Call.objects.get()
    assert (call.status, call.reason) == (503, "store_unavailable")
    assert (call.account_id, call.credential_id) == (key.account_id, key.id)


def test_a_rotated_key_is_proved_refused_and_the_new_one_not() -> None:
    key = ApiKeyFactory.create()
    issued = api_keys.rotate_api_key(account=key.account, generation=1, by=SHELL, now=NOW)

    refused = [direct.is_refused(key), direct.is_refused(issued.key)]

    assert refused == [True, False]
