"""Attacks on mails: names that break headers, lines and directions; programs that open every link; HTML that is not."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.utils import timezone

from accounts import letters, mail_choices, mail_kinds, mail_previews, outbox
from accounts.mail_previews import Names
from accounts.models import OutgoingMail
from accounts.names import LONGEST_IN_SUBJECT
from tests.visitors import signed_in_by

pytestmark = pytest.mark.django_db

KINDS = sorted(kind for kind in outbox.kinds() if not kind.startswith("tests."))
FAMILY = "👨\u200d👩\u200d👧"  # five code points, one sign
HOSTILE = {
    "line breaks": "Acme\r\nBcc: everybody@acme.example\r\n\r\n<script>alert(1)</script>",
    "line separators": "Acme\u2028Bcc: x\u2029\x0b\x0c\x85\x1c",
    "tags": '</title></style><img src=x onerror=alert(1)>" style="display:none" x="',
    "300 emoji": FAMILY * 60,
    "right to left": "شركة المثال",
    "an override": "Acme\u202egnp.exe\u2066",
    "one long word": "x" * 100,
    "encoded words": "=?utf-8?q?Bcc=3A_x?= =?utf-7?b?AAAA?=",
    "templates": "{{ origin }}{% load x %}%(account)s",
}
VNU_JAR = os.environ.get("VNU_JAR", "")
SCANNERS = [
    "Mozilla/5.0 (compatible; Microsoft Safe Links)",
    "BarracudaCentral/1.0",
    "GoogleImageProxy",
    "Slackbot",
    "",
]


@dataclass(frozen=True, slots=True)
class Sent:
    """One message as it goes over the wire, and as Python's strict parser reads it."""

    kind: str
    variation: str
    made: EmailMultiAlternatives
    raw: bytes

    @property
    def parsed(self) -> EmailMessage:
        return message_from_bytes(self.raw, _class=EmailMessage, policy=policy.strict)

    @property
    def html(self) -> str:
        return str(self.made.alternatives[0][0])


def every_mail(names: Names = Names()) -> Iterator[Sent]:  # noqa: B008 -- frozen
    for kind in KINDS:
        for variation, made in mail_previews.messages(kind, names=names).items():
            yield Sent(kind, variation, made, made.message().as_bytes().replace(b"\n", b"\r\n"))


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


# --- RFC 5322 -------------------------------------------------------------------------------------------------------


@pytest.mark.once("writes and reads messages")
@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_whatever_people_call_themselves_each_mail_is_a_sound_message(name: str) -> None:
    names = Names(account=name, reader=name, other=name, app=name)

    for sent in every_mail(names):
        said = sent.parsed
        headers = {header.lower() for header in said}
        assert headers <= KNOWN, sent.kind
        assert [str(said["To"])] == sent.made.to
        assert not said.defects
        assert not any(value.defects for value in said.values())
        assert str(said["Subject"]).split() == sent.made.subject.split()
        assert [len(said.get_all(header, [])) for header in ("Subject", "From", "To", "Message-ID")] == [1] * 4
        assert all(len(line) <= 998 for line in sent.raw.split(b"\r\n"))  # RFC 5322, 2.1.1
        assert all(line.isascii() for line in sent.raw.split(b"\r\n\r\n")[0].split(b"\r\n"))
        assert "everybody@" not in str(said["To"])
        assert part(said, "plain").strip()
        assert part(said, "html").startswith("<!DOCTYPE html>")
        assert not re.search("<(script|img)", sent.html)
        assert not re.search(r"[\u202a-\u202e\u2066\u2067]", sent.html + str(sent.made.body))


KNOWN = {
    *("mime-version", "content-type", "subject", "from", "to", "date", "message-id", "auto-submitted"),
    *("in-reply-to", "references", "list-unsubscribe", "list-unsubscribe-post"),
}


def test_a_name_from_right_to_left_turns_nothing_around() -> None:
    name = HOSTILE["right to left"]

    for sent in every_mail(Names(account=name, reader=name, other=name, app=name)):
        text, subject = str(sent.made.body), sent.made.subject
        for said in (text, subject):
            assert said.count(name) == said.count(f"\u2068{name}\u2069"), (sent.kind, said)


def test_a_subject_leaves_room_for_what_is_to_be_done() -> None:
    for sent in every_mail(Names(account="x" * 100, reader="y" * 100, other="z" * 100, app="z" * 100)):
        assert "x" * LONGEST_IN_SUBJECT not in sent.made.subject, sent.kind
        assert "z" * LONGEST_IN_SUBJECT not in sent.made.subject, sent.kind


