"""The role mailbox: named on a page, confirmed by who reads it, then sent every reminder, once."""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.conf import settings
from django.core import mail as mailbox
from django.test import Client
from django.utils import timezone

from accounts import operations, role_mailboxes
from accounts.actors import SHELL
from accounts.models import Member, OutgoingMail, RoleMailbox
from accounts.permissions import Role
from accounts.tasks import send_mails
from apikeys.models import ApiKey
from apikeys.operations import api_keys, reminders
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import NOW, ApiKeyFactory, MemberFactory, SuperAdminFactory
from tests.test_addresses import REFUSED
from tests.test_reminders import DUE, receivers, remind
from tests.visitors import admin_of, path, signed_in, signed_in_a_while_ago

pytestmark = pytest.mark.django_db

TEAM = "platform-team@acme.example"
DAY = timedelta(days=1)


@pytest.fixture
def key() -> ApiKey:
    return ApiKeyFactory.create(created_by__user__email="ada@acme.example", account__name="Acme")


def name(by: Member, email: str = TEAM) -> int:
    return signed_in(by).post(path("accounts:members-role-mailbox", by.account), {"email": email}).status_code


def link(to: str = TEAM) -> str:
    """The path of the link in the newest mail to somebody."""
    send_mails()
    message = [one for one in mailbox.outbox if one.to == [to]][-1]
    (found,) = re.findall(rf"^{settings.SITE_ORIGIN}(/role-mailboxes/\S+)$", str(message.body), re.MULTILINE)
    return str(found)


def confirmed(key: ApiKey, email: str = TEAM) -> RoleMailbox:
    named = role_mailboxes.name(account=key.account, email=email, by=admin_of(key), now=NOW)
    role_mailboxes.confirm(mailbox=named, user=None, now=NOW)
    mails = OutgoingMail.objects.filter(kind=role_mailboxes.MAIL)
    mails.update(dropped_at=NOW)
    return named


# --- Naming and confirming ----------------------------------------------------------------------------------------
def test_opening_the_link_changes_nothing_and_sending_the_form_confirms(key: ApiKey) -> None:
    name(admin_of(key))
    opened = link()

    said = Client().get(opened).content.decode()
    shown = [Client().generic(method, opened).status_code for method in ("GET", "HEAD") * 25]
    before = role_mailboxes.confirmed(key.account)
    answer = Client().post(opened)

    assert (set(shown), before) == ({200}, None)
    assert "for 180 days, when a rotation is planned, and when API keys are to end" in said
    assert (answer.status_code, role_mailboxes.confirmed(key.account)) == (200, TEAM)
    entries = AuditEntry.objects.filter(account_id=key.account_id, action__startswith="account.mailbox")
    assert [(entry.action, entry.actor_kind, entry.target_name) for entry in entries.order_by("id")] == [
        (Action.ACCOUNT_MAILBOX_NAMED, "member", TEAM),
        (Action.ACCOUNT_MAILBOX_CONFIRMED, "person", TEAM),
    ]


def test_a_link_works_once_and_ends_with_removal_another_mailbox_and_seven_days(key: ApiKey) -> None:
    admin, client = admin_of(key), Client()
    ended = []
    for end in ("used", "removed", "another", "days"):
        name(admin)
        opened = link()
        waiting = RoleMailbox.objects.get(confirmed_at=None)
        if end == "used":
            client.post(opened)
            role_mailboxes.remove(mailbox=waiting, by=admin, now=NOW)
        elif end == "removed":
            role_mailboxes.remove(mailbox=waiting, by=admin, now=NOW)
        elif end == "another":
            role_mailboxes.name(account=key.account, email="other@acme.example", by=admin, now=timezone.now())
        else:
            RoleMailbox.objects.update(named_at=timezone.now() - 7 * DAY)
        ended.append((client.get(opened).status_code, client.post(opened).status_code))

    assert ended == [(410, 410)] * 4
    assert role_mailboxes.confirmed(key.account) is None


