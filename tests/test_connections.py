"""Apps that accounts connect: who may, what is kept and told of it, and that it ends at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail as mailbox
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from accounts import revisions
from accounts.actors import SHELL
from accounts.models import Account, Change, Member, Notice
from accounts.operations import change_role, remove
from accounts.permissions import Role
from accounts.tasks import send_mails
from apikeys.models import ConnectedApp, Connection
from apikeys.operations import connected_apps, connections
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import (
    NOW,
    ApiKeyFactory,
    ConnectedAppFactory,
    ConnectionFactory,
    MemberFactory,
    SuperAdminFactory,
)
from tests.visitors import admin_of, path, signed_in, signed_in_a_while_ago

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "apikeys:connected-apps"
DISCONNECT = "apikeys:connected-apps-disconnect"


@pytest.fixture
def ada() -> Member:
    return SuperAdminFactory.create(
        user__name="Ada", user__email="ada@acme.example", account__name="Acme", account__slug="acme"
    )


def _connect(by: Member, app: ConnectedApp, **changed: Any) -> Connection:
    said: dict[str, Any] = {"account": by.account, "scopes": ["contacts.read"], "by": by, "now": NOW}
    return connections.connect(app=app, **said | changed)


def _entries(account: Account) -> list[tuple[str, str]]:
    found = AuditEntry.objects.filter(account_id=account.pk, category="connected_app").order_by("id")
    return list(found.values_list("action", "outcome"))


# --- Connecting -----------------------------------------------------------------------------------------------------


def test_a_connection_says_who_let_which_app_in_when_and_for_what(ada: Member) -> None:
    app = ConnectedAppFactory.create(name="Salesforce")

    made = _connect(ada, app, scopes=["contacts.write", "contacts.read", "contacts.read"])

    kept = Connection.objects.get()
    assert (kept, kept.app, kept.account, kept.connected_by) == (made, app, ada.account, ada)
    assert (kept.connected_at, kept.scopes) == (NOW, ["contacts.read", "contacts.write"])
    entry = AuditEntry.objects.get(action=Action.CONNECTED_APP_CONNECTED)
    assert (entry.account_id, entry.actor_name, entry.target_name) == (ada.account_id, "Ada", "Salesforce")
    assert entry.details["scopes"] == ["contacts.read", "contacts.write"]


def test_consenting_once_more_to_the_same_changes_and_tells_nothing(ada: Member) -> None:
    app = ConnectedAppFactory.create()
    SuperAdminFactory.create(account=ada.account)
    first = _connect(ada, app)

    again = _connect(ada, app)

    assert again == first
    assert _entries(ada.account) == [(Action.CONNECTED_APP_CONNECTED, Outcome.DONE)]
    assert Notice.objects.filter(kind=Notice.Kind.APP_CONNECTED).count() == 1


def test_other_scopes_replace_those_of_the_connection_and_drop_what_gates_keep(ada: Member) -> None:
    app = ConnectedAppFactory.create()
    first = _connect(ada, app, scopes=["contacts.read", "contacts.write"])
    before = Change.objects.count()

    changed = _connect(ada, app, scopes=["contacts.read"])

    assert (changed, changed.scopes) == (first, ["contacts.read"])
    assert Change.objects.count() == before + 1
    entry = AuditEntry.objects.get(action=Action.CONNECTED_APP_SCOPES_CHANGED)
    assert (entry.details["before"], entry.details["after"]) == (["contacts.read", "contacts.write"], ["contacts.read"])


@pytest.mark.parametrize("scopes", [[], ["contacts.delete"], ["contacts.read", "contacts.delete"]])
def test_no_scope_is_granted_that_the_app_is_not_registered_for(ada: Member, scopes: list[str]) -> None:
    with pytest.raises(connections.ScopesError):
        _connect(ada, ConnectedAppFactory.create(), scopes=scopes)

    assert not Connection.objects.exists()
    assert _entries(ada.account) == [(Action.CONNECTED_APP_CONNECTED, Outcome.REFUSED)]


def test_a_withdrawn_app_is_connected_by_nobody(ada: Member) -> None:
    with pytest.raises(connections.AppWithdrawnError):
        _connect(ada, ConnectedAppFactory.create(withdrawn_at=NOW))

    assert _entries(ada.account) == [(Action.CONNECTED_APP_CONNECTED, Outcome.REFUSED)]


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.AUDITOR, Role.MEMBER])
def test_who_is_no_super_admin_connects_nothing(ada: Member, role: Role) -> None:
    other = MemberFactory.create(account=ada.account, role=role)

    with pytest.raises(connections.MayNotError):
        _connect(other, ConnectedAppFactory.create())

    assert not Connection.objects.exists()


def test_a_super_admin_who_was_demoted_meanwhile_connects_and_disconnects_nothing(ada: Member) -> None:
    late = SuperAdminFactory.create(account=ada.account)
    its = ConnectionFactory.create(account=ada.account)
    change_role(member=Member.objects.get(pk=late.pk), role=Role.MEMBER, by=ada, now=NOW)

    with pytest.raises(connections.MayNotError):
        _connect(late, ConnectedAppFactory.create())
    with pytest.raises(connections.MayNotError):
        connections.disconnect(connection=its, by=late, now=NOW)

    assert Connection.objects.get().is_active


def test_the_store_keeps_an_app_connected_once_only(ada: Member) -> None:
    its = ConnectionFactory.create(account=ada.account)

    with pytest.raises(IntegrityError), transaction.atomic():
        ConnectionFactory.create(account=ada.account, app=its.app)


def test_of_many_who_connect_an_app_at_once_one_does(ada: Member) -> None:
    app = ConnectedAppFactory.create()

    def connect(_turn: int) -> Connection:
        try:
            return _connect(ada, app)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(connect, range(8)))

    assert made == {Connection.objects.get()}
    assert _entries(ada.account) == [(Action.CONNECTED_APP_CONNECTED, Outcome.DONE)]


# --- Disconnecting --------------------------------------------------------------------------------------------------


def test_disconnecting_ends_the_connection_and_drops_what_gates_keep(ada: Member) -> None:
    its = _connect(ada, ConnectedAppFactory.create())
    before = Change.objects.count()

    connections.disconnect(connection=its, by=ada, now=timezone.now())

    its.refresh_from_db()
    assert (its.is_active, its.disconnected_by) == (False, ada)
    assert list(Change.objects.order_by("revision").values_list("account_id", flat=True))[before:] == [ada.account_id]
    assert _entries(ada.account)[-1] == (Action.CONNECTED_APP_DISCONNECTED, Outcome.DONE)


def test_disconnecting_answers_once_no_gate_can_let_the_app_through(
    ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    its = ConnectionFactory.create(account=ada.account)
    seen: list[tuple[bool, bool]] = []
    monkeypatch.setattr(
        revisions, "settle", lambda: seen.append((connection.in_atomic_block, Connection.objects.get().is_active))
    )

    connections.disconnect(connection=its, by=ada, now=timezone.now())

    assert seen == [(False, False)]  # waited, after the commit


def test_what_is_disconnected_cannot_be_disconnected_again_but_connected_anew(ada: Member) -> None:
    its = _connect(ada, ConnectedAppFactory.create())
    connections.disconnect(connection=its, by=ada, now=timezone.now())

    with pytest.raises(connections.NotConnectedError):
        connections.disconnect(connection=its, by=ada, now=timezone.now())
    anew = _connect(ada, its.app, now=timezone.now())

    assert anew != its
    assert list(Connection.objects.active()) == [anew]


def test_withdrawing_an_app_disconnects_it_from_every_account(ada: Member) -> None:
    its = ConnectionFactory.create(account=ada.account)
    elsewhere = ConnectionFactory.create(app=its.app)
    another_app = ConnectionFactory.create(account=ada.account)

    ended = connected_apps.withdraw(app=its.app, reason="It leaked.", by=SHELL, now=timezone.now())

    assert ended == 2
    assert list(Connection.objects.active()) == [another_app]
    for account in (ada.account, elsewhere.account):
        entry = AuditEntry.objects.get(account_id=account.pk, action=Action.CONNECTED_APP_DISCONNECTED)
        assert (entry.actor_kind, entry.reason) == ("operator", "It leaked.")
    assert Change.objects.latest("revision").account_id is None  # all gates, every account


def test_of_accounts_that_connect_an_app_while_it_is_withdrawn_none_keeps_it() -> None:
    app = ConnectedAppFactory.create()
    admins = SuperAdminFactory.create_batch(12)

    def withdraw() -> bool:
        try:
            connected_apps.withdraw(app=app, reason="It leaked.", by=SHELL, now=timezone.now())
        except connected_apps.BusyError:
            return False
        return True

    def act(number: int) -> None:
        try:
            if number == 6:
                while not withdraw():
                    pass
            else:
                with suppress(connections.AppWithdrawnError):
                    _connect(admins[number], app, now=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(act, range(12)))

    assert not ConnectedApp.objects.get().is_active
    assert not Connection.objects.active().exists()


# --- Word of it -----------------------------------------------------------------------------------------------------


def _disconnect(by: Member, its: Connection) -> None:
    connections.disconnect(connection=its, by=by, now=timezone.now())


def _narrow(by: Member, its: Connection) -> None:
    _connect(by, its.app, scopes=["contacts.write"], now=timezone.now())


def _nothing(_by: Member, _its: Connection) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        (_nothing, Notice.Kind.APP_CONNECTED, "Ada connected the app Salesforce."),
        (_narrow, Notice.Kind.APP_SCOPES_CHANGED, "Ada changed what the connected app Salesforce may do."),
        (_disconnect, Notice.Kind.APP_DISCONNECTED, "Ada disconnected the app Salesforce."),
    ],
)
def test_the_other_super_admins_read_of_it_behind_the_bell(
    ada: Member, change: Callable[[Member, Connection], None], kind: Notice.Kind, sentence: str
) -> None:
    grace = SuperAdminFactory.create(account=ada.account)
    MemberFactory.create(account=ada.account, role=Role.DEVELOPER)
    SuperAdminFactory.create()

    change(ada, _connect(ada, ConnectedAppFactory.create(name="Salesforce")))

    assert [one.user for one in Notice.objects.filter(kind=kind)] == [grace.user]
    text = " ".join(signed_in(grace).get(reverse("notices")).content.decode().split())
    assert sentence in text
    assert f'href="{path(PAGE, ada.account)}"' in text


def _mails() -> dict[str, Any]:
    mailbox.outbox.clear()
    send_mails()
    return {message.to[0]: message for message in mailbox.outbox}


def test_every_super_admin_gets_a_mail_that_leads_to_disconnecting(ada: Member) -> None:
    grace = SuperAdminFactory.create(account=ada.account, user__email="grace@acme.example")
    MemberFactory.create(account=ada.account, role=Role.DEVELOPER)
    its = _connect(ada, ConnectedAppFactory.create(name="Salesforce"))

    sent = _mails()

    assert set(sent) == {"ada@acme.example", "grace@acme.example"}
    address = path(DISCONNECT, ada.account, its.pk)
    for message in sent.values():
        html = " ".join(message.alternatives[0][0].split())
        assert message.subject == "Acme: the app Salesforce was connected"
        assert "Ada connected the app Salesforce to Acme." in message.body
        assert "Scopes: contacts.read" in message.body
        assert "\n\n\n" not in message.body
        assert address in message.body
        assert address in html
    assert "It was not you? Disconnect the app now" in sent["ada@acme.example"].body
    assert "It should not have happened? Disconnect the app now." in sent["grace@acme.example"].body
    assert signed_in(grace).get(address).status_code == 200


def test_a_mail_of_a_disconnected_app_says_that_it_reaches_nothing_any_more(ada: Member) -> None:
    its = _connect(ada, ConnectedAppFactory.create(name="Salesforce"))
    _mails()
    connections.disconnect(connection=its, by=ada, now=timezone.now())

    (message,) = _mails().values()

    assert message.subject == "Acme: the app Salesforce was disconnected"
    assert "It can reach nothing of the account any more." in message.body
    assert path(PAGE, ada.account) in message.body


def test_the_mails_of_a_withdrawn_app_give_the_operators_reason_and_no_name_of_theirs(ada: Member) -> None:
    its = ConnectionFactory.create(account=ada.account, connected_by=ada)
    connected_apps.withdraw(app=its.app, reason="It leaked.", by=SHELL, now=timezone.now())

    (message,) = _mails().values()

    assert "The people who run this portal disconnected the app" in message.body
    assert "Reason: It leaked." in message.body


def test_who_left_before_the_mail_was_written_gets_none(ada: Member) -> None:
    grace = SuperAdminFactory.create(account=ada.account, user__email="grace@acme.example")
    _connect(ada, ConnectedAppFactory.create())
    remove(member=grace, by=ada, now=timezone.now())

    assert set(_mails()) == {"ada@acme.example"}


# --- The pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.SUPER_ADMIN, Role.DEVELOPER, Role.AUDITOR])
def test_the_page_lists_what_is_connected_by_whom_and_for_what(ada: Member, role: Role) -> None:
    its = ConnectionFactory.create(account=ada.account, app__name="Salesforce", connected_by=ada)
    gone = ConnectionFactory.create(account=ada.account, app__name="Goner", disconnected_at=NOW)
    other = ConnectionFactory.create(app__name="Elsewhere")

    page = signed_in(MemberFactory.create(account=ada.account, role=role)).get(path(PAGE, ada.account))

    text = page.content.decode()
    assert page.headers["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    for said in ("Salesforce", "ada@acme.example", "contacts.read", its.connected_at.isoformat()):
        assert said in text
    assert gone.app.name not in text
    assert other.app.name not in text
    assert (path(DISCONNECT, ada.account, its.pk) in text) is (role == Role.SUPER_ADMIN)


def test_without_one_the_page_says_so(ada: Member) -> None:
    assert b"No app is connected" in signed_in(ada).get(path(PAGE, ada.account)).content


def test_opening_the_page_of_disconnecting_changes_nothing_and_its_button_does(ada: Member) -> None:
    its = ConnectionFactory.create(account=ada.account, app__name="Salesforce")
    address, client = path(DISCONNECT, ada.account, its.pk), signed_in(ada)

    asked = client.get(address)
    still = Connection.objects.get().is_active
    answer = client.post(address, follow=True)

    assert (asked.status_code, still) == (200, True)
    assert answer.redirect_chain == [(path(PAGE, ada.account), 302)]
    assert b"Salesforce is disconnected." in answer.content
    assert not Connection.objects.get().is_active


@pytest.mark.parametrize("method", ["get", "post"])
def test_who_comes_too_late_is_told_that_it_is_not_connected_any_more(ada: Member, method: str) -> None:
    its = ConnectionFactory.create(account=ada.account, app__name="Salesforce", disconnected_at=NOW)

    answer = getattr(signed_in(ada), method)(path(DISCONNECT, ada.account, its.pk), follow=True)

    assert b"Salesforce is not connected any more." in answer.content


def test_disconnecting_asks_for_proof_after_five_minutes(ada: Member) -> None:
    its = ConnectionFactory.create(account=ada.account)
    address = path(DISCONNECT, ada.account, its.pk)

    answer = signed_in_a_while_ago(ada).post(address)

    assert answer.headers["Location"] == f"{reverse('account_reauthenticate')}?next={address.replace('/', '%2F')}"
    assert Connection.objects.get().is_active


def test_a_lesser_role_that_tries_to_disconnect_is_an_entry(ada: Member) -> None:
    its = ConnectionFactory.create(account=ada.account)
    developer = MemberFactory.create(account=ada.account, role=Role.DEVELOPER)

    answer = signed_in(developer).post(path(DISCONNECT, ada.account, its.pk))

    assert answer.status_code == 403
    assert Connection.objects.get().is_active
    assert _entries(ada.account) == [(Action.CONNECTED_APP_DISCONNECTED, Outcome.REFUSED)]


def test_another_accounts_connection_is_not_there(ada: Member) -> None:
    elsewhere = ConnectionFactory.create()
    client = signed_in(ada)

    statuses = [client.post(path(DISCONNECT, ada.account, one)).status_code for one in (elsewhere.pk, uuid4())]

    assert statuses == [404, 404]
    assert Connection.objects.get().is_active


@pytest.mark.parametrize("name", ["apikeys:api-key-rotate", "apikeys:api-key-deactivate"])
def test_before_the_key_ends_the_connected_apps_are_named_as_what_keeps_working(name: str) -> None:
    key = ApiKeyFactory.create()
    for app in ("Salesforce", "Lakeside Reports"):
        ConnectionFactory.create(account=key.account, app__name=app)
    ConnectionFactory.create(account=key.account, app__name="Goner", disconnected_at=NOW)

    text = " ".join(signed_in(admin_of(key)).get(path(name, key.account)).content.decode().split())

    assert "<strong>Lakeside Reports</strong>, <strong>Salesforce</strong>." in text.partition("What keeps working")[2]
    assert "Goner" not in text
