"""Operators give a person another address, who does not read the mail of the old one any more."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core import mail as mailbox
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import proofs_by_mail
from accounts.actors import SHELL, NoOperatorError, Operator
from accounts.models import Member, OutgoingMail, User
from accounts.tasks import send_mails
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import NOW, PASSWORD, MemberFactory, SuperAdminFactory, UserFactory
from tests.operator_pages import operator_at_the_pages, page
from tests.second_factors import add_app, code
from tests.visitors import path, signed_in

pytestmark = pytest.mark.django_db

OLD, NEW = "ada@gone.example", "ada@new.example"
REASON = "Left the old company; called back."


@pytest.fixture
def ada() -> Member:
    return SuperAdminFactory.create(user__email=OLD, user__name="Ada")


@pytest.fixture
def operator() -> Client:
    return operator_at_the_pages(email="olivia@portal.example", name="Olivia")


def _assign(user: User, email: str = NEW) -> None:
    proofs_by_mail.assign_address(user=user, email=email, reason=REASON, by=SHELL, now=timezone.now())


def _sent() -> dict[str, list[str]]:
    """Texts that go out now, by whom they go to."""
    mailbox.outbox.clear()
    send_mails()
    found: dict[str, list[str]] = {}
    for message in mailbox.outbox:
        found.setdefault(message.to[0], []).append(str(message.body))
    return found


def test_an_operator_changes_an_address_with_a_reason_and_the_entry_names_both(ada: Member, operator: Client) -> None:
    answer = operator.post(page("user_address", ada.user_id), {"email": NEW, "reason": REASON}, follow=True)

    assert b"The address is changed." in answer.content
    assert User.objects.get(pk=ada.user_id).email == NEW
    entry = AuditEntry.objects.get(action=Action.ADDRESS_CHANGED)
    assert (entry.account_id, entry.actor_kind, entry.actor_name) == (ada.account_id, "operator", "Olivia")
    assert (entry.reason, entry.details["before"], entry.details["after"]) == (REASON, OLD, NEW)


def test_the_old_address_is_told_why_and_the_new_one_gets_a_link(ada: Member) -> None:
    _assign(ada.user)

    sent = _sent()

    assert set(sent) == {OLD, NEW}
    (told,), (asked,) = sent[OLD], sent[NEW]
    assert f"Until now you signed in with {OLD}, from now on with {NEW}." in told
    assert f"Reason: {REASON}" in told
    assert "the people who run this portal" in told
    assert f"{settings.SITE_ORIGIN}/auth/confirm-email/" in asked


def test_the_password_signs_in_with_the_new_address_once_its_link_was_opened(ada: Member) -> None:
    _assign(ada.user)
    client, typed = Client(), {"login": NEW, "password": PASSWORD}
    where = path("accounts:members", ada.account)

    client.post("/auth/login/", typed)
    before = client.get(where).status_code
    (link,) = set(re.findall(rf"{settings.SITE_ORIGIN}(/auth/confirm-email/\S+)", _sent()[NEW][0]))
    client.post(link)
    client.post("/auth/login/", typed)

    assert (before, client.get(where).status_code) == (302, 200)
    assert list(EmailAddress.objects.values_list("email", "verified")) == [(NEW, True)]


def test_the_old_address_signs_in_no_more_and_gets_no_link_for_a_password(ada: Member) -> None:
    _assign(ada.user)
    _sent()
    client = Client()

    client.post("/auth/login/", {"login": OLD, "password": PASSWORD})
    client.post("/auth/password/reset/", {"email": OLD})

    assert "_auth_user_id" not in client.session
    assert _sent() == {}


def test_a_link_for_a_password_that_was_mailed_to_the_old_address_opens_nothing_any_more(ada: Member) -> None:
    link = proofs_by_mail.new_password_link(ada.user).removeprefix(settings.SITE_ORIGIN)
    _assign(ada.user)

    answer = Client().get(link, follow=True)

    assert 'name="password1"' not in answer.content.decode()


def test_a_link_for_a_password_that_is_being_used_meanwhile_sets_none(
    ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    opened = client.get(proofs_by_mail.new_password_link(ada.user).removeprefix(settings.SITE_ORIGIN))
    hash_it = User.set_password

    def hash_it_while_an_operator_is_faster(user: User, password: str) -> None:
        hash_it(user, password)
        _assign(ada.user)

    monkeypatch.setattr(User, "set_password", hash_it_while_an_operator_is_faster)
    chosen = {"password1": "a quite new password 9", "password2": "a quite new password 9"}
    answer = client.post(opened.headers["Location"], chosen, follow=True)

    assert (answer.status_code, 'name="password1"' in answer.content.decode()) == (200, False)
    assert User.objects.get(pk=ada.user_id).check_password(PASSWORD)
    assert list(EmailAddress.objects.filter(user=ada.user).values_list("email", "verified")) == [(NEW, False)]
    assert "_auth_user_id" not in client.session


def test_a_link_to_another_address_that_is_being_used_meanwhile_changes_nothing(ada: Member) -> None:
    as_their_request_read_them = User.objects.get(pk=ada.user_id)
    _assign(ada.user)

    with pytest.raises(proofs_by_mail.LinkOverError):
        proofs_by_mail.change_address(user=as_their_request_read_them, email="eve@evil.example", now=timezone.now())

    assert User.objects.get(pk=ada.user_id).email == NEW


def test_open_sessions_end(ada: Member) -> None:
    windows = [signed_in(ada), signed_in(ada)]

    _assign(ada.user)

    where = path("accounts:members", ada.account)
    assert [window.get(where).status_code for window in windows] == [302, 302]
    assert not Session.objects.exists()


def test_a_sign_in_that_waits_for_the_second_factor_ends(ada: Member) -> None:
    secret, client = add_app(ada.user), Client()
    client.post("/auth/login/", {"login": OLD, "password": PASSWORD})
    _assign(ada.user)

    answer = client.post("/auth/second-factor/authenticate/", {"code": code(secret)})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/auth/login/")
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("taken", [OLD, "grace@acme.example", "Grace@ACME.example"])
def test_an_address_that_somebody_has_is_refused(ada: Member, operator: Client, taken: str) -> None:
    UserFactory.create(email="grace@acme.example")

    answer = operator.post(page("user_address", ada.user_id), {"email": taken, "reason": REASON})

    assert answer.status_code == 400
    assert b"already." in answer.content
    assert User.objects.get(pk=ada.user_id).email == OLD
    assert not OutgoingMail.objects.exists()


@pytest.mark.parametrize(
    "typed",
    [
        {"email": ""},
        {"email": "ada@localhost"},
        {"email": "ada@[127.0.0.1]"},
        {"email": f"{'a' * 65}@new.example"},
        {"email": f"{NEW}\nBcc: eve@evil.example"},
        {"email": f"{NEW}, eve@evil.example"},
        {"reason": ""},
        {"reason": "x" * 201},
    ],
)
def test_what_is_no_address_or_has_no_reason_changes_and_sends_nothing(
    ada: Member, operator: Client, typed: dict[str, str]
) -> None:
    answer = operator.post(page("user_address", ada.user_id), {"email": NEW, "reason": REASON} | typed)

    assert answer.status_code == 400
    assert User.objects.get(pk=ada.user_id).email == OLD
    assert not OutgoingMail.objects.exists()


def test_who_is_no_operator_any_more_changes_nothing(ada: Member) -> None:
    late = UserFactory.create(is_staff=False)

    with pytest.raises(NoOperatorError):
        proofs_by_mail.assign_address(user=ada.user, email=NEW, reason=REASON, by=Operator(late), now=NOW)

    assert User.objects.get(pk=ada.user_id).email == OLD


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_are_given_one_address_at_once_one_gets_it() -> None:
    people = [MemberFactory.create().user for _ in range(4)]

    def assign(user: User) -> bool:
        try:
            _assign(user)
        except proofs_by_mail.TakenError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(assign, people))

    assert sum(done) == 1
    assert User.objects.filter(email=NEW).count() == 1
    assert AuditEntry.objects.filter(action=Action.ADDRESS_CHANGED).count() == 1
