"""People come and go, in the browser: from the mail of an invitation to the first page, and out again."""

import email
import email.policy
import re
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import expect
from pytest_django import Settings

from accounts import operations, setup, standing
from accounts.actors import SHELL
from accounts.models import Account, Invitation, Member, User
from accounts.permissions import Role
from accounts.tasks import send_mails
from apikeys.operations import api_keys
from auditlog.models import LastUse
from tests.browser.conftest import Visitors
from tests.browser.test_mail_looks import RULES
from tests.factories import AccountFactory, ApiKeyFactory, SuperAdminFactory
from tests.second_factors import add_app
from tests.visitors import admin_of, path

PASSWORD_OF_THEIR_OWN = "a sentence that nobody guesses"


@pytest.fixture
def mail_dir(settings: Settings, tmp_path: Path) -> Path:
    settings.EMAIL_BACKEND = "keyportal.mail.EmlFileBackend"
    settings.MAIL_DIR = tmp_path / "mail"
    return tmp_path / "mail"


def _the_mail(directory: Path) -> EmailMessage:
    """What the jobs process sends: the one message there is."""
    send_mails()
    (file,) = directory.glob("*.eml")
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def _link(message: EmailMessage) -> str:
    text = message.get_body(("plain",))
    assert text is not None
    (link,) = re.findall(r"https?://\S+/invitations/\S+", text.get_content())
    return str(urlsplit(link).path)


@pytest.mark.parametrize("script", [True, False])
def test_from_the_mail_of_an_invitation_to_the_first_page(visitors: Visitors, mail_dir: Path, script: bool) -> None:  # noqa: FBT001 -- pytest passes it
    admin = SuperAdminFactory.create(account=AccountFactory.create(name="Acme Industries"))
    page = visitors.page(admin, script=script)

    # A super admin invites from the members page.
    page.goto(path("accounts:members", admin.account))
    page.get_by_role("link", name="Invite somebody").click()
    page.get_by_label("E-mail address").fill("guest@acme.example")
    page.get_by_label("Role").select_option("Developer")
    page.get_by_role("button", name="Send the invitation").click()
    expect(page.get_by_text("An invitation is on its way to guest@acme.example.")).to_be_visible()
    expect(page.get_by_role("heading", name="Invited, not here yet")).to_be_visible()

    # The mail arrives; its link opens a page, and that alone changes nothing.
    message = _the_mail(mail_dir)
    assert (message["To"], message["Subject"]) == ("guest@acme.example", "You are invited to Acme Industries")
    guest = visitors.page(width=390, script=script)
    guest.goto(_link(message))
    expect(guest.get_by_role("heading", name="Join Acme Industries")).to_be_visible()
    assert not Member.objects.filter(user__email="guest@acme.example").exists()

    # Name and password, and they are in, in the role that was offered.
    guest.get_by_label("Your name").fill("Grace")
    guest.get_by_label("Password").fill(PASSWORD_OF_THEIR_OWN)
    guest.get_by_role("button", name="Join").click()
    expect(guest.get_by_role("heading", name="API key").first).to_be_visible()
    assert guest.url.endswith(path("apikeys:api-key", admin.account))
    assert Member.objects.get(user__email="guest@acme.example").role == Role.DEVELOPER

    # The list has moved them; the link is used up.
    page.reload()
    expect(page.get_by_text("Grace", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Invited, not here yet")).to_have_count(0)
    stranger = visitors.page(script=script)
    stranger.goto(_link(message))
    expect(stranger.get_by_role("heading", name="This invitation does not work any more")).to_be_visible()


def test_the_mail_is_readable_in_both_themes_and_on_a_phone(visitors: Visitors, mail_dir: Path) -> None:
    admin = SuperAdminFactory.create()
    page = visitors.page(admin)
    page.goto(path("accounts:members-invite", admin.account))
    page.get_by_label("E-mail address").fill(f"{'guest' * 10}@{'very-' * 9}long.example")
    page.get_by_role("button", name="Send the invitation").click()
    expect(page.get_by_text("is on its way")).to_be_visible()
    html = _the_mail(mail_dir).get_body(("html",))
    assert html is not None

    for theme in ("light", "dark"):
        reader = visitors.page(width=390, theme=theme)
        reader.set_content(html.get_content())
        assert reader.evaluate("document.documentElement.scrollWidth") <= 390
        assert not Axe().run(reader, options=RULES).response["violations"]


def test_a_demoted_super_admins_open_tab_can_do_nothing_any_more(visitors: Visitors) -> None:
    key = ApiKeyFactory.create()
    admin = admin_of(key)
    other = SuperAdminFactory.create(account=key.account)
    on_key, on_rotate, on_members = (visitors.page(admin) for _ in range(3))
    on_key.goto(path("apikeys:api-key", key.account))
    on_rotate.goto(path("apikeys:api-key-rotate", key.account))
    on_members.goto(path("accounts:members-role", key.account, other.pk))

    operations.change_role(member=admin, role=Role.MEMBER, by=other, now=timezone.now())
    on_key.locator("[data-secret-show]").click()
    on_rotate.get_by_role("button", name="Rotate now").click()
    on_members.get_by_role("combobox", name="Role").select_option("Member")
    on_members.get_by_role("button", name="Change the role").click()

    expect(on_rotate.get_by_role("heading", name="Your role does not allow this")).to_be_visible()
    expect(on_members.get_by_role("heading", name="Your role does not allow this")).to_be_visible()
    on_key.wait_for_load_state()
    assert key.secret() not in on_key.content()
    key.refresh_from_db()
    other.refresh_from_db()
    assert key.is_active
    assert other.role == Role.SUPER_ADMIN


def test_removing_and_leaving(visitors: Visitors) -> None:
    admin, other = SuperAdminFactory.create_batch(2, account=AccountFactory.create())
    page, theirs = visitors.page(admin), visitors.page(other)
    theirs.goto(path("accounts:members", admin.account))

    page.goto(path("accounts:members", admin.account))
    page.get_by_role("link", name=f"Change {other}").click()
    page.get_by_role("link", name="Remove from this account…").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text(f"{other} was removed from this account.")).to_be_visible()
    theirs.reload()
    expect(theirs.get_by_text("Check the address")).to_be_visible()

    page.get_by_role("link", name="Leave this account…").click()
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_text("is the only super admin of this account")).to_be_visible()
    assert admin.account.super_admins().count() == 1