@pytest.mark.parametrize("end", [operations.remove, partial(operations.change_role, role=Role.DEVELOPER)])
def test_a_link_ends_with_the_role_of_who_named_the_mailbox(key: ApiKey, end: Callable[..., object]) -> None:
    eve, other = admin_of(key), SuperAdminFactory.create(account=key.account)
    name(eve, "eve@evil.example")
    opened = link("eve@evil.example")
    asked = RoleMailbox.objects.get()
    end(member=eve, by=other, now=timezone.now())

    client = Client()
    answers = (client.get(opened).status_code, client.post(opened).status_code)
    with pytest.raises(role_mailboxes.VoidError):  # whose page was opened before
        role_mailboxes.confirm(mailbox=asked, user=None, now=timezone.now())

    assert answers == (410, 410)
    assert role_mailboxes.confirmed(key.account) is None
    page = signed_in(other).get(path("accounts:members-role-mailbox", key.account)).content.decode()
    assert "Who named it may not any more, so its link confirms nothing. Name it again to send another." in page


@pytest.mark.parametrize("token", ["x", "WzEsICJhQGIuZXhhbXBsZSJd:1vN:x"])
def test_a_link_that_is_made_up_confirms_nothing(key: ApiKey, token: str) -> None:
    name(admin_of(key))

    assert Client().post(f"/role-mailboxes/{token}/").status_code == 410
    assert role_mailboxes.confirmed(key.account) is None


def test_the_present_one_gets_the_reminders_until_another_is_confirmed(key: ApiKey) -> None:
    confirmed(key)
    name(admin_of(key), "new-team@acme.example")
    before = role_mailboxes.confirmed(key.account)

    Client().post(link("new-team@acme.example"))

    assert before == TEAM
    assert role_mailboxes.confirmed(key.account) == "new-team@acme.example"
    assert RoleMailbox.objects.count() == 1


def test_naming_it_again_sends_a_new_link_but_not_of_one_that_is_confirmed(key: ApiKey) -> None:
    statuses = [name(admin_of(key)), name(admin_of(key))]
    Client().post(link())

    assert [*statuses, name(admin_of(key), TEAM.upper())] == [302, 302, 409]
    assert RoleMailbox.objects.count() == 1


@pytest.mark.parametrize("bad", REFUSED)
def test_what_is_no_address_is_not_named(key: ApiKey, bad: str) -> None:
    assert name(admin_of(key), bad) == 400
    assert not RoleMailbox.objects.exists()


def test_naming_and_removing_take_a_fresh_proof_of_who_one_is(key: ApiKey) -> None:
    mailbox_id = confirmed(key).pk
    client = signed_in_a_while_ago(admin_of(key))

    answers = [
        client.post(path("accounts:members-role-mailbox", key.account), {"email": "x@acme.example"}),
        client.post(path("accounts:members-role-mailbox-remove", key.account, mailbox_id)),
    ]

    assert all(answer.headers["Location"].startswith("/auth/reauthenticate/") for answer in answers)
    assert role_mailboxes.confirmed(key.account) == TEAM


def test_a_super_admin_makes_the_portal_write_to_ten_mailboxes_an_hour(key: ApiKey) -> None:
    client, page = signed_in(admin_of(key)), path("accounts:members-role-mailbox", key.account)

    answers = [client.post(page, {"email": f"team{n}@acme.example"}).status_code for n in range(11)]

    assert answers == [302] * 10 + [429]


def test_who_lost_the_role_meanwhile_names_and_removes_nothing(key: ApiKey) -> None:
    present = confirmed(key)
    stale = admin_of(key)
    SuperAdminFactory.create(account=key.account)
    operations.change_role(member=stale, role=Role.MEMBER, by=SHELL, now=NOW)

    with pytest.raises(operations.NotAllowedError):
        role_mailboxes.name(account=key.account, email="x@acme.example", by=stale, now=NOW)
    with pytest.raises(operations.NotAllowedError):
        role_mailboxes.remove(mailbox=present, by=stale, now=NOW)

    assert role_mailboxes.confirmed(key.account) == TEAM


