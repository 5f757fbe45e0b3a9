"""Words, dates and times are written as their reader has chosen, on pages and in mails."""

import re
from importlib import import_module

import pytest
from django.conf import settings as project
from django.core import mail as mailbox
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.urls import reverse
from django.utils.translation import to_locale
from pytest_django import Settings

from accounts import invitations, sending, setup
from accounts.models import User
from accounts.permissions import Role
from keyportal.locale.en import formats as first
from tests.factories import (
    NOW,
    PASSWORD,
    ApiKeyFactory,
    InvitationFactory,
    MemberFactory,
    SuperAdminFactory,
    UserFactory,
)
from tests.visitors import admin_of, path, signed_in

pytestmark = pytest.mark.django_db

BRITISH = {"Accept-Language": "en-GB,en;q=0.7"}
PROFILE = {"name": "Ada", "language": "en-gb", "time_zone": "Europe/Berlin"}


def _text(client: Client, address: str) -> str:
    return " ".join(client.get(address).content.decode().split())


@pytest.mark.parametrize(
    ("language", "lang", "written"), [("en", "en", "May 4, 2026"), ("en-gb", "en-gb", "4 May 2026")]
)
def test_the_date_on_the_keys_page_is_written_as_its_reader_writes(language: str, lang: str, written: str) -> None:
    admin = admin_of(ApiKeyFactory.create(created_by__user__language=language))

    answer = signed_in(admin).get(path("apikeys:api-key", admin.account))

    text = answer.content.decode()
    assert f">{written}</time>" in text
    assert f'<html lang="{lang}"' in text
    assert answer.headers["Content-Language"] == lang


@pytest.mark.parametrize("language", ["en", "en-gb"])
def test_the_exact_instant_on_hover_is_the_same_in_every_language(language: str) -> None:
    admin = admin_of(ApiKeyFactory.create())
    User.objects.update(language=language, time_zone="Europe/Berlin")

    text = _text(signed_in(admin), path("apikeys:api-key", admin.account))

    assert 'title="2026-05-04 11:30:00+02:00"' in text


def test_the_person_s_choice_outweighs_the_browser_s() -> None:
    admin = admin_of(ApiKeyFactory.create())

    answer = signed_in(admin).get(path("apikeys:api-key", admin.account), headers=BRITISH)

    assert answer.headers["Content-Language"] == "en"


@pytest.mark.parametrize(
    ("accepted", "lang"), [("en-GB,en;q=0.7", "en-gb"), ("en-US,en", "en"), ("xx", "en"), ("", "en"), ("*;q=x", "en")]
)
def test_signed_out_pages_are_in_the_browser_s_language(client: Client, accepted: str, lang: str) -> None:
    answer = client.get(reverse("account_login"), headers={"Accept-Language": accepted})

    assert f'<html lang="{lang}"' in answer.content.decode()
    assert "Accept-Language" in answer.headers["Vary"]


@pytest.mark.parametrize("address", ["/en-gb/profile/", "/en/"])
def test_no_address_holds_a_language(client: Client, address: str) -> None:
    assert client.get(address).status_code == 404


def test_a_person_chooses_their_language_in_their_profile() -> None:
    member = MemberFactory.create()
    client = signed_in(member)

    client.post(reverse("profile"), PROFILE)

    assert User.objects.get().language == "en-gb"
    assert '<option value="en-gb" selected>English (United Kingdom)' in _text(client, reverse("profile"))


@pytest.mark.parametrize("language", ["", "de", "en-xx", "EN", "en\0"])
def test_a_language_that_is_none_changes_nothing(language: str) -> None:
    member = MemberFactory.create()

    answer = signed_in(member).post(reverse("profile"), PROFILE | {"language": language})

    assert b"is-invalid" in answer.content
    assert User.objects.get().language == "en"


def test_who_chose_a_language_that_is_offered_no_more_reads_the_first() -> None:
    member = MemberFactory.create(user__language="de")

    assert '<html lang="en"' in _text(signed_in(member), path("accounts:members", member.account))


def test_what_begins_in_a_browser_begins_in_its_language(client: Client) -> None:
    link = setup.link()
    assert link is not None
    typed = {"account_name": "Acme", "name": "Ada", "email": "ada@acme.example", "password": PASSWORD}

    client.post(link, typed, headers=BRITISH)

    assert User.objects.get().language == "en-gb"


def test_who_accepts_an_invitation_begins_in_their_language_and_the_account_s_zone(client: Client) -> None:
    invitation = InvitationFactory.create(account__time_zone="Asia/Tokyo")

    client.post(invitations.path_of(invitation), {"name": "Grace", "password": PASSWORD}, headers=BRITISH)

    grace = User.objects.get(email=invitation.email)
    assert (grace.language, grace.time_zone) == ("en-gb", "Asia/Tokyo")


# --- Mails ----------------------------------------------------------------------------------------------------------


def _invitation_to(email: str) -> tuple[str, str]:
    """The mail that a super admin in Tokyo sends to somebody: its text and its page."""
    admin = SuperAdminFactory.create(
        user__language="en-gb", user__time_zone="Asia/Tokyo", account__time_zone="Asia/Tokyo"
    )
    invitations.invite(account=admin.account, email=email, role=Role.MEMBER, by=admin, now=NOW)
    sending.send_next(now=NOW)
    (message,) = mailbox.outbox
    assert isinstance(message, EmailMultiAlternatives)
    return str(message.body), str(message.alternatives[0][0])


def test_a_mail_is_written_in_the_recipient_s_language_and_zone() -> None:
    UserFactory.create(email="grace@acme.example", language="en-gb", time_zone="America/New_York")

    text, page = _invitation_to("grace@acme.example")

    assert "11 May 2026, 05:30 EDT" in text
    assert '<html lang="en-gb">' in page


def test_a_mail_to_somebody_unknown_is_in_the_first_language_and_the_account_s_zone() -> None:
    text, page = _invitation_to("grace@acme.example")

    assert "May 11, 2026, 6:30 PM JST" in text
    assert '<html lang="en">' in page


# --- Another language -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [code for code, _ in project.LANGUAGES])
def test_every_language_has_every_format(code: str) -> None:
    formats = import_module(f"keyportal.locale.{to_locale(code)}.formats")

    assert {name for name in vars(formats) if name.isupper()} == {name for name in vars(first) if name.isupper()}


@pytest.mark.once("reads the files of templates")
def test_templates_name_formats_and_spell_none_out() -> None:
    texts = [file.read_text() for file in (project.BASE_DIR / "templates").rglob("*.*")]
    named = {name for text in texts for name in re.findall(r'(?:\{% instant \S+ |\|date:)"([^"]*)"', text)}

    assert named
    assert named <= set(vars(first))


def test_a_line_in_the_settings_makes_a_language(settings: Settings) -> None:
    """German, of which Django brings its own words, such as those for how long ago."""
    settings.LANGUAGES = [*settings.LANGUAGES, ("de", "Deutsch")]
    member = MemberFactory.create(joined_at=NOW)
    client = signed_in(member)

    client.post(reverse("profile"), PROFILE | {"language": "de"})
    text = _text(client, path("accounts:members", member.account))

    assert '<html lang="de"' in text
    assert any(unit in text for unit in ("Jahr", "Monat", "Woche", "Tag"))
