"""Every address of the portal, walked by every role and by strangers (G11). An address that is not listed here fails.

What an address of an account answers is one table: to a member by permission, 404 to everybody else.
"""

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts.models import Account
from accounts.permissions import GRANTS, Permission, Role
from apikeys.operations import api_keys
from auditlog.models import AuditEntry
from tests.factories import ApiKeyFactory, MemberFactory, SuperAdminFactory, UserFactory
from tests.visitors import admin_of, signed_in

pytestmark = pytest.mark.django_db

# name of an account's page -> (what it takes, method)
ACCOUNT_PAGES = {
    "accounts:account": (Permission.SEE_ACCOUNT, "GET"),
    "accounts:members": (Permission.SEE_ACCOUNT, "GET"),
    "apikeys:api-key": (Permission.SEE_ACCOUNT, "GET"),
    "apikeys:api-key-create": (Permission.MANAGE_API_KEY, "POST"),
    "apikeys:api-key-show": (Permission.MANAGE_API_KEY, "POST"),
    "apikeys:api-key-rotate": (Permission.MANAGE_API_KEY, "GET"),
    "apikeys:api-key-deactivate": (Permission.MANAGE_API_KEY, "GET"),
    "apikeys:api-key-previous": (Permission.SEE_CALLS, "GET"),
    "auditlog:calls": (Permission.SEE_CALLS, "GET"),
    "auditlog:audit-log": (Permission.SEE_AUDIT_LOG, "GET"),
    "auditlog:audit-log-entry": (Permission.SEE_AUDIT_LOG, "GET"),
}
# Not of any one account; each is tested where it is at home. Those that end in * by their beginning.
ELSEWHERE = {
    *("home", "profile", "theme", "accounts:choose", "set-up", "no-proof"),
    *("account_*", "mfa_*", "usersessions_list", "admin:*", "account-api:*", "account_api:*"),
    *("livez", "readyz", "metrics"),
}


def _names(patterns: list[URLPattern | URLResolver], namespace: str = "") -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _names(pattern.url_patterns, inner)
        else:
            yield f"{namespace}{pattern.name or pattern.pattern}"


def _is_elsewhere(name: str) -> bool:
    return any(name == known or (known.endswith("*") and name.startswith(known[:-1])) for known in ELSEWHERE)


def _address(name: str, account: Account) -> str:
    if name == "auditlog:audit-log-entry":
        entry = AuditEntry.objects.filter(account_id=account.pk).latest("id")
        return reverse(name, args=[account.slug, entry.pk])
    return reverse(name, args=[account.slug])


def _ask(client: Client, name: str, account: Account) -> int:
    return client.generic(ACCOUNT_PAGES[name][1], _address(name, account)).status_code


@pytest.fixture
def account() -> Account:
    """One with an active key, an ended one, and entries."""
    key = ApiKeyFactory.create()
    api_keys.rotate_api_key(account=key.account, generation=1, by=admin_of(key), now=timezone.now())
    return key.account


def test_every_address_is_known_to_this_test() -> None:
    unknown = {
        name for name in _names(get_resolver().url_patterns) if name not in ACCOUNT_PAGES and not _is_elsewhere(name)
    }

    assert not unknown, "Say in this file who may open these."


@pytest.mark.parametrize("name", ACCOUNT_PAGES)
@pytest.mark.parametrize("role", Role)
def test_a_member_may_what_their_role_grants(account: Account, role: Role, name: str) -> None:
    member = MemberFactory.create(account=account, role=role)

    status = _ask(signed_in(member), name, account)

    granted = ACCOUNT_PAGES[name][0] in GRANTS[role]
    assert status in {200, 302} if granted else status == 403


@pytest.mark.parametrize("name", ACCOUNT_PAGES)
def test_another_accounts_super_admin_finds_nothing(account: Account, name: str) -> None:
    stranger = SuperAdminFactory.create()

    assert _ask(signed_in(stranger), name, account) == 404


@pytest.mark.parametrize("name", ACCOUNT_PAGES)
def test_who_left_the_account_finds_nothing(account: Account, name: str) -> None:
    member = SuperAdminFactory.create(account=account)
    client = signed_in(member)
    member.leave(at=timezone.now())

    assert _ask(client, name, account) == 404


@pytest.mark.parametrize("name", ACCOUNT_PAGES)
def test_an_operator_without_a_place_in_the_account_finds_nothing(account: Account, name: str) -> None:
    client = Client()
    client.force_login(UserFactory.create(is_staff=True, is_superuser=True))

    assert _ask(client, name, account) == 404


@pytest.mark.parametrize("name", ACCOUNT_PAGES)
def test_signed_out_each_page_leads_to_signing_in(account: Account, name: str) -> None:
    answer = Client().generic(ACCOUNT_PAGES[name][1], _address(name, account))

    assert answer.status_code == 302
    assert answer.headers["Location"] == f"{reverse('account_login')}?next={_address(name, account)}"


@pytest.mark.parametrize("name", ACCOUNT_PAGES)
def test_an_account_that_is_none_looks_like_one_that_is_not_yours(account: Account, name: str) -> None:
    member = SuperAdminFactory.create(account=account)
    nowhere = _address(name, account).replace(account.slug, "nowhere", 1)

    assert signed_in(member).generic(ACCOUNT_PAGES[name][1], nowhere).status_code == 404
