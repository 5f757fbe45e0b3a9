"""Every address of the portal, walked by every role and by strangers (G11). An address that is not listed here fails.

What an address of an account answers is one table: to a member by permission, 404 to everybody else.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from accounts import access_requests, role_mailboxes
from accounts.models import AccessRequest, Account, Member
from accounts.permissions import GRANTS, Permission, Role
from apikeys.operations import api_keys
from auditlog.models import AuditEntry
from tests import removal
from tests.factories import (
    ApiKeyFactory,
    ConnectionFactory,
    InvitationFactory,
    MemberFactory,
    SuperAdminFactory,
    UserFactory,
)
from tests.visitors import admin_of, signed_in, signed_in_by

pytestmark = pytest.mark.django_db

# name of an account's page -> (what it takes, the method that does what it is for)
ACCOUNT_PAGES = {
    "accounts:account": (Permission.SEE_ACCOUNT, "GET"),
    "accounts:access-request": (Permission.SEE_ACCOUNT, "POST"),
    "accounts:access-request-dismiss": (Permission.MANAGE_API_KEY, "POST"),
    "accounts:settings": (Permission.MANAGE_ACCOUNT, "GET"),
    "accounts:members": (Permission.SEE_ACCOUNT, "GET"),
    "accounts:members-leave": (Permission.SEE_ACCOUNT, "GET"),
    "accounts:members-invite": (Permission.MANAGE_MEMBERS, "GET"),
    "accounts:members-role": (Permission.MANAGE_MEMBERS, "GET"),
    "accounts:members-remove": (Permission.MANAGE_MEMBERS, "GET"),
    "accounts:invitation-send-again": (Permission.MANAGE_MEMBERS, "POST"),
    "accounts:invitation-withdraw": (Permission.MANAGE_MEMBERS, "POST"),
    "accounts:members-role-mailbox": (Permission.MANAGE_ROLE_MAILBOX, "GET"),
    "accounts:members-role-mailbox-remove": (Permission.MANAGE_ROLE_MAILBOX, "POST"),
    "accounts:members-roles": (Permission.SEE_ACCOUNT, "GET"),
    "apikeys:api-key": (Permission.SEE_ACCOUNT, "GET"),
    "apikeys:first-steps-dismiss": (Permission.MANAGE_API_KEY, "POST"),
    "apikeys:api-key-create": (Permission.MANAGE_API_KEY, "POST"),
    "apikeys:api-key-show": (Permission.MANAGE_API_KEY, "POST"),
    "apikeys:api-key-rotate": (Permission.MANAGE_API_KEY, "GET"),
    "apikeys:api-key-deactivate": (Permission.MANAGE_API_KEY, "GET"),
    "apikeys:api-key-plan": (Permission.MANAGE_API_KEY, "GET"),
    "apikeys:api-key-plan-show": (Permission.MANAGE_API_KEY, "POST"),
    "apikeys:api-key-plan-cancel": (Permission.MANAGE_API_KEY, "POST"),
    "apikeys:api-key-snooze": (Permission.MANAGE_API_KEY, "GET"),
    "apikeys:api-key-snooze-end": (Permission.MANAGE_API_KEY, "POST"),
    "apikeys:api-key-hand-over": (Permission.MANAGE_API_KEY, "GET"),
    "apikeys:api-key-hand-over-end": (Permission.MANAGE_API_KEY, "POST"),
    "apikeys:api-key-previous": (Permission.SEE_CALLS, "GET"),
    "apikeys:connected-apps": (Permission.SEE_CONNECTED_APPS, "GET"),
    "apikeys:connected-apps-disconnect": (Permission.MANAGE_CONNECTED_APPS, "GET"),
    "auditlog:calls": (Permission.SEE_CALLS, "GET"),
    "auditlog:usage": (Permission.SEE_CALLS, "GET"),
    "auditlog:audit-log": (Permission.SEE_AUDIT_LOG, "GET"),
    "auditlog:audit-log-entry": (Permission.SEE_AUDIT_LOG, "GET"),
}
# What takes only POST -> the page that has its button, if that is not the key's.
BUTTONS = {
    "accounts:invitation-send-again": "accounts:members",
    "accounts:invitation-withdraw": "accounts:members",
    "accounts:members-role-mailbox-remove": "accounts:members-role-mailbox",
    "apikeys:api-key-plan-show": "apikeys:api-key-plan",
    "apikeys:api-key-plan-cancel": "apikeys:api-key-plan",
}
OPERATIONS = """
    accounts_account_plan accounts_account_suspend accounts_account_close accounts_account_reopen
    accounts_user_add_operator accounts_user_remove_operator accounts_user_deactivate accounts_user_reactivate
    accounts_user_address
    accounts_accountgroup_create accounts_accountgroup_add_accounts accounts_accountgroup_remove_accounts
    accounts_accountgroup_remove apikeys_sunset_announce apikeys_sunset_edit apikeys_sunset_withdraw
    apikeys_sunset_forecast
    apikeys_connectedapp_register apikeys_connectedapp_edit apikeys_connectedapp_withdraw
