"""The operators' admin: both logs and all accounts to read, no secret, no way around the portal's sign-in."""

from datetime import timedelta
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.sessions.models import Session
from django.core.serializers import serialize
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import bounces, invitations
from accounts.models import BouncedAddress, Invitation, User
from accounts.permissions import Role
from apikeys import secrets
from apikeys.models import ApiKey
from apikeys.operations import api_keys
from tests.factories import (
    PASSWORD,
    ApiKeyFactory,
    CallFactory,
    ConnectionFactory,
    GroupedAccountFactory,
    SunsetFactory,
    SuperAdminFactory,
    UserFactory,
)
from tests.visitors import admin_of

pytestmark = pytest.mark.django_db

PAGES = [
    "admin:index",
    *(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist" for model in admin.site._registry),  # noqa: SLF001 -- whatever is registered
]


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(UserFactory.create(is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize("page", PAGES)
def test_an_operator_opens_every_page(page: str, operator: Client) -> None:
    assert operator.get(reverse(page)).status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_a_super_admin_is_no_operator(page: str, client: Client) -> None:
    client.force_login(SuperAdminFactory.create().user)

    assert client.get(reverse(page)).status_code in {302, 403}


def test_the_admin_has_no_sign_in_of_its_own(client: Client) -> None:
    response = client.get("/admin/login/?next=/admin/")

    assert response.status_code == 302
    assert response.headers["Location"].startswith(reverse("account_login"))


def test_the_admin_changes_no_password_past_the_portal(operator: Client) -> None:
    password = {"old_password": PASSWORD, "new_password1": "another horse", "new_password2": "another horse"}

    answer = operator.post("/admin/password_change/", password)

    assert answer.headers["Location"] == reverse("account_change_password")
    assert User.objects.get().check_password(PASSWORD)


def test_calls_older_than_seven_days_are_not_there(operator: Client) -> None:
    now = timezone.now()
    kept = CallFactory.create(path="/kept", at=now - timedelta(days=6, hours=23))
    gone = CallFactory.create(path="/gone", at=now - timedelta(days=7, seconds=1))

    listed = operator.get(reverse("admin:auditlog_call_changelist")).content.decode()
    pages = [operator.get(reverse("admin:auditlog_call_change", args=[call.pk])) for call in (kept, gone)]

    assert "/kept" in listed
    assert "/gone" not in listed
    assert pages[0].status_code == 200
    assert b"/gone" not in pages[1].content


@pytest.mark.parametrize(("status", "shown"), [("5", ["/broken"]), ("2", ["/fine"]), ("9", ["/broken", "/fine"])])
def test_calls_are_narrowed_by_class_of_status(operator: Client, status: str, shown: list[str]) -> None:
    CallFactory.create(path="/fine", status=204)
    CallFactory.create(path="/broken", status=503)

    listed = operator.get(reverse("admin:auditlog_call_changelist"), {"status": status}).content.decode()

    assert [path for path in ("/broken", "/fine") if path in listed] == shown


def test_no_page_about_a_key_holds_its_secret_digest_or_ciphertext(operator: Client) -> None:
    secret = secrets.generate(secrets.Kind.API_KEY)
    key = ApiKeyFactory.create(secret=secret)

    pages = [
        operator.get(reverse("admin:apikeys_apikey_changelist")),
        operator.get(reverse("admin:apikeys_apikey_change", args=[key.pk])),
    ]

    for page in pages:
        text = page.content.decode()
        assert page.status_code == 200
        assert key.last4 in text
        for hidden in (secret, key.digest.hex(), str(key.digest), key.sealed_secret.hex(), str(key.sealed_secret)):
            assert hidden not in text


@pytest.fixture
def everything() -> list[Model]:
    """A row of every kind that the pages show."""
    key = ApiKeyFactory.create()
    api_keys.show_api_key(account=key.account, by=admin_of(key), now=timezone.now())
    invitations.invite(
        account=key.account, email="guest@acme.example", role=Role.MEMBER, by=admin_of(key), now=timezone.now()
    )
    CallFactory.create(account_id=key.account_id, credential_id=key.pk)
    ConnectionFactory.create(account=key.account)
    kind = BouncedAddress.Kind.BOUNCED
    bounces.note(email=admin_of(key).user.email, kind=kind, why="550 no such user", now=timezone.now())
    place = GroupedAccountFactory.create()
    SunsetFactory.create(group=place.group)
    return [model._default_manager.latest("pk") for model in admin.site._registry]  # noqa: SLF001 -- whatever is registered


def _pages(row: Model) -> list[str]:
    name = row._meta.label_lower.replace(".", "_")
    return [reverse(f"admin:{name}_{page}", args=[row.pk]) for page in ("change", "history", "delete")]


def test_every_row_can_be_looked_at(everything: list[Model], operator: Client) -> None:
    assert [operator.get(_pages(row)[0]).status_code for row in everything] == [200] * len(everything)


def test_no_row_is_added_changed_or_deleted_past_the_operations(everything: list[Model], operator: Client) -> None:
    before = serialize("json", everything)

    for row in everything:
        change, _history, delete = _pages(row)
        listed = change.removesuffix(f"{quote(str(row.pk))}/change/")
        data = {"post": "yes", "action": "delete_selected", "_selected_action": row.pk, "role": "super_admin"}
        statuses = [operator.post(page, data).status_code for page in (change, delete, f"{listed}add/")]
        assert statuses == [403, 403, 403], row
        operator.post(listed, data)

    for row in everything:
        row.refresh_from_db()
    assert serialize("json", everything) == before


def test_no_page_shows_what_opens_something(everything: list[Model], operator: Client) -> None:
    """Secrets, what they are kept as, and what links are worked out from."""
    key, invitation = ApiKey.objects.get(), Invitation.objects.get()
    hidden = [
        *(key.secret(), bytes(key.digest).hex(), str(bytes(key.digest)), bytes(key.sealed_secret).hex()),
        *(str(bytes(key.sealed_secret)), invitations.token_of(invitation.issue), str(invitation.issue)),
        *(str(bytes(invitation.token_digest)), User.objects.order_by("pk")[0].password),
        *Session.objects.values_list("session_key", flat=True),
    ]

    for row in everything:
        listed = f"{row._meta.label_lower.replace('.', '_')}_changelist"
        for page in (reverse(f"admin:{listed}"), *_pages(row)[:2]):
            text = unescape(operator.get(page).content.decode())
            assert [text.count(one) for one in hidden] == [0] * len(hidden), page
