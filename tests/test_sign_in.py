"""Signing in and proving who one is: what strangers cannot prevent, and what stays in the audit log."""

import re

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client
from pytest_django import Settings

from accounts.tasks import send_mails
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import PASSWORD, MemberFactory, UserFactory
from tests.visitors import signed_in

pytestmark = pytest.mark.django_db

SIGN_IN, PROVE = "/auth/login/", "/auth/reauthenticate/"
NEW_PASSWORD = "another long horse battery"


def _entries(action: Action) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action).order_by("id"))


def test_strangers_who_fail_behind_the_same_proxy_keep_nobody_from_signing_in() -> None:
    member = MemberFactory.create()
    for number in range(15):
        guess = {"login": f"stranger{number}@evil.example", "password": "x"}
        Client(headers={"X-Forwarded-For": "203.0.113.66"}).post(SIGN_IN, guess)

    ours = Client(headers={"X-Forwarded-For": "198.51.100.7"})
    answer = ours.post(SIGN_IN, {"login": member.user.email, "password": PASSWORD})

    assert answer.status_code == 302


def test_strangers_who_guess_a_members_password_do_not_keep_them_from_proving_who_they_are() -> None:
    member = MemberFactory.create()
    client = signed_in(member)
    for _ in range(15):
        Client().post(SIGN_IN, {"login": member.user.email, "password": "x"})

    answer = client.post(PROVE, {"password": PASSWORD, "next": "/profile/"})

    assert (answer.status_code, answer.headers.get("Location")) == (302, "/profile/")


def test_who_holds_a_session_may_guess_its_password_ten_times_a_minute() -> None:
    client = signed_in(MemberFactory.create())

    answers = [client.post(PROVE, {"password": "x"}).status_code for _ in range(11)]

    assert answers == [200] * 10 + [429]


@pytest.mark.parametrize("address", [SIGN_IN, "/auth/password/reset/"])
def test_the_forms_in_front_say_each_label_once(client: Client, address: str) -> None:
    text = client.get(address).content.decode()

    assert re.findall(r"<label[^>]*>([^<]*)</label>", text)[0] == "E-mail address"
    assert "placeholder" not in text


def test_a_failed_proof_is_an_entry() -> None:
    member = MemberFactory.create()

    signed_in(member).post(PROVE, {"password": "x"})

    (entry,) = _entries(Action.SIGN_IN_FAILED)
    assert (entry.account_id, entry.actor_email, entry.outcome) == (member.account_id, member.user.email, "refused")


def test_a_failed_sign_in_is_an_entry_of_the_persons_accounts(client: Client) -> None:
    member = MemberFactory.create()

    client.post(SIGN_IN, {"login": member.user.email, "password": "x"})

    (entry,) = _entries(Action.SIGN_IN_FAILED)
    assert (entry.account_id, entry.actor_email, entry.outcome) == (member.account_id, member.user.email, "refused")


def test_a_failed_sign_in_of_nobody_is_an_entry_that_does_not_keep_what_was_typed(client: Client) -> None:
    client.post(SIGN_IN, {"login": "hunter2@evil.example", "password": "x"})

    (entry,) = _entries(Action.SIGN_IN_FAILED)
    assert (entry.account_id, entry.actor_kind, entry.actor_email) == (None, "person", "")
    assert "hunter2" not in str(vars(entry))


def test_the_sign_in_of_an_operator_without_an_account_is_an_entry(client: Client) -> None:
    operator = UserFactory.create(is_staff=True)

    client.post(SIGN_IN, {"login": operator.email, "password": PASSWORD})

    (entry,) = _entries(Action.SIGN_IN_SUCCEEDED)
    assert (entry.account_id, entry.actor_kind, entry.actor_email) == (None, "operator", operator.email)


def test_a_changed_password_is_an_entry() -> None:
    member = MemberFactory.create()
    form = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}

    signed_in(member).post("/auth/password/change/", form)

    (entry,) = _entries(Action.PASSWORD_CHANGED)
    assert (entry.account_id, entry.actor_email) == (member.account_id, member.user.email)


def test_a_password_chosen_by_a_mailed_link_is_an_entry(client: Client) -> None:
    member = MemberFactory.create()
    client.post("/auth/password/reset/", {"email": member.user.email})
    send_mails()
    found = re.search(rf"^{settings.SITE_ORIGIN}(/\S+)$", str(mail.outbox[0].body), re.MULTILINE)
    assert found is not None
    form_address = client.get(found[1]).headers["Location"]

    client.post(form_address, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})

    (entry,) = _entries(Action.PASSWORD_RESET)
    assert (entry.account_id, entry.actor_email) == (member.account_id, member.user.email)
    member.user.refresh_from_db()
    assert member.user.check_password(NEW_PASSWORD)


def test_the_mail_for_a_new_password_leads_to_the_portals_own_address() -> None:
    member = MemberFactory.create()

    Client(headers={"Host": "127.0.0.1:8180"}).post("/auth/password/reset/", {"email": member.user.email})
    send_mails()

    (sent,) = mail.outbox
    assert sent.subject == "Choose a new password"
    assert f"\n{settings.SITE_ORIGIN}/auth/password/reset/key/" in str(sent.body)
    assert member.user.email in str(sent.body)
    assert "127.0.0.1" not in str(sent.message())


@pytest.mark.parametrize("demo", [True, False])
def test_a_mail_of_the_demonstration_says_that_it_is_one(settings: Settings, *, demo: bool) -> None:
    settings.DEMO = demo
    member = MemberFactory.create()

    Client().post("/auth/password/reset/", {"email": member.user.email})
    send_mails()

    assert str(mail.outbox[0].body).startswith("Demonstration:") is demo
