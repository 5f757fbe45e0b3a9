"""Operators register apps that accounts can connect: where they may be sent back to, letter by letter, and for what."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.actors import SHELL, NoOperatorError, Operator
from apikeys.models import ConnectedApp
from apikeys.operations import connected_apps
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import NOW, PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

CALLBACK = "https://app.example.com/callback"
TYPED = {"name": "Salesforce", "redirect_uris": CALLBACK, "scopes": "contacts.read\r\noauth\r\n"}


def _register(**changed: Any) -> ConnectedApp:
    said: dict[str, Any] = {
        "name": "Salesforce",
        "redirect_uris": [CALLBACK],
        "scopes": ["contacts.read"],
        "by": SHELL,
        "now": NOW,
    }
    return connected_apps.register(**said | changed)


@pytest.fixture
def operator() -> Client:
    client = Client()
    user = UserFactory.create(is_staff=True, email="olivia@portal.example", name="Olivia")
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    return client


def test_a_registered_app_has_a_client_id_of_ours_and_no_secret() -> None:
    app = _register()

    assert isinstance(app.client_id, UUID)
    assert app.is_active
    assert not [field.name for field in ConnectedApp._meta.get_fields() if "secret" in field.name]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.account_id, entry.target_id) == (
        Action.CONNECTED_APP_REGISTERED,
        None,
        str(app.client_id),
    )
    assert entry.details == {"name": "Salesforce", "redirect_uris": [CALLBACK], "scopes": ["contacts.read"]}


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""},
        {"name": "\u202eecrofselaS"},
        {"redirect_uris": []},
        {"redirect_uris": [CALLBACK, CALLBACK]},
        {"redirect_uris": [f"{CALLBACK}/{n}" for n in range(11)]},
        {"scopes": []},
        {"scopes": ["a", "a"]},
        {"scopes": ["contacts read"]},
        {"scopes": ['say"hi"']},
        {"scopes": ["é"]},
        {"scopes": ["x" * 101]},
        {"scopes": [f"scope{n}" for n in range(101)]},
    ],
)
def test_what_is_not_valid_registers_nothing(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _register(**changed)

    assert not ConnectedApp.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("name", ["Salesforce", "SALESFORCE", " salesforce "])
def test_two_apps_that_can_be_connected_never_bear_one_name(name: str) -> None:
    first = _register()

    with pytest.raises(ValidationError, match="registered already"):
        _register(name=name)
    connected_apps.withdraw(app=first, reason="Replaced", by=SHELL, now=NOW)
    second = _register(name=name)

    assert list(ConnectedApp.objects.active()) == [second]


def test_changing_keeps_the_client_id_and_says_what_was_there_before() -> None:
    app = _register()

    changed = connected_apps.change(
        app=app, name="Salesforce", redirect_uris=[CALLBACK], scopes=["contacts.read", "oauth"], by=SHELL, now=NOW
    )

    assert changed.client_id == app.client_id
    entry = AuditEntry.objects.get(action=Action.CONNECTED_APP_CHANGED)
    assert (entry.details["before"]["scopes"], entry.details["after"]["scopes"]) == (
        ["contacts.read"],
        ["contacts.read", "oauth"],
    )


def test_what_stays_as_it_is_makes_no_entry() -> None:
    app = _register()

    connected_apps.change(app=app, name=app.name, redirect_uris=app.redirect_uris, scopes=app.scopes, by=SHELL, now=NOW)

    assert AuditEntry.objects.count() == 1


def test_a_withdrawn_app_neither_changes_nor_comes_back() -> None:
    app = _register()
    connected_apps.withdraw(app=app, reason="Abuse", by=SHELL, now=NOW)

    with pytest.raises(connected_apps.WithdrawnError):
        connected_apps.withdraw(app=app, reason="Abuse", by=SHELL, now=NOW)
    with pytest.raises(connected_apps.WithdrawnError):
        connected_apps.change(app=app, name="x", redirect_uris=[CALLBACK], scopes=["a"], by=SHELL, now=NOW)

    assert AuditEntry.objects.get(action=Action.CONNECTED_APP_WITHDRAWN).reason == "Abuse"


def test_who_is_no_operator_any_more_registers_nothing() -> None:
    with pytest.raises(NoOperatorError):
        _register(by=Operator(UserFactory.create()))


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_register_the_same_name_at_once_one_succeeds() -> None:
    def try_to(_: int) -> bool:
        try:
            _register()
        except ValidationError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(try_to, range(8)))

    assert (sum(done), ConnectedApp.objects.count(), AuditEntry.objects.count()) == (1, 1, 1)


# --- In the admin ---------------------------------------------------------------------------------------------------


def _page(name: str, *args: object) -> str:
    return reverse(f"admin:apikeys_connectedapp_{name}", args=args)


def test_an_operator_registers_changes_and_withdraws_an_app(operator: Client) -> None:
    registered = operator.post(_page("register"), TYPED, follow=True)
    app = ConnectedApp.objects.get()
    shown = operator.get(_page("edit", app.pk))
    operator.post(_page("edit", app.pk), TYPED | {"scopes": "oauth"})
    operator.post(_page("withdraw", app.pk), {"reason": "Abuse"})

    app.refresh_from_db()
    assert str(app.client_id) in registered.content.decode()
    assert "contacts.read\noauth" in shown.content.decode()
    assert (app.scopes, app.is_active) == (["oauth"], False)
    assert set(AuditEntry.objects.filter(category="connected_app").values_list("actor_name", flat=True)) == {"Olivia"}
    assert _page("edit", app.pk) not in operator.get(_page("change", app.pk)).content.decode()


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ({"redirect_uris": "http://app.example.com/"}, "Plain http is for 127.0.0.1"),
        ({"redirect_uris": ""}, "This field is required."),
        ({"scopes": "a b"}, "without blanks"),
        ({"name": "\u200d"}, "This name shows nothing."),
        ({"name": "x" * 101}, "at most 100 characters"),
        ({"scopes": "a\x00"}, "Null characters are not allowed."),
    ],
)
def test_a_bad_registration_is_explained_at_its_field(operator: Client, typed: dict[str, str], complaint: str) -> None:
    answer = operator.post(_page("register"), TYPED | typed)

    assert answer.status_code == 400
    assert complaint in answer.content.decode()
    assert not ConnectedApp.objects.exists()