""".split()  # noqa: SIM905 -- a list of words
SITE = "index login logout password_change password_change_done autocomplete jsi18n view_on_site app_list".split()  # noqa: SIM905 -- likewise
ROWS = [
    f"{model._meta.app_label}_{model._meta.model_name}_{page}"
    for model in admin.site._registry  # noqa: SLF001 -- every model that has pages there
    for page in ("add", "change", "changelist", "delete", "history")
]
# By name or, where it has none, by pattern.
ADMIN = {f"admin:{name}" for name in (*SITE, *ROWS, *OPERATIONS, "(?P<url>.*)$", "<path:object_id>/")}
# Of no one account: one's own, for whoever is signed in. Each is tested where it is at home.
PERSONAL = """
    profile profile-mails accounts:choose notices notices-read notice-read no-proof new-address
    usersessions_list account_email account_change_password account_set_password account_reauthenticate
    mfa_index mfa_activate_totp mfa_deactivate_totp mfa_view_recovery_codes mfa_generate_recovery_codes
    mfa_download_recovery_codes mfa_list_webauthn mfa_add_webauthn mfa_edit_webauthn mfa_remove_webauthn
    mfa_reauthenticate mfa_reauthenticate_webauthn
""".split()  # noqa: SIM905 -- a list of words
# For everybody: ways in and out, what watchers ask for, what a link or a key opens by itself.
OPEN = """
    home theme migrate livez readyz metrics account_api:docs account_api:door account_api:openapi
    set-up invitation role-mailbox-confirm mail-events mails-switch-off
    single-sign-on single-sign-on-callback single-sign-on-proof
    account_login account_logout account_signup account_inactive account_confirm_login_code
    account_confirm_email account_email_verification_sent
    account_reset_password account_reset_password_done account_reset_password_from_key
    account_reset_password_from_key_done mfa_authenticate mfa_login_webauthn
