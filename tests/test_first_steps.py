"""The first steps of a new account, on the key's page: read from how things stand."""

import re

import pytest
from django.apps import apps
from django.test import Client
from django.utils import timezone

from accounts.actors import SHELL
from accounts.models import Member
from accounts.permissions import Role
from apikeys.models import ApiKey
from apikeys.operations import api_keys
from auditlog.models import LastUse
from tests.factories import ApiKeyFactory, InvitationFactory, MemberFactory, SuperAdminFactory
from tests.visitors import admin_of, path, signed_in

pytestmark = pytest.mark.django_db

PAGE, DISMISS = "apikeys:api-key", "apikeys:first-steps-dismiss"
SECOND_ADMIN, KEY, CALL = "Have a second super admin", "Create the API key", "Make a first call"


def _steps(member: Member, client: Client | None = None) -> dict[str, bool] | None:
    """Of the steps that every portal has, which are done; None where they are not shown."""
    text = (client or signed_in(member)).get(path(PAGE, member.account)).content.decode()
    if "First steps" not in text:
        return None
    items = re.findall(r"<li[^>]*>(.*?)</li>", text[text.index('id="first-steps"') :].split("</ol>")[0], re.DOTALL)
    return {label: "Done" in item for item in items for label in (SECOND_ADMIN, KEY, CALL) if label in item}


def _call(key: ApiKey) -> None:
    LastUse.objects.create(credential_id=key.id, at=timezone.now())


def _enrol(member: Member) -> None:
    """A second factor, where the portal knows them."""
    if apps.is_installed("allauth.mfa"):
        authenticator = apps.get_app_config("mfa").get_model("Authenticator")
        authenticator._default_manager.create(user=member.user, type="totp", data={})  # noqa: SLF001 -- Django's documented name


def test_a_new_account_has_everything_before_it() -> None:
    assert _steps(SuperAdminFactory.create()) == {SECOND_ADMIN: False, KEY: False, CALL: False}


def test_each_step_is_ticked_off_by_how_things_stand() -> None:
    key = ApiKeyFactory.create()
    admin = admin_of(key)
    with_key = _steps(admin)
    _call(key)
    with_call = _steps(admin)
    _call(ApiKeyFactory.create())

    assert with_key == {SECOND_ADMIN: False, KEY: True, CALL: False}
    assert with_call == {SECOND_ADMIN: False, KEY: True, CALL: True}


def test_who_runs_the_portal_is_told_of_the_gateway_too() -> None:
    admin = SuperAdminFactory.create(user__is_staff=True)

    text = signed_in(admin).get(path(PAGE, admin.account)).content.decode()

    assert "Point a gateway here and make a call" in text
    assert "Make a first call" not in text


def test_a_second_super_admin_who_is_invited_is_not_there_yet() -> None:
    admin = SuperAdminFactory.create()
    InvitationFactory.create(account=admin.account, invited_by=admin, role=Role.SUPER_ADMIN)

    text = signed_in(admin).get(path(PAGE, admin.account)).content.decode()

    assert "Somebody is invited. Once they join, this is ticked off." in text
    assert (_steps(admin) or {})[SECOND_ADMIN] is False


def test_another_accounts_call_ticks_nothing_off() -> None:
    admin = admin_of(ApiKeyFactory.create())
    _call(ApiKeyFactory.create())

    assert (_steps(admin) or {})[CALL] is False


def test_a_rotated_or_deactivated_key_was_created_and_used_all_the_same() -> None:
    key = ApiKeyFactory.create()
    _call(key)
    api_keys.rotate_api_key(account=key.account, generation=1, by=SHELL, now=timezone.now())
    api_keys.deactivate_api_key(account=key.account, generation=2, by=SHELL, now=timezone.now())

    assert _steps(admin_of(key)) == {SECOND_ADMIN: False, KEY: True, CALL: True}


def test_once_all_is_done_the_steps_are_gone() -> None:
    key = ApiKeyFactory.create()
    _call(key)
    SuperAdminFactory.create(account=key.account)
    _enrol(admin_of(key))

    assert _steps(admin_of(key)) is None


def test_a_second_factor_is_a_step_where_the_portal_knows_second_factors() -> None:
    admin = SuperAdminFactory.create()

    text = signed_in(admin).get(path(PAGE, admin.account)).content.decode()

    assert ("Set up a second factor for yourself" in text) == apps.is_installed("allauth.mfa")


def test_who_dismissed_them_sees_them_no_more_and_others_still_do() -> None:
    admin = SuperAdminFactory.create()
    other = SuperAdminFactory.create(account=admin.account)
    client = signed_in(admin)

    client.post(path(DISMISS, admin.account))

    assert _steps(admin, client) is None
    assert _steps(other) is not None


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.AUDITOR, Role.MEMBER])
def test_other_roles_see_no_steps(role: Role) -> None:
    assert _steps(MemberFactory.create(role=role)) is None


def test_opening_the_address_dismisses_nothing() -> None:
    admin = SuperAdminFactory.create()
    client = signed_in(admin)

    assert client.get(path(DISMISS, admin.account)).status_code == 302
    assert _steps(admin, client) is not None