def test_every_mail_says_that_a_program_wrote_it_and_has_an_id_of_its_own() -> None:
    mails = list(every_mail())

    assert all(sent.parsed["Auto-Submitted"] == "auto-generated" for sent in mails)
    assert len({sent.parsed["Message-ID"] for sent in mails}) == len(mails)


# --- Links ----------------------------------------------------------------------------------------------------------


def addresses(sent: Sent) -> set[str]:
    in_html = re.findall(r'href="([^"]*)"', sent.html)
    in_text = re.findall(r"https?://[^\s>]+", str(sent.made.body))
    return {address.replace("&amp;", "&") for address in (*in_html, *in_text)}


def test_every_link_is_on_our_own_origin() -> None:
    for sent in every_mail():
        hosts = {f"{urlsplit(one).scheme}://{urlsplit(one).netloc}" for one in addresses(sent)}
        assert hosts == {"http://localhost"}, sent.kind


def test_no_link_of_a_mail_that_may_wait_opens_a_door() -> None:
    """Such a mail may lie stored in a digest, and may be passed on without a thought."""
    for sent in every_mail():
        if mail_kinds.may_wait(sent.kind) or sent.kind == mail_kinds.DIGEST:
            for address in addresses(sent):
                assert not urlsplit(address).query
                assert not re.search(r"[\w-]{20,}", urlsplit(address).path), address


def _rows() -> str:
    """Everything stored but sessions, which every visitor may get."""
    models = [model for model in apps.get_models() if model._meta.label != "sessions.Session"]
    return str([sorted(map(str, model._default_manager.values_list())) for model in models])  # noqa: SLF001 -- likewise


@pytest.mark.parametrize("kind", KINDS)
def test_programs_that_open_every_link_fifty_times_change_nothing(kind: str) -> None:
    with mail_previews.scene(Names()) as scene:
        mails = mail_previews.mails(kind, scene).values()
        links = sorted({_path(address) for mail in mails for address in addresses(_made(mail))})
        before = _rows()
        for number in range(50):
            client = Client(headers={"User-Agent": SCANNERS[number % len(SCANNERS)]})
            ask = client.head if number % 2 else client.get
            answers = {ask(link, follow=True).status_code for link in links}
            assert answers <= {200, 429}  # who asks very often waits
        assert _rows() == before


def test_a_link_that_changed_something_would_be_found() -> None:
    with mail_previews.scene(Names()) as scene:
        (mail, *_others) = mail_previews.mails("accounts.access_requested", scene).values()
        before = _rows()
        _choices, switch_off = mail_choices.links(mail)

        Client().post(_path(switch_off))

        assert _rows() != before


@pytest.mark.parametrize("kind", [kind for kind in KINDS if mail_kinds.may_wait(kind)])
def test_links_lead_through_sign_in_to_the_very_page(kind: str) -> None:
    with mail_previews.scene(Names()) as scene:
        reader = signed_in_by(scene.ada, "password")
        for mail in mail_previews.mails(kind, scene).values():
            for address in addresses(_made(mail)) - {
                "http://localhost",
                "http://localhost/migrate/",
            }:  # these are public
                stranger = Client().get(_path(address))
                assert stranger.headers["Location"] == f"/auth/login/?next={_path(address)}"
                assert reader.get(_path(address)).status_code == 200


def _path(address: str) -> str:
    """What a browser asks the server for: without the fragment."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path or "/"


def _made(mail: OutgoingMail) -> Sent:
    letter = outbox.compose(mail, now=timezone.now())
    assert letter is not None
    made = letters.message_of(mail, letter)
    return Sent(mail.kind, "", made, made.message().as_bytes().replace(b"\n", b"\r\n"))


# --- HTML -----------------------------------------------------------------------------------------------------------


@pytest.mark.once("looks at HTML alone")
def test_every_page_is_valid_html(tmp_path: Path) -> None:
    """By the Nu HTML Checker, in one start of Java; how to get it stands in docs/operating.md."""
    if not VNU_JAR or shutil.which("java") is None:
        pytest.skip("vnu: VNU_JAR names no Nu HTML Checker, or there is no Java")
    for sent in every_mail():
        (tmp_path / f"{sent.kind}-{sent.variation}.html").write_text(sent.html)
    (tmp_path / "planted.html").write_text("<!DOCTYPE html><title>x</title><p><table></p>")

    asked = ["java", "-jar", VNU_JAR, "--format", "json", "--skip-non-html", str(tmp_path)]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stderr

    messages = json.loads(found)["messages"]
    errors = {f"{Path(one['url']).name}: {one['message']}" for one in messages if one["type"] == "error"}
    assert {error for error in errors if not error.startswith("planted.html")} == set()
    assert errors
