"""/mail/previews/: every kind of mail for operators, by its own composer from rows that are then rolled back."""

import re
from collections.abc import Callable

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from accounts import mail_kinds, mail_previews, outbox
from accounts.models import Account, Member
from tests.factories import AccountFactory, MemberFactory, SuperAdminFactory
from tests.visitors import signed_in

pytestmark = pytest.mark.django_db

KINDS = sorted(kind for kind in outbox.kinds() if not kind.startswith("tests."))


@pytest.fixture
def operator() -> Client:
    return signed_in(MemberFactory.create(user__is_staff=True, user__is_superuser=True))


def rows() -> dict[str, int]:
    return {model._meta.label: model._default_manager.count() for model in apps.get_models()}  # noqa: SLF001 -- documented API


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_preview_of_each_variation(operator: Client, kind: str) -> None:
    found = mail_previews.messages(kind)

    assert found
    assert list(found) == mail_previews.variations(kind)
    page = operator.get(reverse("mail-preview", args=[kind, next(iter(found))]))
    assert page.context["text"].strip()


def test_the_list_names_every_kind_and_leads_to_each_variation(operator: Client) -> None:
    page = operator.get("/mail/previews/").content.decode()

    for kind in KINDS:
        assert str(mail_kinds.titles()[kind]) in page
        for variation in mail_previews.variations(kind):
            assert f'href="{reverse("mail-preview", args=[kind, variation])}"' in page
    assert "No preview" not in page


def test_a_preview_leaves_nothing_behind(operator: Client) -> None:
    before = rows()

    operator.get("/mail/previews/")
    for kind in KINDS:
        operator.get(reverse("mail-preview-page", args=[kind, mail_previews.variations(kind)[0]]))

    after = rows()
    assert {name: number for name, number in after.items() if number != before[name]} == {}


def test_a_scene_that_was_not_rolled_back_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.mail_previews.transaction.set_rollback", lambda _: None)
    before = rows()

    mail_previews.messages("accounts.new_password")

    assert rows() != before


def test_the_made_up_account_takes_nobody_s_place(operator: Client) -> None:
    AccountFactory.create(slug="example")

    assert operator.get(reverse("mail-preview", args=["accounts.new_password", "asked"])).status_code == 200
    assert Account.objects.filter(slug__startswith="example").count() == 1


@pytest.mark.parametrize("make", [MemberFactory.create, SuperAdminFactory.create])
def test_nobody_but_operators_opens_them(make: Callable[[], Member]) -> None:
    member = signed_in(make())
    addresses = [
        "/mail/previews/",
        reverse("mail-preview", args=["accounts.invitation", "by-a-member"]),
        reverse("mail-preview-page", args=["accounts.invitation", "by-a-member"]),
    ]

    for address in addresses:
        assert member.get(address, follow=True).status_code == 403
        assert Client().get(address, follow=True).redirect_chain[-1][0].startswith("/auth/login/?next=")


@pytest.mark.parametrize("path", ["accounts.nothing/asked", "accounts.invitation/nothing"])
def test_what_there_is_not_is_404(operator: Client, path: str) -> None:
    assert operator.get(f"/mail/previews/{path}/").status_code == 404
    assert operator.get(f"/mail/previews/{path}/page/").status_code == 404


def test_the_page_in_the_frame_runs_nothing_loads_nothing_and_needs_no_unsafe_style(operator: Client) -> None:
    answer = operator.get(reverse("mail-preview-page", args=["accounts.invitation", "by-a-member"]))
    html, policy = answer.content.decode(), answer.headers["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert not re.search(r"<[^>]* style=", html)
    (nonce,) = re.findall("nonce-([^']+)'", policy)
    assert f'nonce="{nonce}"' in html


@pytest.mark.parametrize(
    ("asked", "media"),
    [
        ("", "@media (prefers-color-scheme: dark)"),
        ("?theme=light", "@media not all"),
        ("?theme=dark", "@media all"),
        ("?theme=x", "@media (prefers-color-scheme: dark)"),
    ],
)
def test_a_frame_is_light_or_dark_whatever_the_reader_s_system_is(operator: Client, asked: str, media: str) -> None:
    address = reverse("mail-preview-page", args=["accounts.invitation", "by-a-member"])

    assert re.findall(r"@media[^{]*", operator.get(address + asked).content.decode()) == [f"{media} "]


def test_a_frame_is_a_sandbox(operator: Client) -> None:
    answer = operator.get(reverse("mail-preview", args=["accounts.invitation", "by-a-member"]))

    frames = re.findall(r"<iframe[^>]*>", answer.content.decode())
    assert frames
    assert all(re.search(r" sandbox(?![=\w])", frame) for frame in frames)
    assert "frame-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_preview_shows_no_link_that_opens_a_door(operator: Client) -> None:
    for kind in ("accounts.invitation", "accounts.new_password", "accounts.new_address", "accounts.confirm_address"):
        variation = mail_previews.variations(kind)[0]
        answers = [
            operator.get(reverse(name, args=[kind, variation])).content.decode()
            for name in ("mail-preview", "mail-preview-page")
        ]
        for html in answers:
            assert "/…" in html
            assert not re.search(r"/(invitations|key|change|confirm-email)/[\w:.-]{20,}", html)
