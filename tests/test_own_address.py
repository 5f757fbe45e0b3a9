"""One's own e-mail address: it counts once a link in a mail has shown that its mail arrives, and not before."""

import re
from urllib.parse import quote

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core import mail as mailbox
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import proofs_by_mail
from accounts.models import OutgoingMail, User
from accounts.tasks import send_mails
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import PASSWORD, MemberFactory, UserFactory
from tests.visitors import signed_in, signed_in_a_while_ago

pytestmark = pytest.mark.django_db

NEW = "ada@new.example"


def _link(to: str) -> str:
    """The path of the only link in the newest mail to somebody."""
    send_mails()
    message = [one for one in mailbox.outbox if one.to == [to]][-1]
    (found,) = re.findall(rf"^{settings.SITE_ORIGIN}(/auth/\S+)$", str(message.body), re.MULTILINE)
    return str(found)


def _ask(client: Client, email: str = NEW) -> int:
    return client.post("/auth/email/", {"email": email}).status_code


# --- Another address ----------------------------------------------------------------------------------------------
def test_a_link_to_the_new_address_changes_it_and_the_old_one_is_told() -> None:
    user = MemberFactory.create().user
    client, before = signed_in(user.memberships.get()), user.email
    _ask(client)
    link = _link(NEW)

    shown = client.get(link)
    unchanged = User.objects.get(pk=user.pk).email
    client.post(link)
    send_mails()

    assert (shown.status_code, unchanged) == (200, before)
    assert User.objects.get(pk=user.pk).email == NEW
    assert list(EmailAddress.objects.filter(user=user).values_list("email", "verified")) == [(NEW, True)]
    told = mailbox.outbox[-1]
    assert (told.to, told.subject) == ([before], "Another e-mail address signs in for you")
    assert NEW in str(told.body)
    entry = AuditEntry.objects.get(action=Action.ADDRESS_CHANGED)
    assert (entry.details["before"], entry.details["after"]) == (before, NEW)


def test_the_new_address_signs_in_and_the_old_one_no_more() -> None:
    member = MemberFactory.create()
    before = member.user.email
    proofs_by_mail.change_address(user=member.user, email=NEW, now=timezone.now())

    answers = [Client().post("/auth/login/", {"login": email, "password": PASSWORD}) for email in (before, NEW)]

    assert [answer.status_code for answer in answers] == [200, 302]
    assert answers[1].headers["Location"] == "/accounts/"


def test_asking_takes_a_fresh_proof_of_who_one_is() -> None:
    client = signed_in_a_while_ago(MemberFactory.create())

    answer = client.post("/auth/email/", {"email": NEW})

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/auth/reauthenticate/")
    assert not OutgoingMail.objects.exists()


def test_the_link_is_good_for_nobody_else() -> None:
    _ask(signed_in(MemberFactory.create()))
    stranger = MemberFactory.create()

    answer = signed_in(stranger).post(_link(NEW))

    assert answer.status_code == 410
    assert not User.objects.filter(email=NEW).exists()


def test_signed_out_the_link_leads_to_signing_in_and_back() -> None:
    _ask(signed_in(MemberFactory.create()))
    link = _link(NEW)

    answer = Client().get(link)

    assert answer.headers["Location"] == f"/auth/login/?next={quote(link)}"


def test_the_link_ends_with_the_password() -> None:
    member = MemberFactory.create()
    _ask(signed_in(member))
    link = _link(NEW)
    member.user.set_password("another long horse battery")
    member.user.save()
    client = Client()
    client.post("/auth/login/", {"login": member.user.email, "password": "another long horse battery"})

    assert client.post(link).status_code == 410


def test_the_link_ends_after_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(MemberFactory.create())
    _ask(client)
    link = _link(NEW)
    monkeypatch.setattr(proofs_by_mail, "NEW_ADDRESS_LASTS", -proofs_by_mail.NEW_ADDRESS_LASTS)

    assert client.post(link).status_code == 410


def test_an_address_that_somebody_has_looks_like_one_that_nobody_has_and_gets_no_mail() -> None:
    client, taken = signed_in(MemberFactory.create()), UserFactory.create().email
    answers = [client.post("/auth/email/", {"email": email}, follow=True) for email in (taken, NEW)]

    send_mails()

    texts = [str(answer.content).replace(email, "") for answer, email in zip(answers, (taken, NEW), strict=True)]
    assert len(texts[0]) == len(texts[1])
    assert [one.to for one in mailbox.outbox] == [[NEW]]


