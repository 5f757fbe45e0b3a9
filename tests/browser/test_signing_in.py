"""Second factors in the browser: an authenticator app, and passkeys with Chromium's own virtual authenticator."""

import re
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import CDPSession, Page, expect

from accounts.models import Member
from auditlog.actions import Action
from auditlog.models import AuditEntry
from tests.browser.conftest import Visitors
from tests.factories import PASSWORD, ApiKeyFactory
from tests.second_factors import add_app, code
from tests.visitors import admin_of, path

SECRET = re.compile(r"kp_[0-9A-Za-z]{36}")  # the masked one has dots


@pytest.fixture
def ada() -> Member:
    return admin_of(ApiKeyFactory.create())


def _by_name(visitors: Visitors) -> None:
    """A passkey belongs to a name: localhost, where tests otherwise say 127.0.0.1."""
    visitors.address = f"http://localhost:{urlsplit(visitors.address).port}"


def _authenticator(page: Page) -> CDPSession:
    """A device that keeps passkeys, and whose person always puts a finger on it."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session


def _sign_in(page: Page, member: Member) -> None:
    page.goto("/auth/login/")
    page.get_by_label("E-mail address").fill(member.user.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def _sign_out(page: Page) -> None:
    page.goto("/auth/logout/")
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/auth/login/")


def test_the_browser_is_led_nowhere_else_by_what_stands_in_next(visitors: Visitors, ada: Member) -> None:
    """As a browser reads an address: it drops tabs, and takes a backslash for a slash. `%5C` stays what it is."""
    page = visitors.page(ada)
    evil = ["//evil.example", "/\\evil.example", "/\t/evil.example", "https:evil.example", "\x08//evil.example"]

    landed = {}
    for elsewhere in (*evil, "/%5Cevil.example"):
        page.goto(f"/auth/login/?next={quote(elsewhere, safe='')}")
        landed[elsewhere] = page.url.removeprefix(visitors.address)

    home = path("apikeys:api-key", ada.account)
    assert landed == dict.fromkeys(evil, home) | {"/%5Cevil.example": "/%5Cevil.example"}


def _entries(member: Member) -> set[str]:
    return set(AuditEntry.objects.filter(account_id=member.account_id).values_list("action", flat=True))


def test_a_passkey_is_added_signs_in_alone_and_shows_the_secret(visitors: Visitors, ada: Member) -> None:
    _by_name(visitors)
    page = visitors.page()
    _authenticator(page)
    _sign_in(page, ada)

    page.get_by_role("link", name="Add a second factor").click()
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()

    _sign_out(page)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"**{path('apikeys:api-key', ada.account)}")
    page.locator("[data-secret-show]").click()
    expect(page.locator("[data-secret-text]")).to_have_text(SECRET)

    assert {Action.SECOND_FACTOR_ADDED, Action.SIGN_IN_SUCCEEDED, Action.API_KEY_VIEWED} <= _entries(ada)


def test_after_the_password_a_passkey_is_the_second_factor_and_it_can_be_removed(
    visitors: Visitors, ada: Member
) -> None:
    _by_name(visitors)
    page = visitors.page()
    _authenticator(page)
    _sign_in(page, ada)
    page.goto("/auth/second-factor/passkeys/add/")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    _sign_out(page)

    _sign_in(page, ada)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"**{path('apikeys:api-key', ada.account)}")

    page.goto("/auth/second-factor/passkeys/")
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove the passkey").click()
    expect(page.get_by_text("No passkeys yet")).to_be_visible()
    assert Action.SECOND_FACTOR_REMOVED in _entries(ada)


def test_a_device_without_a_passkey_signs_nobody_in(visitors: Visitors, ada: Member) -> None:
    _by_name(visitors)
    page = visitors.page()
    session = _authenticator(page)
    _sign_in(page, ada)
    page.goto("/auth/second-factor/passkeys/add/")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    _sign_out(page)
    session.send("WebAuthn.disable")
    _authenticator(page)

    page.get_by_role("button", name="Use a passkey").click()

    expect(page.get_by_text("The passkey was not used")).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
def test_an_app_is_added_and_its_code_signs_in(visitors: Visitors, ada: Member, script: bool) -> None:  # noqa: FBT001 -- pytest passes it
    page = visitors.page(script=script)
    _sign_in(page, ada)
    page.goto("/auth/second-factor/app/add/")
    secret = page.locator("code.breakable").inner_text()
    page.get_by_label("Authenticator code").fill(code(secret, lasts=10))
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    spare = page.locator(".codes code").first.inner_text()
    _sign_out(page)

    _sign_in(page, ada)
    page.get_by_label("Code").fill(spare)
    page.get_by_role("button", name="Sign in").click()

    page.wait_for_url(f"**{path('apikeys:api-key', ada.account)}")


def test_the_page_of_a_secret_asks_for_the_code(visitors: Visitors, ada: Member) -> None:
    page = visitors.page(ada)
    secret = add_app(ada.user)
    page.goto(path("apikeys:api-key", ada.account))

    page.locator("[data-secret-show]").click()
    page.get_by_label("Code").fill(code(secret, lasts=10))
    page.get_by_role("button", name="Confirm").click()
    page.locator("[data-secret-show]").click()

    expect(page.locator("[data-secret-text]")).to_have_text(SECRET)
