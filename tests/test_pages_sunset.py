"""What an account's pages say of an announced end of API keys, and the public page that says how to move."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Member
from accounts.permissions import Role
from apikeys.models import ApiKey
from tests.factories import (
    AccountFactory,
    ApiKeyFactory,
    GroupedAccountFactory,
    MemberFactory,
    SunsetFactory,
    SuperAdminFactory,
)
from tests.visitors import admin_of, path, signed_in

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
BANNER = "every call with this account’s key is refused"
CREATE = "Create the API key"


def shown(member: Member, name: str = "apikeys:api-key") -> str:
    return signed_in(member).get(path(name, member.account)).content.decode()


# --- The banner ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["apikeys:api-key", "accounts:members", "auditlog:calls", "apikeys:api-key-rotate"])
def test_each_page_of_an_account_with_a_key_says_when_calls_end(name: str) -> None:
    key = ApiKeyFactory.create()
    before = shown(admin_of(key), name)
    SunsetFactory.create()

    after = shown(admin_of(key), name)

    assert BANNER not in before
    assert "API keys end: from <time" in after
    assert 'href="/migrate/"' in after


def test_once_the_end_has_come_the_banner_says_so() -> None:
    key = ApiKeyFactory.create()
    SunsetFactory.create(authentication_ends_at=timezone.now() - DAY)

    assert "API keys have ended: since <time" in shown(admin_of(key))


def test_there_is_no_banner_where_there_is_no_key_or_nothing_ends() -> None:
    none, ended, other = SuperAdminFactory.create(), ApiKeyFactory.create(), ApiKeyFactory.create()
    ApiKey.objects.filter(pk=ended.pk).update(deactivated_at=timezone.now(), end="deactivated")
    SunsetFactory.create(group=GroupedAccountFactory.create(account=other.account).group, withdrawn_at=timezone.now())
    place = GroupedAccountFactory.create()
    spared = ApiKeyFactory.create(account=place.account)
    SunsetFactory.create(group=place.group, authentication_ends_at=None, creation_ends_at=timezone.now())
    assert BANNER not in shown(admin_of(other))
    SunsetFactory.create()

    assert all(BANNER not in shown(member) for member in (none, admin_of(ended), admin_of(spared)))


def test_who_may_not_see_calls_is_not_led_there() -> None:
    key = ApiKeyFactory.create()
    SunsetFactory.create()

    said = {role: shown(MemberFactory.create(account=key.account, role=role)) for role in (Role.DEVELOPER, Role.MEMBER)}

    assert all(BANNER in page for page in said.values())
    assert ["See what still uses it" in said[role] for role in (Role.DEVELOPER, Role.MEMBER)] == [True, False]


# --- The end of creating ------------------------------------------------------------------------------------------
def test_past_the_creation_end_the_page_explains_instead_of_offering_a_key() -> None:
    member = SuperAdminFactory.create()
    before = shown(member)
    SunsetFactory.create(creation_ends_at=timezone.now() - DAY)

    after = shown(member)

    assert CREATE in before
    assert CREATE not in after
    assert "No new API keys are created any more." in after
    assert 'href="/migrate/"' in after


def test_a_form_that_was_open_before_the_creation_end_creates_nothing() -> None:
    member = SuperAdminFactory.create()
    client = signed_in(member)
    SunsetFactory.create(creation_ends_at=timezone.now() - DAY)

    answer = client.post(path("apikeys:api-key-create", member.account), follow=True)

    assert "No new API keys are created any more." in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_past_the_creation_end_a_key_is_still_rotated_at_the_page() -> None:
    key = ApiKeyFactory.create()
    SunsetFactory.create(creation_ends_at=timezone.now() - DAY)

    signed_in(admin_of(key)).post(path("apikeys:api-key-rotate", key.account), {"generation": 1})

    assert ApiKey.objects.active().get().generation == 2


# --- How to move --------------------------------------------------------------------------------------------------
def test_the_page_on_moving_is_public_and_names_no_account(client: Client) -> None:
    AccountFactory.create(name="Acme Secret Project")
    SunsetFactory.create(group=GroupedAccountFactory.create().group)

    answer = client.get("/migrate/")

    text = answer.content.decode()
    assert answer.status_code == 200
    assert "From API keys to private apps and OAuth" in text
    assert "Calls with API keys are refused from" not in text
    assert "Acme Secret Project" not in text


def test_the_page_on_moving_says_the_dates_for_all_and_shows_the_answer_that_callers_get(client: Client) -> None:
    SunsetFactory.create(creation_ends_at=timezone.now())

    text = client.get("/migrate/").content.decode()

    assert "Calls with API keys are refused from <time" in text
    assert "accounts that have no key get none" in text
    assert "API keys are no longer accepted. Use the access token of a private app, or OAuth" in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE"])
def test_the_page_on_moving_is_only_read(client: Client, method: str) -> None:
    assert client.generic(method, "/migrate/").status_code == 405