def test_the_members_page_says_who_was_asked_and_has_not_confirmed(key: ApiKey) -> None:
    name(admin_of(key))

    page = signed_in(admin_of(key)).get(path("accounts:members", key.account)).content.decode()

    assert f"{TEAM} was asked, and has not confirmed yet." in page


def test_the_members_page_shows_it_to_everybody_and_the_way_to_change_it_to_super_admins(key: ApiKey) -> None:
    confirmed(key)
    member = MemberFactory.create(account=key.account)
    pages = [
        signed_in(one).get(path("accounts:members", key.account)).content.decode() for one in (admin_of(key), member)
    ]

    assert all(f"goes to {TEAM} too" in page for page in pages)
    assert [path("accounts:members-role-mailbox", key.account) in page for page in pages] == [True, False]


def test_it_is_removed_on_the_page_and_gets_no_reminder_any_more(key: ApiKey) -> None:
    mailbox_id = confirmed(key).pk
    client = signed_in(admin_of(key))

    answer = client.post(path("accounts:members-role-mailbox-remove", key.account, mailbox_id), follow=True)
    again = client.post(path("accounts:members-role-mailbox-remove", key.account, mailbox_id))

    assert f"{TEAM} is removed" in answer.content.decode()
    assert again.status_code == 404
    assert receivers(remind()) == ["ada@acme.example"]
    assert AuditEntry.objects.filter(action=Action.ACCOUNT_MAILBOX_REMOVED).count() == 1


# --- Reminders ----------------------------------------------------------------------------------------------------
def test_it_gets_each_reminder_once(key: ApiKey) -> None:
    confirmed(key)

    assert remind(DUE - timedelta(seconds=1)) == []
    assert receivers(remind()) == ["ada@acme.example", TEAM]
    assert remind(DUE + DAY) == []
    assert receivers(remind(DUE + 180 * DAY)) == ["ada@acme.example", TEAM]


def test_one_that_is_confirmed_later_is_reminded_then_and_one_that_comes_back_is_not_again(key: ApiKey) -> None:
    remind()
    confirmed(key)
    first = receivers(remind(DUE + DAY))
    confirmed(key, "new-team@acme.example")
    second = receivers(remind(DUE + 2 * DAY))
    confirmed(key)

    assert (first, second, remind(DUE + 3 * DAY)) == ([TEAM], ["new-team@acme.example"], [])


def test_a_mailbox_that_is_a_persons_address_too_gets_one_mail(key: ApiKey) -> None:
    confirmed(key, "ada@acme.example")

    assert receivers(remind()) == ["ada@acme.example"]
    assert remind(DUE + DAY) == []


def test_who_becomes_super_admin_with_the_mailboxes_address_later_gets_no_second_mail(key: ApiKey) -> None:
    confirmed(key)
    remind()
    SuperAdminFactory.create(account=key.account, user__email=TEAM)

    assert remind(DUE + DAY) == []


@pytest.mark.parametrize("what", ["rotate", "remove", "replace", "suspend"])
def test_what_happens_between_the_scan_and_the_sending_stops_its_mail(key: ApiKey, what: str) -> None:
    present = confirmed(key)
    reminders.remind(now=DUE)
    if what == "rotate":
        api_keys.rotate_api_key(account=key.account, generation=None, by=SHELL, now=DUE)
    elif what == "remove":
        role_mailboxes.remove(mailbox=present, by=SHELL, now=DUE)
    elif what == "replace":
        confirmed(key, "new-team@acme.example")
    else:
        operations.suspend_account(account=key.account, by=SHELL, reason="unpaid", now=DUE)

    assert TEAM not in receivers(remind())


def test_its_mail_speaks_to_the_mailbox(key: ApiKey) -> None:
    confirmed(key)

    (mail,) = [one for one in remind() if one.to == [TEAM]]

    assert "This mailbox gets the reminders of Acme" in str(mail.body)
    assert "because you are a super admin" not in str(mail.body)
    assert key.secret() not in mail.message().as_string()
