"""The account key's life in the browser, with a real gate that answers for it."""

import re
import time
from datetime import timedelta

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, Route, expect

from accounts.permissions import Role
from apikeys.models import ApiKey
from auditlog.actions import Action
from auditlog.models import AuditEntry, Call
from tests.browser.conftest import Visitors, verdict
from tests.clients import server
from tests.factories import NOW, PASSWORD, AccountFactory, ApiKeyFactory, MemberFactory, SuperAdminFactory
from tests.visitors import admin_of, path

WRITTEN_WITHIN = 30  # seconds, on a machine under load
SECRET = re.compile(r"kp_[0-9A-Za-z]{36}")


def _shown(page: Page) -> str:
    page.locator("[data-secret-show]").click()
    expect(page.locator("[data-secret-text]")).to_have_text(SECRET)
    return page.locator("[data-secret-text]").inner_text()


def test_a_super_admin_shows_copies_and_rotates_and_the_gate_follows(visitors: Visitors, gate: server.Server) -> None:
    admin = SuperAdminFactory.create(account=AccountFactory.create(name="Acme Industries"))
    page = visitors.page()

    # Signing in leads to the key; there is none, so one is created.
    page.goto("/")
    page.get_by_label("E-mail address").fill(admin.user.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("No API key yet")).to_be_visible()
    page.get_by_role("button", name="Create the API key").click()

    # Shown for a minute, with a countdown; hidden on demand; copied without being shown.
    old = _shown(page)
    expect(page.locator("[data-secret-status]")).to_contain_text(re.compile(r"Hides in \d+ s"))
    assert verdict(gate, old) == 204
    page.get_by_role("button", name="Hide").click()
    expect(page.locator("[data-secret-text]")).to_have_text(re.compile("••••"))
    page.get_by_role("button", name="Copy").first.click()
    expect(page.locator("[data-secret-status]")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == old
    assert old not in page.content()

    _logged("nightly")

    # Rotated: the page names the caller that will break.
    page.get_by_role("link", name="Rotate…").click()
    expect(page.locator("strong", has_text="nightly")).to_be_visible()
    page.get_by_role("button", name="Rotate now").click()
    expect(page.get_by_role("heading", name="The API key is rotated")).to_be_visible()

    assert verdict(gate, old) == 401
    expect(page.get_by_text("Looked up just now: refused.")).to_be_visible()
    expect(page.get_by_text("0 calls accepted since")).to_be_visible()
    expect(page.locator("#still-presenting strong", has_text="nightly")).to_be_visible()  # comes by itself

    # Once the caller has the new key, the list empties by itself.
    new = _shown(page)
    assert new != old
    assert verdict(gate, new) == 204
    expect(page.get_by_text("Nobody presents the old key.")).to_be_visible()


def test_another_role_is_told_why_not_and_whom_to_ask(visitors: Visitors) -> None:
    key = ApiKeyFactory.create()
    page = visitors.page(MemberFactory.create(account=key.account, role=Role.DEVELOPER))

    page.goto(path("apikeys:api-key", key.account))

    expect(page.get_by_text("Only super admins can show, create, rotate or deactivate the API key.")).to_be_visible()
    expect(page.get_by_role("link", name=admin_of(key).user.email)).to_be_visible()
    expect(page.get_by_role("button", name="Show")).to_have_count(0)


def test_the_back_button_brings_no_secret_back(visitors: Visitors) -> None:
    key = ApiKeyFactory.create()
    page = visitors.page(admin_of(key))
    page.goto(path("apikeys:api-key", key.account))
    secret = _shown(page)

    page.goto(path("accounts:members", key.account))
    page.go_back()

    expect(page.locator("[data-secret-text]")).to_have_text(re.compile("••••"))
    assert secret not in page.content()


def test_the_secret_hides_after_a_minute(visitors: Visitors) -> None:
    key = ApiKeyFactory.create()
    page = visitors.page(admin_of(key))
    _open_where_time_stands_still(page, key)
    secret = _shown(page)

    page.clock.run_for(59_000)
    still_there = page.locator("[data-secret-text]").inner_text()
    page.clock.run_for(2_000)

    assert still_there == secret
    expect(page.locator("[data-secret-text]")).to_have_text(re.compile("••••"))
    assert secret not in page.content()


def test_the_secret_is_hidden_at_once_when_the_machine_slept_through_the_minute(visitors: Visitors) -> None:
    key = ApiKeyFactory.create()
    page = visitors.page(admin_of(key))
    page.goto(path("apikeys:api-key", key.account))
    secret = _shown(page)

    page.evaluate("""() => {
        const asleep = Date.now() + 61_000;
        Date.now = () => asleep;  // timers stood still meanwhile
        document.dispatchEvent(new Event("visibilitychange"));
    }""")

    assert secret not in page.content()


def test_the_copy_button_gets_its_word_back(visitors: Visitors) -> None:
    key = ApiKeyFactory.create()
    page = visitors.page(admin_of(key))
    _open_where_time_stands_still(page, key)
    _shown(page)

    page.locator("[data-secret-copy]").click()
    expect(page.locator("[data-secret-copy]")).to_have_text("Copied.")
    page.get_by_role("button", name="Hide").click()

    expect(page.locator("[data-secret-copy]")).to_have_text("Copy")
    _shown(page)  # else copying would fetch the key itself, and say so elsewhere
    page.locator("[data-secret-copy]").click()
    expect(page.locator("[data-secret-copy]")).to_have_text("Copied.")
    page.clock.run_for(2_000)
    expect(page.locator("[data-secret-copy]")).to_have_text("Copy")


@pytest.mark.parametrize("first", ["show", "copy"])
def test_what_is_shown_and_copied_at_the_same_time_is_fetched_once_for_both(visitors: Visitors, first: str) -> None:
    key = ApiKeyFactory.create()
    page = visitors.page(admin_of(key))
    page.goto(path("apikeys:api-key", key.account))
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(f"**{path('apikeys:api-key-show', key.account)}", hold)

    for button in (first, {"show": "copy", "copy": "show"}[first]):
        page.locator(f"[data-secret-{button}]").click()
    page.wait_for_timeout(200)
    for route in held:
        route.continue_()

    expect(page.locator("[data-secret-text]")).to_have_text(key.secret())
    expect(page.locator("[data-secret-copy]")).to_have_text("Copied.")
    expect(page.locator("[data-secret-status]")).to_contain_text(re.compile(r"Hides in \d+ s"))
    assert page.evaluate("navigator.clipboard.readText()") == key.secret()
    assert AuditEntry.objects.filter(action=Action.API_KEY_VIEWED).count() == len(held) == 1


def test_who_was_signed_out_is_led_to_the_sign_in_and_back(visitors: Visitors) -> None:
    key = ApiKeyFactory.create()
    page = visitors.page(admin_of(key))
    page.goto(path("apikeys:api-key", key.account))
    Session.objects.all().delete()

    page.locator("[data-secret-show]").click()
    page.get_by_label("Password", exact=True).wait_for()

    assert page.url.endswith(f"/auth/login/?next={path('apikeys:api-key', key.account)}")


def test_without_script_the_key_is_shown_rotated_and_deactivated(visitors: Visitors) -> None:
    key = ApiKeyFactory.create(account=AccountFactory.create(name="Acme Industries"))
    page = visitors.page(admin_of(key), script=False)
    page.goto(path("apikeys:api-key", key.account))

    page.get_by_role("button", name="Show").click()
    assert page.locator(".secret-text").inner_text() == key.secret()
    page.get_by_role("link", name="Hide it now").click()
    page.get_by_role("link", name="Rotate…").click()
    page.get_by_role("button", name="Rotate now").click()
    page.get_by_role("link", name="API key").first.click()
    page.get_by_role("link", name="Deactivate…").click()
    page.get_by_label("Type the account’s name to confirm").fill("Acme Industries")
    page.get_by_role("button", name="Deactivate the key").click()

    expect(page.get_by_role("heading", name="The API key is deactivated")).to_be_visible()
    assert list(ApiKey.objects.order_by("generation").values_list("end", flat=True)) == ["rotated", "deactivated"]


def test_the_password_is_asked_for_again_and_leads_back(visitors: Visitors) -> None:
    key = ApiKeyFactory.create()
    page = visitors.page(admin_of(key))
    page.goto(path("apikeys:api-key", key.account))
    _five_minutes_pass()

    page.locator("[data-secret-show]").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()

    expect(page).to_have_url(visitors.address + path("apikeys:api-key", key.account))
    assert _shown(page) == key.secret()


def _open_where_time_stands_still(page: Page, key: ApiKey) -> None:
    """The key's page, whose timers wait for `page.clock.run_for`: a machine under load outlasts none of them."""
    page.clock.install(time=NOW)
    page.goto(path("apikeys:api-key", key.account))
    page.clock.pause_at(NOW + timedelta(hours=1))


def _logged(agent: str) -> None:
    """Wait for the call log: it is written after the answer."""
    ends_at = time.monotonic() + WRITTEN_WITHIN
    while not Call.objects.filter(agent=agent).exists():
        assert time.monotonic() < ends_at
        time.sleep(0.1)


def _five_minutes_pass() -> None:
    """For every session: what it proved, it proved that much earlier."""
    for row in Session.objects.all():
        session = SessionStore(row.session_key)
        for record in session["account_authentication_methods"]:
            record["at"] -= 301
        session.save()
