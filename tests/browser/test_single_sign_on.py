"""Single sign-on in the browser, through a provider that runs: in, and once more for what asks who one is."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Member
from tests.browser.conftest import Visitors
from tests.browser.test_looks import _problems
from tests.clients import server
from tests.factories import ApiKeyFactory
from tests.provider import CLIENT_ID, CLIENT_SECRET, PASSWORD, Provider
from tests.visitors import admin_of, path

SECRET = re.compile(r"kp_[0-9A-Za-z]{36}")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    running = Provider(tmp_path_factory.mktemp("provider") / "store.sqlite3")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def portal(
    django_db_setup: None, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[server.Server]:
    client = {"OIDC_CLIENT_ID": CLIENT_ID, "OIDC_CLIENT_SECRET": CLIENT_SECRET}
    log = tmp_path_factory.mktemp("web") / "log"
    web = server.web(log, OIDC_ISSUER=provider.issuer, OIDC_NAME="Example Corp", **client)
    provider.register(web.address)
    web.start()
    yield web
    web.stop()


@pytest.fixture
def ada(provider: Provider) -> Member:
    """A super admin without a password here."""
    member = admin_of(ApiKeyFactory.create(created_by__user__email="ada@acme.example"))
    member.user.set_unusable_password()
    member.user.save()
    provider.person("ada", email="ada@acme.example", email_verified=True)
    return member


def _show_the_provider(page: Page) -> None:
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in at the provider").click()
    page.get_by_role("button", name="Authorize").click()


@pytest.mark.parametrize("script", [True, False])
def test_in_through_the_provider_and_once_more_to_show_the_secret(
    visitors: Visitors,
    ada: Member,
    provider: Provider,
    script: bool,  # noqa: FBT001 -- pytest passes it
) -> None:
    page = visitors.page(script=script)
    provider.misbehave(id_token={"auth_time": int(time.time()) - 3600})  # as if the provider had not asked
    page.goto("/auth/login/")
    page.get_by_role("button", name="Sign in through Example Corp").click()
    _show_the_provider(page)
    page.wait_for_url(f"**{path('apikeys:api-key', ada.account)}")
    provider.misbehave()

    page.locator("form[data-secret] button").first.click()
    page.get_by_role("button", name="Confirm through Example Corp").click()
    _show_the_provider(page)
    page.wait_for_url(f"**{path('apikeys:api-key', ada.account)}")
    page.locator("form[data-secret] button").first.click()

    expect(page.get_by_text(SECRET).first).to_be_visible()


def test_the_pages_on_the_way(visitors: Visitors, ada: Member, provider: Provider) -> None:
    page = visitors.page()
    provider.misbehave()
    found = [_problems(page, address) for address in ("/auth/login/", "/auth/single-sign-on/callback/?state=x&code=y")]
    page.goto("/auth/login/")
    page.get_by_role("button", name="Sign in through Example Corp").click()
    _show_the_provider(page)
    page.wait_for_url(f"**{path('apikeys:api-key', ada.account)}")

    found.append(_problems(page, "/auth/single-sign-on/proof/"))

    assert not [problem for problems in found for problem in problems]