""".split()  # noqa: SIM905 -- a list of words
# For operators, and in a demonstration for everybody: tests/test_mail_pages.py, tests/test_mail_previews.py.
MAILS = {"mails", "mail", "mail-previews", "mail-preview", "mail-preview-page"}
ELSEWHERE = {*PERSONAL, *OPEN, *ADMIN, *MAILS}


def _names(patterns: list[URLPattern | URLResolver], namespace: str = "") -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _names(pattern.url_patterns, inner)
        else:
            yield f"{namespace}{pattern.name or pattern.pattern}"


# name -> the row that the address names beside the account.
NAMED_ROWS: dict[str, Callable[[Account], Model]] = {
    "auditlog:audit-log-entry": lambda account: AuditEntry.objects.filter(account_id=account.pk).latest("id"),
    "accounts:members-role": lambda account: account.members.earliest("id"),
    "accounts:members-remove": lambda account: account.members.earliest("id"),
    "accounts:invitation-send-again": lambda account: account.invitations.get(),
    "accounts:invitation-withdraw": lambda account: account.invitations.get(),
    "accounts:members-role-mailbox-remove": lambda account: account.role_mailboxes.get(),
    "accounts:access-request-dismiss": lambda account: AccessRequest.objects.get(member__account=account),
    "apikeys:connected-apps-disconnect": lambda account: account.connections.get(),
}


def _address(name: str, account: Account) -> str:
    rows = [NAMED_ROWS[name](account).pk] if name in NAMED_ROWS else []
    return reverse(name, args=[account.slug, *rows])


def _ask(client: Client, name: str, account: Account, method: str) -> int:
    return client.generic(method, _address(name, account)).status_code


# Every address by GET, as a person types it, by HEAD, and by POST, which changes things: who may not learns the same
# from each. Who may is left out where it would really be done.
ASKED = [(name, method) for name in ACCOUNT_PAGES for method in ("GET", "HEAD", "POST")]
ASKED_BY = [
    (role, name, method)
    for role in Role
    for name, method in ASKED
    if method in {"GET", "HEAD", ACCOUNT_PAGES[name][1]} or ACCOUNT_PAGES[name][0] not in GRANTS[role]
]


def _made() -> int:
    """An account with an active key, an ended one, entries, an invitation, a connected app, a request for access."""
    key = ApiKeyFactory.create()
    InvitationFactory.create(account=key.account, invited_by=admin_of(key))
    ConnectionFactory.create(account=key.account)
    api_keys.rotate_api_key(account=key.account, generation=1, by=admin_of(key), now=timezone.now())
    access_requests.ask_for_key(member=MemberFactory.create(account=key.account), reason="x", now=timezone.now())
    role_mailboxes.name(account=key.account, email="team@acme.example", by=admin_of(key), now=timezone.now())
    return key.account.pk


@pytest.fixture(scope="module")
def account_pk(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[int]:
    with removal.made_once(_made, django_db_blocker) as pk:
        yield pk


@pytest.fixture
def account(account_pk: int, db: None) -> Account:
    return Account.objects.get(pk=account_pk)


def test_every_address_is_known_to_this_test() -> None:
    unknown = {
        name for name in _names(get_resolver().url_patterns) if name not in ACCOUNT_PAGES and name not in ELSEWHERE
    }

    assert not unknown, "Say in this file who may open these."


@pytest.mark.parametrize("name", [*ROWS, *OPERATIONS, "index", "password_change"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_operators_pages_open_to_operators_alone(account: Account, name: str, method: str) -> None:
    try:
        address = reverse(f"admin:{name}")
    except NoReverseMatch:
        address = reverse(f"admin:{name}", args=[account.pk])

    answers = [client.generic(method, address) for client in (signed_in(account.super_admins()[0]), Client())]

    assert all(answer.headers.get("Location", "").startswith("/admin/login/?next=") for answer in answers)


@pytest.mark.parametrize(("role", "name", "method"), ASKED_BY)
def test_a_member_may_what_their_role_grants(account: Account, role: Role, name: str, method: str) -> None:
    member = MemberFactory.create(account=account, role=role)

    status = _ask(signed_in_by(member, "password"), name, account, method)

    granted = ACCOUNT_PAGES[name][0] in GRANTS[role]
    assert status in {200, 302} if granted else status == 403


@pytest.mark.parametrize(("name", "method"), ASKED)
def test_another_accounts_members_find_nothing_in_whatever_role(account: Account, name: str, method: str) -> None:
    stranger, client = MemberFactory.create(), Client()
    client.force_login(stranger.user)

    answers = {}
    for role in Role:
        Member.objects.filter(pk=stranger.pk).update(role=role)
        answers[role] = _ask(client, name, account, method)

    assert answers == dict.fromkeys(Role, 404)


@pytest.mark.parametrize("name", NAMED_ROWS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_row_of_another_account_is_not_found_under_ones_own(account: Account, name: str, method: str) -> None:
    admin = SuperAdminFactory.create()
    theirs = reverse(name, args=[admin.account.slug, NAMED_ROWS[name](account).pk])

    answer = signed_in(admin).generic(method, theirs)

    takes_another_method = {"POST": 302, "GET": 405}[ACCOUNT_PAGES[name][1]]  # said before any row is looked for
    assert answer.status_code in {404, takes_another_method}
    assert answer.status_code == 404 or method != ACCOUNT_PAGES[name][1]


def _personal(name: str) -> str:
    """The address with numbers of nothing where it names something."""
    for arguments in ([], [7], ["nothing"]):
        with suppress(NoReverseMatch):
            return reverse(name, args=arguments)
    raise AssertionError(name)


@pytest.mark.parametrize("name", PERSONAL)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_signed_out_ones_own_pages_lead_to_signing_in(db: None, name: str, method: str) -> None:
    answer = Client().generic(method, _personal(name))

    takes_only_post = method == "GET" and name in {"notices-read", "notice-read"}
    assert answer.status_code == (405 if takes_only_post else 302)
    assert takes_only_post or answer.headers["Location"].startswith(f"{reverse('account_login')}?next=")


@pytest.mark.parametrize("role", Role)
def test_signed_in_ones_own_pages_do_not(role: Role) -> None:
    client = signed_in(MemberFactory.create(role=role))

    answers = {name: client.get(_personal(name)) for name in PERSONAL}

    assert not [name for name, one in answers.items() if reverse("account_login") in one.headers.get("Location", "")]
    assert not [name for name, one in answers.items() if one.status_code >= 500]


@pytest.mark.parametrize(("name", "method"), ASKED)
def test_who_left_the_account_finds_nothing(account: Account, name: str, method: str) -> None:
    member = SuperAdminFactory.create(account=account)
    client = signed_in(member)
    member.leave(at=timezone.now())

    assert _ask(client, name, account, method) == 404


@pytest.mark.parametrize("name", ACCOUNT_PAGES)
def test_an_operator_without_a_place_in_the_account_finds_nothing(account: Account, name: str) -> None:
    client = Client()
    client.force_login(UserFactory.create(is_staff=True, is_superuser=True))

    assert _ask(client, name, account, ACCOUNT_PAGES[name][1]) == 404


@pytest.mark.parametrize(("name", "method"), ASKED)
def test_signed_out_each_page_leads_to_signing_in_and_on_to_a_page_that_opens(
    account: Account, name: str, method: str
) -> None:
    answer = Client().generic(method, _address(name, account))

    takes_only_post = ACCOUNT_PAGES[name][1] == "POST"
    button_of = BUTTONS.get(name, "apikeys:api-key")
    back = _address(button_of if takes_only_post else name, account)
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"{reverse('account_login')}?next={back}"


@pytest.mark.parametrize("name", ACCOUNT_PAGES)
def test_an_account_that_is_none_looks_like_one_that_is_not_yours(account: Account, name: str) -> None:
    member = SuperAdminFactory.create(account=account)
    nowhere = _address(name, account).replace(account.slug, "nowhere", 1)

    assert signed_in(member).generic(ACCOUNT_PAGES[name][1], nowhere).status_code == 404
