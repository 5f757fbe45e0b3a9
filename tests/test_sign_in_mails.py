"""Mails about one's own sign-in: each change tells its person what, when, from where, and what to do."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail as mailbox
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.utils import timezone

from accounts import operations
from accounts.actors import SHELL
from accounts.models import Member, OutgoingMail
from accounts.tasks import send_mails
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.factories import PASSWORD, MemberFactory
from tests.second_factors import add_app, code, recovery_code, signed_in_with
from tests.visitors import signed_in

pytestmark = pytest.mark.django_db

NEW_PASSWORD = "another long horse battery"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"


@pytest.fixture
def ada() -> Member:
    return MemberFactory.create(user__email="ada@acme.example", user__time_zone="Europe/Berlin")


def _subjects() -> list[str]:
    send_mails()
    return [str(message.subject) for message in mailbox.outbox]


def test_a_mail_says_what_when_from_where_and_what_to_do(ada: Member) -> None:
    client = signed_in(ada)
    form = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}

    client.post("/auth/password/change/", form, headers={"User-Agent": FIREFOX}, REMOTE_ADDR="203.0.113.9")
    send_mails()

    (message,) = mailbox.outbox
    text = str(message.body)
    at = timezone.localtime(AuditEntry.objects.get(action=Action.PASSWORD_CHANGED).at)
    assert (message.to, message.subject) == (["ada@acme.example"], "Your password was changed")
    assert "The password of ada@acme.example was changed." in text
    assert f" {at.year}, " in text
    assert "CET" in text or "CEST" in text
    assert "From: 203.0.113.9, Firefox on Linux" in text
    assert "/auth/password/reset/" in text
    assert "\n\n\n" not in text


def test_a_mail_names_no_secret_and_no_code(ada: Member) -> None:
    secret = add_app(ada.user)
    spare = recovery_code(ada.user)

    send_mails()

    assert mailbox.outbox
    for message in mailbox.outbox:
        assert secret not in str(message.message())
        assert spare not in str(message.message())


def test_the_first_second_factor_and_the_codes_that_come_with_it_are_one_mail(ada: Member) -> None:
    client = signed_in(ada)
    secret = client.get("/auth/second-factor/app/add/").context["form"].secret

    client.post("/auth/second-factor/app/add/", {"code": code(secret)})

    assert _subjects() == ["A second factor was added to your sign-in"]
    assert "authenticator app" in str(mailbox.outbox[0].body)


def test_each_later_change_of_second_factors_is_a_mail(ada: Member) -> None:
    client = signed_in_with(ada.user, add_app(ada.user))
    OutgoingMail.objects.all().delete()

    client.post("/auth/second-factor/recovery-codes/new/")
    client.post("/auth/second-factor/app/remove/")

    assert sorted(_subjects()) == [
        "A second factor was removed from your sign-in",
        "There are new recovery codes for your sign-in",
    ]


def test_a_recovery_code_that_was_used_is_a_mail(ada: Member) -> None:
    add_app(ada.user)
    OutgoingMail.objects.all().delete()
    client = Client()
    client.post("/auth/login/", {"login": ada.user.email, "password": PASSWORD})

    client.post("/auth/second-factor/authenticate/", {"code": recovery_code(ada.user)})

    assert _subjects() == ["A recovery code was used to sign in as you"]
    assert "9 are left" in str(mailbox.outbox[0].body)


def test_second_factors_that_an_operator_took_away_are_a_mail_that_says_so(ada: Member) -> None:
    add_app(ada.user)
    OutgoingMail.objects.all().delete()

    operations.remove_second_factors(user=ada.user, by=SHELL, now=timezone.now())

    assert _subjects() == ["A second factor was removed from your sign-in"]
    assert "By: the people who run this portal" in str(mailbox.outbox[0].body)
    assert not Authenticator.objects.exists()


def test_who_is_in_several_accounts_gets_one_mail(ada: Member) -> None:
    MemberFactory.create(user=ada.user)

    operations.note(Action.PASSWORD_CHANGED, user=ada.user, now=timezone.now())

    assert _subjects() == ["Your password was changed"]


@pytest.mark.parametrize("action", sorted(operations.MAILED))
def test_every_mail_of_a_change_says_something(ada: Member, action: Action) -> None:
    facts: dict[str, Any] = {"kind": "totp", "left": 3, "before": "old@acme.example", "after": "new@acme.example"}

    operations.note(action, user=ada.user, now=timezone.now(), **facts)
    send_mails()

    (message,) = mailbox.outbox
    first, *_rest = str(message.body).splitlines()
    assert len(first) > 40
    assert isinstance(message, EmailMultiAlternatives)
    assert first in str(message.alternatives[0][0])