@pytest.mark.parametrize("script", [True, False])
def test_from_the_set_up_link_to_an_account_that_is_set_up(visitors: Visitors, script: bool) -> None:  # noqa: FBT001 -- pytest passes it
    link = setup.link()
    assert link is not None
    page = visitors.page(script=script)
    steps = page.get_by_role("list").filter(has_text="Create the API key")

    # Whoever holds the link names the account and themselves, and is in.
    page.goto(urlsplit(link).path)
    page.get_by_label("Account").fill("Acme Industries")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Your e-mail address").fill("ada@acme.example")
    page.get_by_label("Password").fill(PASSWORD_OF_THEIR_OWN)
    page.get_by_role("button", name="Set up and sign in").click()
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    expect(steps.get_by_text("Done")).to_have_count(0)

    # Each step leads to where it is done, and is ticked off.
    steps.get_by_role("link", name="Set up a second factor for yourself").click()
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    add_app(User.objects.get())
    account = Account.objects.get()
    page.goto(path("apikeys:api-key", account))
    steps.get_by_role("link", name="Have a second super admin").click()
    expect(page.get_by_role("link", name="Invite somebody")).to_be_visible()
    SuperAdminFactory.create(account=account)
    api_keys.create_api_key(account=account, by=SHELL, now=timezone.now())
    page.goto(path("apikeys:api-key", account))
    expect(steps.get_by_text("Done")).to_have_count(3)
    steps.get_by_role("link", name="Point a gateway here and make a call").click()
    expect(page.get_by_role("heading", name="Call log")).to_be_visible()
    LastUse.objects.create(credential_id=account.api_keys.get().pk, at=timezone.now())
    page.goto(path("apikeys:api-key", account))
    expect(page.get_by_role("heading", name="First steps")).to_have_count(0)

    # The link is used up.
    stranger = visitors.page(script=script)
    stranger.goto(urlsplit(link).path)
    expect(stranger.get_by_role("heading", name="This link is used up")).to_be_visible()


def test_a_person_who_is_switched_off_can_do_nothing_in_the_tabs_that_are_open(visitors: Visitors) -> None:
    key = ApiKeyFactory.create()
    admin = admin_of(key)
    SuperAdminFactory.create(account=key.account)
    on_key, on_members = visitors.page(admin), visitors.page(admin)
    on_key.goto(path("apikeys:api-key", key.account))
    on_members.goto(path("accounts:members-invite", key.account))

    standing.deactivate(user=admin.user, reason="Stolen laptop", by=SHELL, now=timezone.now())
    on_key.locator("[data-secret-show]").click()
    on_members.get_by_label("E-mail address").fill("guest@acme.example")
    on_members.get_by_role("button", name="Send the invitation").click()

    expect(on_key.get_by_label("Password")).to_be_visible()
    expect(on_members.get_by_label("Password")).to_be_visible()
    assert key.secret() not in on_key.content()
    assert not Invitation.objects.exists()
