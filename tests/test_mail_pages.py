"""/mail/: what an installation without a mail server would have sent, for operators, or for all of a demonstration."""

from pathlib import Path

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import Settings

from accounts import invitations, outbox
from accounts.tasks import send_mails
from keyportal.logs import without_tokens
from tests.factories import InvitationFactory, MemberFactory
from tests.visitors import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def directory(settings: Settings, tmp_path: Path) -> Path:
    settings.EMAIL_BACKEND = "keyportal.mail.EmlFileBackend"
    settings.MAIL_IS_KEPT = True
    settings.MAIL_DIR = tmp_path
    return tmp_path


@pytest.fixture
def operator() -> Client:
    return signed_in(MemberFactory.create(user__is_staff=True, user__is_superuser=True))


def _mail_invitation(email: str = "guest@acme.example") -> str:
    """What the link in it says to open the door."""
    invitation = InvitationFactory.create(account__name="Acme", email=email)
    with transaction.atomic():
        outbox.add(invitations.MAIL, about=invitation.issue, to=email, now=invitation.created_at)
    send_mails()
    return invitations.token_of(invitation.issue)


def _page_of_the_newest(client: Client, directory: Path) -> str:
    name = max(directory.glob("*.eml")).stem
    return client.get(f"/mail/{name}/").content.decode()


def test_an_operator_reads_the_mails_the_newest_first(operator: Client, directory: Path) -> None:
    _mail_invitation("first@acme.example")
    _mail_invitation("second@acme.example")

    page = operator.get("/mail/").content.decode()

    assert page.index("second@acme.example") < page.index("first@acme.example")
    assert "You are invited to Acme" in _page_of_the_newest(operator, directory)


def test_an_operator_reads_no_link_that_opens_a_door(operator: Client, directory: Path) -> None:
    token = _mail_invitation()

    page = _page_of_the_newest(operator, directory)

    assert "/invitations/…" in page
    assert token not in page
    assert token.encode() in max(directory.glob("*.eml")).read_bytes()


def test_in_a_demonstration_everybody_reads_them_links_and_all(settings: Settings, directory: Path) -> None:
    settings.DEMO = True
    token = _mail_invitation()
    client = signed_in(MemberFactory.create())

    assert client.get("/mail/").status_code == 200
    assert token in _page_of_the_newest(client, directory)


def test_nobody_else_does(settings: Settings, directory: Path, operator: Client) -> None:
    _mail_invitation()
    address = f"/mail/{max(directory.glob('*.eml')).stem}/"
    member = signed_in(MemberFactory.create())

    assert [member.get(path, follow=True).status_code for path in ("/mail/", address)] == [403, 403]
    signed_out = [Client().get(path, follow=True).redirect_chain[-1][0] for path in ("/mail/", address)]
    assert all(path.startswith("/auth/login/?next=") for path in signed_out)
    settings.MAIL_IS_KEPT = False
    assert operator.get("/mail/").status_code == 404


@pytest.mark.parametrize("name", ["..%2F.env", "20260101T000000.000000Z-00000000", "x", "..%2f..%2fetc%2fpasswd"])
def test_a_name_that_is_no_kept_mail_is_404(operator: Client, directory: Path, name: str) -> None:
    (directory.parent / ".env.eml").write_text("SECRET_KEY=x")

    assert operator.get(f"/mail/{name}/").status_code == 404


def test_without_mails_the_page_says_how_to_get_one(operator: Client) -> None:
    assert b"No mail yet" in operator.get("/mail/").content


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/set-up/abc/", "/set-up/…/"),
        (
            "see https://x.example/auth/password/reset/key/3-abc/ now",
            "see https://x.example/auth/password/reset/key/…/ now",
        ),
        ("/accounts/acme/invitations/3/withdraw/", "/accounts/acme/invitations/3/withdraw/"),
    ],
)
def test_links_lose_what_opens_the_door(text: str, left: str) -> None:
    assert without_tokens(text) == left
