"""Two published clients, unmodified, drive the account API with only the base address changed."""

import time

import pytest
import requests
from django.utils import timezone
from hubspot import HubSpot  # type: ignore[import-untyped] # ships no types  # neither client has types
from hubspot3 import Hubspot3  # type: ignore[import-untyped] # ships no types
from hubspot3.error import HubspotUnauthorized  # type: ignore[import-untyped] # ships no types

from accounts.actors import SHELL
from accounts.models import Account
from apikeys.models import ApiKey
from apikeys.operations import api_keys
from auditlog.models import Call
from tests.clients import server
from tests.factories import AccountFactory, ApiKeyFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def key() -> ApiKey:
    return ApiKeyFactory.create(account=AccountFactory.create(time_zone="America/New_York"))


def rotate(key: ApiKey) -> str:
    return api_keys.rotate_api_key(account=key.account, generation=1, by=SHELL, now=timezone.now()).secret


def logged(account: Account, expected: int) -> list[Call]:
    """Its calls in the log, once so many are there: they are written in batches, off the request's path."""
    calls = Call.objects.filter(account_id=account.pk).order_by("at")
    for _ in range(600):
        if calls.count() >= expected:
            break
        time.sleep(0.05)
    return list(calls)


def test_hubspot3_works_with_the_live_key(web: server.Server, key: ApiKey) -> None:
    client = Hubspot3(api_key=key.secret(), api_base=web.address)

    me, limits = client.me, client.usage_limits

    assert (me["portalId"], me["timeZone"]) == (key.account.number, "America/New_York")
    assert (limits.usage_limit, limits.current_usage, limits.fetch_status) == (250_000, 2, "SUCCESS")
    assert limits.resets_at > limits.collected_at


def test_hubspot3_raises_its_own_error_with_the_rotated_key(web: server.Server, key: ApiKey) -> None:
    client = Hubspot3(api_key=key.secret(), api_base=web.address)
    rotate(key)

    with pytest.raises(HubspotUnauthorized) as refusal:
        _ = client.me

    assert key.secret() not in str(refusal.value.result.body)


def test_hubspot3_sees_that_the_limit_is_reached(web: server.Server) -> None:
    key = ApiKeyFactory.create(account=AccountFactory.create(daily_limit=1))
    client = Hubspot3(api_key=key.secret(), api_base=web.address, number_retries=0)
    _ = client.me

    with pytest.raises(ValueError, match="Too Many Requests"):  # HubspotRateLimited is one
        _ = client.me


def test_hubspot_api_client_works_with_the_live_key(web: server.Server, key: ApiKey) -> None:
    client = HubSpot(api_key=key.secret(), base_url=web.address)

    details = client.api_request({"path": "/account-info/v3/details"})
    usage = client.api_request({"path": "/account-info/v3/api-usage/daily"})

    assert details.json()["portalId"] == key.account.number
    assert details.headers["Deprecation"] == "@1669766400"
    assert usage.json()["results"][0]["currentUsage"] == 2


def test_hubspot_api_client_works_with_a_bearer(web: server.Server, key: ApiKey) -> None:
    client = HubSpot(access_token=key.secret(), base_url=web.address)

    assert client.api_request({"path": "/integrations/v1/me"}).status_code == 200


def test_hubspot_api_client_is_told_that_the_rotated_key_is_unauthorized(web: server.Server, key: ApiKey) -> None:
    client = HubSpot(api_key=key.secret(), base_url=web.address)
    rotate(key)

    answer = client.api_request({"path": "/account-info/v3/details"})

    with pytest.raises(requests.HTTPError, match="401 Client Error: Unauthorized"):
        answer.raise_for_status()
    assert answer.json()["category"] == "INVALID_AUTHENTICATION"
    assert key.secret() not in answer.text


def test_the_call_log_shows_both_clients_before_and_after_the_rotation_without_the_secret(
    web: server.Server, key: ApiKey
) -> None:
    secret = key.secret()
    old = Hubspot3(api_key=secret, api_base=web.address)
    new = HubSpot(api_key=secret, base_url=web.address)
    _ = old.me
    new.api_request({"path": "/account-info/v3/details"})
    successor = rotate(key)
    with pytest.raises(HubspotUnauthorized):
        _ = old.me
    new.api_request({"path": "/account-info/v3/details"})

    calls = logged(key.account, 4)

    seen = [(call.method, call.path, call.status, call.reason, call.agent) for call in calls]
    assert seen == [
        ("GET", "/integrations/v1/me", 200, "", ""),
        ("GET", "/account-info/v3/details", 200, "", "custom-python-client"),
        ("GET", "/integrations/v1/me", 401, "rotated", ""),
        ("GET", "/account-info/v3/details", 401, "rotated", "custom-python-client"),
    ]
    assert {call.credential_id for call in calls} == {key.pk}
    assert all(call.duration_us for call in calls)
    for hidden in (secret, successor):
        assert hidden not in str([vars(call) for call in calls])
        assert hidden not in web.log.read_text()
