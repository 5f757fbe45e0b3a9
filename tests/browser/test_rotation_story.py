"""A rotation that is put off, handed over and planned, in the browser, with a real gate that answers for it."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from apikeys.models import RotationPlan
from apikeys.operations import rotation_plans
from tests.browser.conftest import Visitors, verdict
from tests.clients import server
from tests.factories import AccountFactory, ApiKeyFactory, SuperAdminFactory
from tests.visitors import admin_of, path

SECRET = re.compile(r"kp_[0-9A-Za-z]{36}")


@pytest.mark.settles
@pytest.mark.parametrize("script", [True, False])
def test_a_rotation_is_snoozed_handed_over_planned_and_runs(
    visitors: Visitors,
    gate: server.Server,
    script: bool,  # noqa: FBT001 -- pytest passes it
) -> None:
    account = AccountFactory.create(name="Acme Industries")
    ada = SuperAdminFactory.create(account=account, user__name="Ada", user__time_zone="Europe/Berlin")
    grace = SuperAdminFactory.create(account=account, user__name="Grace")
    key = ApiKeyFactory.create(account=account, created_by=ada, created_at=timezone.now() - timedelta(days=185))
    page = visitors.page(ada, script=script)
    page.goto(path("apikeys:api-key", account))

    page.get_by_role("link", name="Snooze the reminder…").click()
    page.get_by_label("For how many days").fill("9")
    page.get_by_label("Why").fill("The shop is frozen")
    page.get_by_role("button", name="Snooze").click()
    expect(page.get_by_text("The reminder is snoozed until")).to_be_visible()
    expect(page.get_by_text("The shop is frozen")).to_be_visible()
    page.get_by_role("button", name="End the snooze").click()
    expect(page.get_by_text("The reminder is snoozed until")).to_have_count(0)

    page.get_by_role("link", name="Hand it over…").click()
    page.get_by_label("To whom").select_option(label=f"Grace ({grace.user.email})")
    page.get_by_role("button", name="Hand it over").click()
    expect(page.get_by_text("Grace looks after it.")).to_be_visible()

    page.get_by_role("link", name="Plan it for a time…").click()
    page.get_by_label("When").fill((timezone.now() + timedelta(days=2)).strftime("%Y-%m-%dT02:00"))
    page.get_by_role("button", name="Prepare the key and plan").click()
    expect(page.get_by_role("heading", name="Planned rotation")).to_be_visible()
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".secret-text")).to_have_text(SECRET)
    prepared = page.locator(".secret-text").inner_text()
    assert (verdict(gate, key.secret()), verdict(gate, prepared)) == (204, 401)

    rotation_plans.wake(now=RotationPlan.objects.get().planned_for)
    assert (verdict(gate, key.secret()), verdict(gate, prepared)) == (401, 204)
    page.goto(path("apikeys:api-key", account))
    expect(page.get_by_text("Grace looks after it.")).to_have_count(0)
    expect(page.locator(".secret-text").first).to_contain_text(prepared[-4:])


def test_a_plan_is_cancelled_and_its_key_is_gone(visitors: Visitors) -> None:
    key = ApiKeyFactory.create()
    now = timezone.now()
    planned_for = now + timedelta(days=2)
    rotation_plans.plan_rotation(account=key.account, generation=1, planned_for=planned_for, by=admin_of(key), now=now)
    page = visitors.page(admin_of(key))
    page.goto(path("apikeys:api-key", key.account))

    page.get_by_role("link", name="See the plan").click()
    page.get_by_role("button", name="Cancel the plan").click()

    expect(page.get_by_text("The plan is cancelled, and what it prepared is destroyed.")).to_be_visible()
    assert RotationPlan.objects.get().digest is None
