"""What the mails about planned rotations say, to whom, and that none goes out that nobody needs any more."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core import mail as mailbox
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import operations, role_mailboxes, sending
from accounts.actors import SHELL
from accounts.models import Member, User
from accounts.permissions import Role
from apikeys.models import ApiKey, RotationPlan
from apikeys.operations import api_keys, rotation_plans
from auditlog.models import AuditEntry
from tests.factories import ApiKeyFactory, CallFactory, SuperAdminFactory
from tests.visitors import admin_of, path, signed_in

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"


@pytest.fixture
def key() -> ApiKey:
    maker = SuperAdminFactory.create(
        user__email="ada@acme.example", user__name="Ada", account__name="Acme", account__slug="acme"
    )
    SuperAdminFactory.create(account=maker.account, user__email="grace@acme.example", user__time_zone="Asia/Tokyo")
    return ApiKeyFactory.create(account=maker.account, created_by=maker)


@pytest.fixture
def plan(key: ApiKey) -> RotationPlan:
    now = timezone.now()
    at = (now + 6 * DAY).replace(hour=1, minute=30, second=0, microsecond=0)
    return rotation_plans.plan_rotation(account=key.account, generation=1, planned_for=at, by=admin_of(key), now=now)


def sent(now: datetime | None = None) -> dict[str, EmailMultiAlternatives]:
    """What goes out now or by then, by whom it goes to; the last to each."""
    mailbox.outbox.clear()
    while sending.send_next(now=now or timezone.now()):
        pass
    return {message.to[0]: message for message in mailbox.outbox}  # type: ignore[misc]  # the outbox's own kind


def test_a_plan_is_announced_in_the_readers_zone_with_the_callers_and_without_the_secret(
    key: ApiKey, plan: RotationPlan
) -> None:
    CallFactory.create(account_id=key.account_id, credential_id=key.id, agent="nightly", network="203.0.113.0/24")

    mails = sent()

    assert set(mails) == {"ada@acme.example", "grace@acme.example"}
    text = str(mails["grace@acme.example"].body)
    assert re.fullmatch(
        r"Acme: get ready, the API key will be rotated on .* 10:30 AM JST", str(mails["grace@acme.example"].subject)
    )
    assert "1:30 AM UTC" in mails["ada@acme.example"].subject
    assert text.startswith("Nothing is wrong: Ada (ada@acme.example) planned to rotate the API key of Acme.")
    assert f"ends in {key.last4}; refused from then on" in text
    assert f"ends in {plan.last4}; refused until then" in text
    assert "- nightly, 203.0.113.0/24: 1 call" in text
    assert "http://localhost/accounts/acme/api-key/plan/\n" in text
    raw = b"".join(message.message().as_bytes() for message in mails.values())
    assert plan.key(at=timezone.now()).secret().encode() not in raw


def test_the_day_before_and_afterwards_the_same_people_are_told(key: ApiKey, plan: RotationPlan) -> None:
    sent()
    rotation_plans.wake(now=plan.planned_for - DAY)
    before = sent(plan.planned_for)
    rotation_plans.wake(now=plan.planned_for)
    after = sent(plan.planned_for + DAY)

    assert set(before) == set(after) == {"ada@acme.example", "grace@acme.example"}
    assert before["ada@acme.example"].subject.startswith("Acme: be ready, the API key will be rotated on ")
    assert after["ada@acme.example"].subject == "Acme: the API key is rotated, as planned"
    text = str(after["grace@acme.example"].body)
    assert f"ends in {plan.last4}" in text
    assert f"ended in {key.last4}; refused everywhere" in text
    assert "http://localhost/accounts/acme/api-key/previous/\n" in text


def cancel(plan: RotationPlan) -> None:
    rotation_plans.cancel_plan(account=plan.account, plan_id=plan.id, by=plan.planned_by, now=timezone.now())


def rotate(plan: RotationPlan) -> None:
    api_keys.rotate_api_key(account=plan.account, generation=1, by=plan.planned_by, now=timezone.now())


def rotate_from_shell(plan: RotationPlan) -> None:
    api_keys.rotate_api_key(account=plan.account, generation=1, by=SHELL, now=timezone.now())


def deactivate(plan: RotationPlan) -> None:
    api_keys.deactivate_api_key(account=plan.account, generation=1, by=plan.planned_by, now=timezone.now())


def demote_planner(plan: RotationPlan) -> None:
    operations.change_role(member=plan.planned_by, role=Role.MEMBER, by=SHELL, now=timezone.now())
    rotation_plans.wake(now=timezone.now())


def suspend(plan: RotationPlan) -> None:
    operations.suspend_account(account=plan.account, reason="unpaid", by=SHELL, now=timezone.now())
    RotationPlan.objects.update(told_soon_at=timezone.now())
    rotation_plans.wake(now=plan.planned_for)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (cancel, "Ada cancelled the rotation of the API key of Acme that was planned for"),
        (rotate, "Ada rotated the API key of Acme before the time that was planned for it,"),
        (rotate_from_shell, "The people who run this portal rotated the API key of Acme before the time that"),
        (deactivate, "Ada deactivated the API key of Acme before it was rotated as planned for"),
        (demote_planner, "does not run: Ada, who planned it, is no super admin any more. The key stays as it is."),
        (suspend, "did not run, since the account was not open at that time. The key stays as it is."),
    ],
)
def test_a_plan_that_is_off_says_why_and_what_becomes_of_what_was_prepared(
    plan: RotationPlan, end: Callable[[RotationPlan], None], said: str
) -> None:
    sent()
    end(plan)
    sent(plan.planned_for)

    off = {message.to[0]: message for message in mailbox.outbox if "is off" in message.subject}
    assert set(off) == {"ada@acme.example", "grace@acme.example"}
    text = str(off["grace@acme.example"].body)
    assert said in text
    assert f"The prepared key, which ends in {plan.last4}, is destroyed and will never open anything." in text


def test_the_role_mailbox_reads_of_a_plan_in_the_accounts_zone_and_nothing_once_it_is_another(key: ApiKey) -> None:
    now, account = timezone.now(), key.account
    account.time_zone = "Asia/Kathmandu"
    account.save()
    crew = role_mailboxes.name(account=account, email="crew@acme.example", by=admin_of(key), now=now)
    role_mailboxes.confirm(mailbox=crew, user=None, now=now)
    at = (now + 6 * DAY).replace(hour=1, minute=30, second=0, microsecond=0)
    plan = rotation_plans.plan_rotation(account=account, generation=1, planned_for=at, by=admin_of(key), now=now)

    planned = sent()["crew@acme.example"]
    role_mailboxes.remove(mailbox=crew, by=admin_of(key), now=now)
    rotation_plans.wake(now=at)

    assert "7:15 AM +0545" in planned.subject
    assert "Super admins can show the prepared key on its page" in str(planned.body)
    assert "This mailbox gets what concerns rotating the API key of Acme" in str(planned.body)
    assert set(sent(plan.planned_for + DAY)) == {"ada@acme.example", "grace@acme.example"}


def test_what_was_announced_is_not_sent_once_the_plan_is_off(plan: RotationPlan) -> None:
    cancel(plan)

    assert {message.subject for message in sent().values()} == {"Acme: the planned rotation of the API key is off"}


def test_who_has_left_hears_nothing_more(plan: RotationPlan) -> None:
    operations.remove(member=Member.objects.get(user__email="grace@acme.example"), by=SHELL, now=timezone.now())

    assert set(sent()) == {"ada@acme.example"}


def test_links_lead_through_sign_in_and_change_nothing(key: ApiKey, plan: RotationPlan) -> None:
    addresses = [path(f"apikeys:api-key-{page}", key.account) for page in ("plan", "plan-show", "plan-cancel")]
    before = AuditEntry.objects.count()

    for _ in range(50):
        for address in addresses:
            assert Client().get(address, headers={"User-Agent": "Mimecast-Scanner"}).status_code == 302

    plan.refresh_from_db()
    assert plan.end == ""
    assert AuditEntry.objects.count() == before


# --- Showing from elsewhere -----------------------------------------------------------------------------------------
def test_a_showing_of_the_prepared_key_from_a_new_network_is_told_of(key: ApiKey, plan: RotationPlan) -> None:
    client = signed_in(admin_of(key))
    sent()

    def show(address: str) -> dict[str, EmailMultiAlternatives]:
        client.post(
            path("apikeys:api-key-plan-show", key.account), REMOTE_ADDR=address, headers={"User-Agent": FIREFOX}
        )
        return sent()

    first, again, elsewhere = show("203.0.113.9"), show("203.0.113.200"), show("198.51.100.4")

    assert set(first) == set(elsewhere) == {"ada@acme.example", "grace@acme.example"}
    assert again == {}
    assert elsewhere["ada@acme.example"].subject == "Acme: the prepared API key was shown from a new place"
    text = str(elsewhere["grace@acme.example"].body)
    assert "From: 198.51.100.4, Firefox on Linux" in re.sub(r"\s+", " ", text)
    assert "Cancel the plan before then: that destroys the prepared key." in text


@pytest.mark.parametrize("step", ["snooze", "end snooze", "hand over", "plan", "cancel"])
def test_nothing_that_is_not_told_of_makes_a_network_known(key: ApiKey, step: str) -> None:
    """Else whoever stole a session would snooze first, and then show the key without anybody hearing of it."""
    ApiKey.objects.update(created_at=timezone.now() - 185 * DAY)
    client = signed_in(admin_of(key))
    grace = Member.objects.get(user__email="grace@acme.example")
    at = (timezone.now() + 2 * DAY).strftime("%Y-%m-%dT%H:%M")
    posts: dict[str, list[tuple[str, dict[str, object]]]] = {
        "snooze": [("snooze", {"generation": 1, "days": 7, "reason": "x"})],
        "end snooze": [("snooze", {"generation": 1, "days": 7, "reason": "x"}), ("snooze-end", {})],
        "hand over": [("hand-over", {"generation": 1, "to": grace.pk})],
        "plan": [("plan", {"generation": 1, "at": at})],
        "cancel": [("plan", {"generation": 1, "at": at}), ("plan-cancel", {})],
    }
    for page, form in posts[step]:
        if page == "plan-cancel":
            form = {"plan": str(RotationPlan.objects.get().pk)}  # noqa: PLW2901 -- known only now
        client.post(path(f"apikeys:api-key-{page}", key.account), form, REMOTE_ADDR="198.51.100.4")
    sent()

    client.post(path("apikeys:api-key-show", key.account), REMOTE_ADDR="198.51.100.4")

    assert {message.subject for message in sent().values()} == {"Acme: the API key was shown from a new place"}


def test_notices_name_the_time_in_the_readers_zone(plan: RotationPlan) -> None:
    grace = User.objects.get(email="grace@acme.example")

    text = signed_in(grace.memberships.get()).get(reverse("notices")).content.decode()

    assert "Ada planned to rotate the API key on" in text
    assert "10:30 AM JST. Get ready." in text
