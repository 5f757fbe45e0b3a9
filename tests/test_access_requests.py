"""Asking for access to the API key: who asks, who reads it, how often, and how it ends."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as mailbox
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import access_requests
from accounts.models import AccessRequest, Member, Notice
from accounts.permissions import Role
from accounts.tasks import send_mails
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import NOW, ApiKeyFactory, MemberFactory, SuperAdminFactory
from tests.visitors import admin_of, path, signed_in

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
ASK, DISMISS, PAGE = "accounts:access-request", "accounts:access-request-dismiss", "apikeys:api-key"


def _asked(member: Member, reason: str = "The nightly import") -> AccessRequest:
    return access_requests.ask_for_key(member=member, reason=reason, now=timezone.now())


def _page_of(member: Member) -> str:
    return _text(signed_in(member), member)


def _text(client: Client, member: Member) -> str:
    return " ".join(client.get(path(PAGE, member.account)).content.decode().split())


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.AUDITOR, Role.MEMBER])
def test_who_may_not_show_the_key_asks_and_every_super_admin_is_told(role: Role) -> None:
    key = ApiKeyFactory.create()
    other = SuperAdminFactory.create(account=key.account)
    SuperAdminFactory.create()
    member = MemberFactory.create(account=key.account, role=role, user__name="Jun")

    answer = signed_in(member).post(path(ASK, key.account), {"reason": "The nightly import"}, follow=True)

    assert "Asked. Each super admin of this account gets a mail, and reads it in the portal." in answer.content.decode()
    told = Notice.objects.filter(kind=Notice.Kind.ACCESS_REQUESTED)
    assert {notice.user for notice in told} == {admin_of(key).user, other.user}
    entry = AuditEntry.objects.get(action=Action.MEMBER_ASKED_FOR_KEY)
    assert (entry.account_id, entry.actor_name, entry.reason) == (key.account_id, "Jun", "The nightly import")


def test_super_admins_read_the_reason_on_the_keys_page_and_nobody_else_does() -> None:
    admin = SuperAdminFactory.create()
    _asked(MemberFactory.create(account=admin.account))

    assert "The nightly import" in _page_of(admin)
    assert "The nightly import" not in _page_of(MemberFactory.create(account=admin.account))
    assert "The nightly import" not in _page_of(SuperAdminFactory.create())


def test_a_member_asks_once_a_day() -> None:
    member = MemberFactory.create()
    first = access_requests.ask_for_key(member=member, reason="One", now=NOW)

    with pytest.raises(access_requests.AskedLatelyError):
        access_requests.ask_for_key(member=member, reason="Two", now=NOW + DAY - timedelta(seconds=1))
    again = access_requests.ask_for_key(member=member, reason="Three", now=NOW + DAY)

    assert list(AccessRequest.objects.open()) == [again]
    assert first.member_id == again.member_id


def test_dismissing_does_not_let_a_member_ask_again_sooner() -> None:
    member = MemberFactory.create()
    admin = SuperAdminFactory.create(account=member.account)
    request = access_requests.ask_for_key(member=member, reason="One", now=NOW)
    access_requests.dismiss(request=request, by=admin, now=NOW)

    with pytest.raises(access_requests.AskedLatelyError):
        access_requests.ask_for_key(member=member, reason="Two", now=NOW + timedelta(hours=1))


@pytest.mark.django_db(transaction=True)
def test_many_clicks_at_once_are_one_request() -> None:
    admin = SuperAdminFactory.create()
    member = MemberFactory.create(account=admin.account)

    def ask(_: int) -> None:
        try:
            access_requests.ask_for_key(member=member, reason="Now", now=NOW)
        except access_requests.AskedLatelyError:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, range(6)))

    assert AccessRequest.objects.count() == Notice.objects.count() == 1


def test_who_asked_lately_is_told_so_instead_of_asked_again() -> None:
    member = MemberFactory.create()
    client = signed_in(member)
    _asked(member)

    again = client.post(path(ASK, member.account), {"reason": "Please"}, follow=True)

    assert "You asked within the last day." in again.content.decode()
    assert "You asked them here" in _text(client, member)
    assert 'name="reason"' not in _text(client, member)
    assert AccessRequest.objects.count() == 1


def test_a_super_admin_need_not_ask() -> None:
    admin = SuperAdminFactory.create()

    signed_in(admin).post(path(ASK, admin.account), {"reason": "Please"})

    assert not AccessRequest.objects.exists()
    assert 'name="reason"' not in _page_of(admin)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "a\x00b"])
def test_a_reason_that_is_none_is_refused_and_nothing_is_sent(reason: str) -> None:
    member = MemberFactory.create()

    answer = signed_in(member).post(path(ASK, member.account), {"reason": reason}, follow=True)

    assert "Nothing was sent." in answer.content.decode()
    assert not AccessRequest.objects.exists()


def test_a_reason_with_hidden_characters_is_spelled_out() -> None:
    admin = SuperAdminFactory.create()
    _asked(MemberFactory.create(account=admin.account), reason="x\u202ey<b>")

    assert "x\\u{202E}y&lt;b&gt;" in _page_of(admin)


def test_dismissing_takes_it_off_the_page_and_the_bells_and_is_an_entry() -> None:
    admin = SuperAdminFactory.create()
    SuperAdminFactory.create(account=admin.account)
    request = _asked(MemberFactory.create(account=admin.account))
    client = signed_in(admin)

    client.post(path(DISMISS, admin.account, request.pk))
    client.post(path(DISMISS, admin.account, request.pk))

    assert "The nightly import" not in _text(client, admin)
    assert not Notice.objects.unread().exists()
    entry = AuditEntry.objects.get(action=Action.MEMBER_REQUEST_DISMISSED)
    assert (entry.actor_name, entry.target_name) == (str(admin.user), str(request.member.user))


def test_a_request_of_another_account_is_not_found() -> None:
    stranger = SuperAdminFactory.create()
    request = _asked(MemberFactory.create())

    answer = signed_in(stranger).post(path(DISMISS, stranger.account, request.pk))

    assert answer.status_code == 404
    assert AccessRequest.objects.open().exists()


@pytest.mark.parametrize("what", ["left", "promoted"])
def test_who_left_or_may_by_now_is_off_the_page(what: str) -> None:
    admin = SuperAdminFactory.create()
    member = MemberFactory.create(account=admin.account)
    _asked(member)
    if what == "left":
        member.leave(at=timezone.now())
    else:
        Member.objects.filter(pk=member.pk).update(role=Role.SUPER_ADMIN)

    assert "Asked for access" not in _page_of(admin)


def test_opening_the_addresses_asks_and_dismisses_nothing() -> None:
    admin = SuperAdminFactory.create()
    request = _asked(MemberFactory.create(account=admin.account))
    client = signed_in(admin)

    statuses = {
        client.get(path(ASK, admin.account)).status_code,
        client.get(path(DISMISS, admin.account, request.pk)).status_code,
    }

    assert statuses == {302}
    assert AccessRequest.objects.open().exists()


def test_the_notice_leads_to_the_request() -> None:
    admin = SuperAdminFactory.create()
    _asked(MemberFactory.create(account=admin.account))

    text = signed_in(admin).get(reverse("notices")).content.decode()

    assert f'href="{path(PAGE, admin.account)}#requests"' in text


@pytest.mark.parametrize("lost", [{"role": Role.AUDITOR}, {"left_at": timezone.now()}])
def test_who_lost_the_role_a_moment_ago_dismisses_nothing(lost: dict[str, Any]) -> None:
    member = MemberFactory.create()
    admin = SuperAdminFactory.create(account=member.account, joined_at=NOW)
    request = _asked(member)
    Member.objects.filter(pk=admin.pk).update(**lost)  # while `admin` still says otherwise

    with pytest.raises(access_requests.MayNotError):
        access_requests.dismiss(request=request, by=admin, now=timezone.now())

    assert AccessRequest.objects.open().get() == request


def test_who_left_a_moment_ago_asks_for_nothing() -> None:
    member = MemberFactory.create(joined_at=NOW)
    Member.objects.update(left_at=timezone.now())

    with pytest.raises(access_requests.MayNotError):
        _asked(member)

    assert not AccessRequest.objects.exists()


def test_each_super_admin_gets_a_mail_and_none_once_it_is_dismissed() -> None:
    admin = SuperAdminFactory.create(user__email="ada@acme.example", account__name="Acme")
    member = MemberFactory.create(account=admin.account, user__name="Jun", user__email="jun@acme.example")
    _asked(member)
    send_mails()
    MemberFactory.create(account=admin.account)
    dismissed = _asked(MemberFactory.create(account=admin.account))
    access_requests.dismiss(request=dismissed, by=admin, now=NOW)
    send_mails()

    (message,) = mailbox.outbox
    assert (message.to, message.subject) == (["ada@acme.example"], "Acme: Jun asks for the API key")
    text = str(message.body)
    assert text.startswith("Jun (jun@acme.example) asks for access to the API key of Acme.\n")
    assert "The reason given:\n\n> The nightly import\n" in text
    assert f"http://localhost{path('apikeys:api-key', admin.account)}#requests\n" in text
    assert "\n\n\n" not in text
