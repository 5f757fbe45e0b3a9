"""The operators' admin: both logs and all accounts to read, no secret, no way around the portal's sign-in."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from apikeys import secrets
from tests.factories import PASSWORD, ApiKeyFactory, CallFactory, MemberFactory, SuperAdminFactory, UserFactory

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


def test_nothing_can_be_changed_past_the_operations(operator: Client) -> None:
    member = MemberFactory.create()

    for verb in ("change", "delete"):
        url = reverse(f"admin:accounts_member_{verb}", args=[member.pk])
        assert operator.post(url, {"role": "super_admin", "post": "yes"}).status_code == 403
    assert operator.get(reverse("admin:accounts_account_add")).status_code == 403