def test_an_address_that_was_taken_meanwhile_is_refused() -> None:
    client = signed_in(MemberFactory.create())
    _ask(client)
    link = _link(NEW)
    UserFactory.create(email=NEW)

    answer = client.post(link)

    assert answer.status_code == 409
    assert User.objects.filter(email=NEW).count() == 1


@pytest.mark.parametrize("bad", ["", "ada@localhost", "ada@[127.0.0.1]", f"{'a' * 65}@new.example", "a@b.example\n"])
def test_what_is_no_address_is_refused_and_sends_nothing(bad: str) -> None:
    assert _ask(signed_in(MemberFactory.create()), bad) == 400
    assert not OutgoingMail.objects.exists()


def test_a_person_makes_the_portal_write_to_ten_addresses_an_hour() -> None:
    client = signed_in(MemberFactory.create())

    answers = [_ask(client, f"ada{n}@new.example") for n in range(11)]

    assert answers == [302] * 10 + [429]


# --- Proof at signing in ------------------------------------------------------------------------------------------
def test_an_address_that_was_never_proved_does_not_sign_in_until_its_link_was_opened(client: Client) -> None:
    user = UserFactory.create(address_proved=False)
    form = {"login": user.email, "password": PASSWORD}
    refused = client.post("/auth/login/", form)
    told = client.get(refused.headers["Location"])
    link = _link(user.email)

    client.get(link)
    still_refused = client.post("/auth/login/", form).headers["Location"]
    client.post(link)

    assert refused.headers["Location"] == still_refused == "/auth/confirm-email/"
    assert "open the link that is on its way" in told.content.decode()
    assert client.post("/auth/login/", form).headers["Location"] == "/accounts/"
    assert AuditEntry.objects.filter(action=Action.ADDRESS_CONFIRMED, actor_id=user.pk).exists()


def test_a_wrong_password_says_nothing_of_the_proof_and_sends_nothing(client: Client) -> None:
    user = UserFactory.create(address_proved=False)

    answer = client.post("/auth/login/", {"login": user.email, "password": "wrong"})

    assert answer.status_code == 200
    assert not OutgoingMail.objects.exists()


def test_a_password_chosen_by_a_mailed_link_proves_the_address(client: Client) -> None:
    user = User.objects.find_or_make("grace@acme.example")
    client.post("/auth/password/reset/", {"email": user.email})
    form = client.get(_link(user.email)).headers["Location"]

    client.post(form, {"password1": PASSWORD, "password2": PASSWORD})

    assert EmailAddress.objects.get(user=user).verified
    assert client.post("/auth/login/", {"login": user.email, "password": PASSWORD}).headers["Location"] == "/accounts/"


@pytest.mark.parametrize("known", [True, False])
def test_asking_for_a_password_is_an_entry_whether_somebody_has_the_address_or_not(
    client: Client, *, known: bool
) -> None:
    email = MemberFactory.create().user.email if known else "hunter2@acme.example"

    client.post("/auth/password/reset/", {"email": email.upper()})

    entry = AuditEntry.objects.get(action=Action.NEW_PASSWORD_ASKED)
    assert (entry.account_id is not None, entry.outcome == "done") == (known, known)
    assert OutgoingMail.objects.exists() is known
    assert "hunter2" not in str(vars(entry)).lower()


def test_no_link_for_a_password_goes_to_an_address_that_was_never_proved(client: Client) -> None:
    user = UserFactory.create()
    EmailAddress.objects.create(user=user, email="typo@acme.example", verified=False)

    client.post("/auth/password/reset/", {"email": "typo@acme.example"})

    assert not OutgoingMail.objects.exists()


def test_a_link_of_long_ago_says_what_to_do(client: Client, settings: Settings) -> None:
    user = UserFactory.create(address_proved=False)
    client.post("/auth/login/", {"login": user.email, "password": PASSWORD})
    link = _link(user.email)
    settings.ACCOUNT_EMAIL_CONFIRMATION_EXPIRE_DAYS = -1

    answer = client.get(link)

    assert "does not work any more" in answer.content.decode()
