"""Ways to lead people off the portal: `next` that points elsewhere, and requests that claim another host."""

import re
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core import mail as mailbox
from django.test import Client

from accounts.tasks import send_mails
from tests.factories import PASSWORD, MemberFactory, UserFactory
from tests.test_addresses import REFUSED
from tests.visitors import signed_in_a_while_ago

pytestmark = pytest.mark.django_db

ELSEWHERE = [
    "https://evil.example/",
    "http://evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example/..",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https:/evil.example",
    "http:\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "\t//evil.example",
    " //evil.example",
    "\x08//evil.example",
    "\x00//evil.example",
    "/\x08/evil.example",
    "\u00a0//evil.example",
    "javascript:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "//localhost@evil.example",
    "http://localhost@evil.example/",
    "http://localhost:6666/",  # a host of ours, yet not the portal
    "https://[::1/",
    "evil.example",
]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_signing_in_leads_nowhere_else(client: Client, elsewhere: str) -> None:
    member = MemberFactory.create()

    answer = client.post("/auth/login/", {"login": member.user.email, "password": PASSWORD, "next": elsewhere})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/")


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_a_link_to_the_sign_in_page_leads_who_is_signed_in_nowhere_else(client: Client, elsewhere: str) -> None:
    client.force_login(MemberFactory.create().user)

    answer = client.get("/auth/login/", {"next": elsewhere})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/")


@pytest.mark.parametrize("elsewhere", ELSEWHERE[::4])
def test_proving_who_one_is_leads_nowhere_else(elsewhere: str) -> None:
    client = signed_in_a_while_ago(MemberFactory.create())

    answer = client.post("/auth/reauthenticate/", {"password": PASSWORD, "next": elsewhere})

    assert answer.status_code == 302
    assert "evil" not in answer.headers["Location"]
    assert urlsplit(answer.headers["Location"]).netloc == ""


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_signing_out_leads_nowhere_else(client: Client, elsewhere: str) -> None:
    client.force_login(MemberFactory.create().user)

    answer = client.post("/auth/logout/", {"next": elsewhere})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_the_theme_leads_nowhere_else(client: Client, elsewhere: str) -> None:
    answer = client.post("/theme/", {"theme": "dark", "next": elsewhere})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


@pytest.mark.parametrize("here", ["/profile/", "/accounts/acme/calls/?method=GET&path=%2Fa", "/docs#top", "/%5Cevil"])
def test_pages_of_the_portal_are_led_to(client: Client, here: str) -> None:
    member = MemberFactory.create()

    answer = client.post("/auth/login/", {"login": member.user.email, "password": PASSWORD, "next": here})

    assert answer.headers["Location"] == here


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "evil.example:80", "localhost,evil"]
)
def test_a_reset_that_claims_another_host_sends_nothing(client: Client, host: str) -> None:
    member = MemberFactory.create()

    answer = client.post("/auth/password/reset/", {"email": member.user.email}, headers={"Host": host})
    send_mails()

    assert answer.status_code == 400
    assert not mailbox.outbox


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:6666"},  # one that is served, and a port of somebody else
        {"Host": "testserver"},
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Server": "evil.example", "X-Host": "evil.example", "Forwarded": "host=evil.example"},
        {"Origin": "https://evil.example", "Referer": "https://evil.example/"},
    ],
)
def test_a_reset_mail_names_the_portal_whatever_the_request_claims(client: Client, headers: dict[str, str]) -> None:
    member = MemberFactory.create()

    client.post("/auth/password/reset/", {"email": member.user.email}, headers=headers)
    send_mails()

    message = mailbox.outbox[0]
    links = re.findall(r"\S+/auth/password/reset/key/\S+", str(message.body))
    assert len(links) == 1
    assert links[0].startswith(f"{settings.SITE_ORIGIN}/auth/password/reset/key/")
    assert not re.search(r"evil|6666|testserver|127\.0\.0\.1", f"{message.subject}{message.body}")


TRIMMED = "victim@acme.example\r\n"  # means the one address before it
BAD_ADDRESSES = [*(REFUSED.keys() - {TRIMMED}), "", " ", "victim@acme.example, ada@acme.example"]


@pytest.mark.parametrize("typed", sorted(BAD_ADDRESSES))
@pytest.mark.parametrize("form", ["/auth/password/reset/", "/auth/login/"])
def test_a_bad_address_in_front_of_the_door_sends_nothing(client: Client, form: str, typed: str) -> None:
    for email in ("victim@acme.example", "ada@acme.example", "eve@evil.example"):
        UserFactory.create(email=email)

    answer = client.post(form, {"email": typed, "login": typed, "password": PASSWORD})
    send_mails()

    assert answer.status_code in {200, 302}
    assert not mailbox.outbox
    assert "_auth_user_id" not in client.session


def test_the_link_of_a_reset_mail_opens_the_form_for_a_new_password(client: Client) -> None:
    member = MemberFactory.create()
    client.post("/auth/password/reset/", {"email": member.user.email})
    send_mails()
    link = urlsplit(re.findall(r"\S+/auth/password/reset/key/\S+", str(mailbox.outbox[0].body))[0]).path

    answer = client.get(link, follow=True)

    assert b'name="password1"' in answer.content
