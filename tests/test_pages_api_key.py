"""The page of the account API key: what it says, and to whom."""

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.permissions import Role
from apikeys.operations import api_keys
from tests.factories import ApiKeyFactory, CallFactory, MemberFactory, SuperAdminFactory
from tests.key_pages import DAY, NOT_SUPER_ADMIN, PAGE, ROTATE, text_of
from tests.visitors import admin_of, path, signed_in

pytestmark = pytest.mark.django_db


def test_the_page_says_what_the_key_opens_before_it_is_shown_and_holds_no_secret() -> None:
    key = ApiKeyFactory.create()

    text = text_of(signed_in(admin_of(key)), PAGE, key.account)

    assert "logged e-mails and other third-party data included" in text
    assert text.index("What this key opens") < text.index("data-secret-show")
    assert key.secret() not in text
    assert f"••••{key.last4}" in text


@pytest.mark.parametrize("role", NOT_SUPER_ADMIN)
def test_other_roles_are_told_why_not_and_whom_to_ask(role: Role) -> None:
    key = ApiKeyFactory.create()
    member = MemberFactory.create(account=key.account, role=role)

    text = text_of(signed_in(member), PAGE, key.account)

    assert "Only super admins can show, create, rotate or deactivate the API key." in text
    assert admin_of(key).user.email in text
    assert "data-secret-show" not in text
    assert path(ROTATE, key.account) not in text


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.MEMBER])
def test_the_history_of_the_key_is_for_those_who_may_read_the_audit_log(role: Role) -> None:
    key = ApiKeyFactory.create()
    api_keys.show_api_key(account=key.account, by=admin_of(key), now=timezone.now())

    theirs = text_of(signed_in(MemberFactory.create(account=key.account, role=role)), PAGE, key.account)
    auditors = text_of(signed_in(MemberFactory.create(account=key.account, role=Role.AUDITOR)), PAGE, key.account)

    assert "viewed the API key" not in theirs
    assert "viewed the API key" in auditors


@pytest.mark.parametrize(
    ("days", "says"),
    [
        (149, None),
        (150, "Plan to rotate this key within"),
        (179, "within 0 days"),
        (180, "180 days old. Rotate it now."),
    ],
)
def test_from_150_days_it_recommends_and_from_180_it_urges(days: int, says: str | None) -> None:
    key = ApiKeyFactory.create(created_at=timezone.now() - days * DAY)

    text = text_of(signed_in(admin_of(key)), PAGE, key.account)

    assert f"{days} days" in text
    assert says in text if says else "note-warning" not in text


def test_without_a_key_a_super_admin_is_offered_to_create_one() -> None:
    admin = SuperAdminFactory.create()

    text = text_of(signed_in(admin), PAGE, admin.account)

    assert "No API key yet" in text
    assert "logged e-mails and other third-party data included" in text
    assert "Create the API key" in text


def test_the_page_costs_the_same_however_much_happened(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    key = ApiKeyFactory.create()
    CallFactory.create_batch(30, account_id=key.account_id, credential_id=key.id)
    for _ in range(15):
        api_keys.show_api_key(account=key.account, by=admin_of(key), now=timezone.now())
    client = signed_in(admin_of(key))

    with django_assert_max_num_queries(19):
        client.get(path(PAGE, key.account))
