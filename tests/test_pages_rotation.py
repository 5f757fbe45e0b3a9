"""The pages on which a rotation is planned, handed over, and its reminder snoozed."""

from datetime import timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.models import Member
from accounts.permissions import Role
from apikeys.models import ApiKey, Handover, RotationPlan, Snooze
from apikeys.operations import api_keys, handovers, rotation_plans, snoozes
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.commands import facts
from tests.factories import ApiKeyFactory, CallFactory, MemberFactory, SunsetFactory, SuperAdminFactory
from tests.key_pages import DAY, DEACTIVATE, PAGE, ROTATE, entries, text_of
from tests.visitors import HTML, JSON, admin_of, path, signed_in, signed_in_a_while_ago

pytestmark = pytest.mark.django_db

PLAN, SHOW_PREPARED, CANCEL = "apikeys:api-key-plan", "apikeys:api-key-plan-show", "apikeys:api-key-plan-cancel"
SNOOZE, END_SNOOZE = "apikeys:api-key-snooze", "apikeys:api-key-snooze-end"
HAND_OVER, END_HANDOVER = "apikeys:api-key-hand-over", "apikeys:api-key-hand-over-end"
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def key() -> ApiKey:
    maker = SuperAdminFactory.create(user__name="Ada", user__time_zone="Europe/Berlin")
    return ApiKeyFactory.create(account=maker.account, created_by=maker, created_at=timezone.now() - 185 * DAY)


@pytest.fixture
def ada(key: ApiKey) -> Client:
    return signed_in(admin_of(key))


def planned(key: ApiKey, *, ahead: timedelta = 3 * DAY) -> RotationPlan:
    now = timezone.now()
    return rotation_plans.plan_rotation(
        account=key.account, generation=None, planned_for=now + ahead, by=admin_of(key), now=now
    )


# --- The plan -------------------------------------------------------------------------------------------------------
def test_a_rotation_is_planned_by_the_readers_clocks(key: ApiKey, ada: Client) -> None:
    wall = (timezone.now().astimezone(BERLIN) + 3 * DAY).replace(hour=12, minute=0)

    answer = ada.post(path(PLAN, key.account), {"generation": 1, "at": wall.strftime("%Y-%m-%dT%H:%M")})
    text = text_of(ada, PLAN, key.account)

    assert answer.headers["Location"] == path(PLAN, key.account)
    assert RotationPlan.objects.get().planned_for == wall.replace(second=0, microsecond=0)
    assert "12:00 PM CE" in text  # CET or CEST
    assert RotationPlan.objects.get().last4 in text
    assert "logged e-mails and other third-party data included" in text


def test_the_form_says_whose_clocks_it_means_and_what_happens(key: ApiKey, ada: Client) -> None:
    text = text_of(ada, PLAN, key.account)

    assert "By the clocks of Europe/Berlin, the time zone of your profile" in text
    assert "Until its time it opens nothing" in text


def test_a_time_that_has_passed_plans_nothing_and_is_said_at_the_field(key: ApiKey, ada: Client) -> None:
    answer = ada.post(path(PLAN, key.account), {"generation": 1, "at": "2020-01-05T02:00"})

    assert answer.status_code == 400
    assert b"Choose a time that lies ahead" in answer.content
    assert not RotationPlan.objects.exists()


def test_who_plans_proves_first_who_they_are_but_not_to_look(key: ApiKey) -> None:
    client = signed_in_a_while_ago(admin_of(key))

    before = client.get(path(PLAN, key.account))
    planned(key)
    after = client.get(path(PLAN, key.account))

    assert before.headers["Location"].startswith("/auth/reauthenticate/?next=")
    assert after.status_code == 200


def test_planning_a_key_that_was_rotated_meanwhile_changes_nothing(key: ApiKey, ada: Client) -> None:
    api_keys.rotate_api_key(account=key.account, generation=1, by=admin_of(key), now=timezone.now())
    at = (timezone.now() + 2 * DAY).strftime("%Y-%m-%dT%H:%M")

    answer = ada.post(path(PLAN, key.account), {"generation": 1, "at": at}, follow=True)

    assert "was rotated away by Ada" in answer.content.decode()
    assert not RotationPlan.objects.exists()


def test_the_prepared_secret_is_json_to_the_script_stored_by_nobody_and_an_entry(key: ApiKey, ada: Client) -> None:
    plan = planned(key)

    answer = ada.post(path(SHOW_PREPARED, key.account), headers=JSON)

    assert answer.json() == {"secret": plan.key(at=timezone.now()).secret(), "hide_after": 60}
    assert "no-store" in answer.headers["Cache-Control"]
    assert entries(Action.PREPARED_KEY_VIEWED) == [Outcome.DONE]


def test_without_script_the_prepared_secret_is_a_page_that_leaves_by_itself(key: ApiKey, ada: Client) -> None:
    plan = planned(key)

    answer = ada.post(path(SHOW_PREPARED, key.account), headers=HTML)

    text = answer.content.decode()
    assert plan.key(at=timezone.now()).secret() in text
    assert "It opens nothing until the planned rotation." in text
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Refresh"] == f"60;url={path(PLAN, key.account)}"


def test_the_prepared_secret_is_asked_proof_for_and_is_in_no_page(key: ApiKey, ada: Client) -> None:
    plan = planned(key)
    secret = plan.key(at=timezone.now()).secret()

    late = signed_in_a_while_ago(admin_of(key)).post(path(SHOW_PREPARED, key.account), headers=JSON)
    pages = [text_of(ada, name, key.account) for name in (PAGE, PLAN, ROTATE, DEACTIVATE)]

    assert late.status_code == 403
    assert "reauthenticate" in late.json()
    assert not [page for page in pages if secret in page]
    assert ada.get(path(SHOW_PREPARED, key.account)).status_code == 302


def test_a_prepared_secret_that_cannot_be_opened_is_a_refusal_with_words(key: ApiKey, ada: Client) -> None:
    planned(key)
    RotationPlan.objects.update(sealed_with="lost-key")

    answer = ada.post(path(SHOW_PREPARED, key.account), headers=JSON)

    assert answer.status_code == 409
    assert "cancel the plan" in answer.json()["message"]
    assert entries(Action.PREPARED_KEY_VIEWED) == [Outcome.DONE, Outcome.REFUSED]  # as it was asked for, as it ended


def test_once_the_plan_is_over_nothing_prepared_is_shown(key: ApiKey, ada: Client) -> None:
    plan = planned(key)
    rotation_plans.wake(now=plan.planned_for)

    answer = ada.post(path(SHOW_PREPARED, key.account), headers=JSON)

    assert answer.status_code == 409
    assert answer.json() == {"message": "This plan is over: it has run, or was called off."}


def test_callers_that_present_the_prepared_key_too_early_are_named(key: ApiKey, ada: Client) -> None:
    plan = planned(key)
    quiet = text_of(ada, PLAN, key.account)
    CallFactory.create(account_id=key.account_id, credential_id=plan.id, agent="eager", status=401, reason="prepared")

    text = text_of(ada, PLAN, key.account)
    log = ada.get(path("auditlog:calls", key.account), {"credential": str(plan.id)}).content.decode()

    assert "Nobody. A caller that changes over before the time shows up here." in quiet
    assert "<strong>eager</strong>" in text
    assert "The key is prepared and does not count yet" in log
    assert f"Prepared key …{plan.last4}" in log


def test_cancelling_is_a_button_and_leads_back_to_the_key(key: ApiKey, ada: Client) -> None:
    plan = planned(key)

    answer = ada.post(path(CANCEL, key.account), {"plan": str(plan.id)}, follow=True)

    assert answer.redirect_chain == [(path(PAGE, key.account), 302)]
    assert "The plan is cancelled" in answer.content.decode()
    assert not RotationPlan.objects.open().exists()


@pytest.mark.parametrize("sent", [{}, {"plan": "nothing"}, {"plan": "0" * 32}])
def test_a_cancelling_that_names_no_open_plan_changes_nothing(key: ApiKey, ada: Client, sent: dict[str, str]) -> None:
    planned(key)

    assert ada.post(path(CANCEL, key.account), sent).status_code == 302
    assert RotationPlan.objects.open().exists()


def test_everybody_reads_on_the_keys_page_for_when_it_is_planned(key: ApiKey, ada: Client) -> None:
    planned(key)
    member = MemberFactory.create(account=key.account)

    texts = [text_of(client, PAGE, key.account) for client in (ada, signed_in(member))]

    assert all("Planned for" in text for text in texts)
    assert path(PLAN, key.account) in texts[0]
    assert path(PLAN, key.account) not in texts[1]


@pytest.mark.parametrize("name", [ROTATE, DEACTIVATE])
def test_before_a_change_by_hand_the_page_says_that_it_calls_the_plan_off(key: ApiKey, ada: Client, name: str) -> None:
    without = text_of(ada, name, key.account)
    plan = planned(key)

    text = text_of(ada, name, key.account)

    assert "A rotation is planned" not in without
    assert "If you go on, it is off." in text
    assert f"The prepared key ending in {plan.last4} is then destroyed" in text


def test_a_plan_that_did_not_run_is_explained_on_the_keys_page(key: ApiKey) -> None:
    grace = SuperAdminFactory.create(account=key.account)
    plan = planned(key)
    Member.objects.filter(pk=admin_of(key).pk).update(role=Role.MEMBER)
    rotation_plans.wake(now=timezone.now())

    text = text_of(signed_in(grace), PAGE, key.account)

    assert "does not run." in text
    assert "is no super admin of this account any more." in text
    assert f"The prepared key ending in {plan.last4} is destroyed" in text


def test_so_is_one_that_an_announced_end_overtook(key: ApiKey, ada: Client) -> None:
    planned(key)
    SunsetFactory.create(authentication_ends_at=timezone.now() + timedelta(hours=1))
    rotation_plans.wake(now=timezone.now())

    text = text_of(ada, PAGE, key.account)

    assert "does not run." in text
    assert "By then calls with API keys are refused, as was announced since." in text


def test_a_plan_whose_time_has_come_says_that_it_runs_any_moment(key: ApiKey, ada: Client) -> None:
    planned(key)
    RotationPlan.objects.update(planned_for=timezone.now() - timedelta(minutes=1))

    assert "Its time has come: it runs any moment." in text_of(ada, PLAN, key.account)


# --- The shell ------------------------------------------------------------------------------------------------------
def test_a_rotation_from_the_shell_calls_the_plan_off_and_says_so(key: ApiKey) -> None:
    plan = planned(key)

    shown, said = facts("api_key", "show", key.account.slug), StringIO()
    call_command("api_key", "rotate", key.account.slug, stdout=StringIO(), stderr=said)
    rotated = facts("api_key", "show", key.account.slug)

    assert shown["rotation_planned_for"] == plan.planned_for.isoformat().replace("+00:00", "Z")
    assert rotated["rotation_planned_for"] is None
    assert rotated["last4"] != plan.last4
    assert f"prepared key (…{plan.last4}) never counts" in said.getvalue()
    assert not RotationPlan.objects.open().exists()


# --- The reminder ---------------------------------------------------------------------------------------------------
def test_a_reminder_is_snoozed_with_a_reason_that_the_page_shows_until_it_is_ended(key: ApiKey, ada: Client) -> None:
    before = text_of(ada, PAGE, key.account)

    ada.post(path(SNOOZE, key.account), {"generation": 1, "days": 9, "reason": "The shop freezes"})
    asleep = text_of(ada, PAGE, key.account)
    ada.post(path(END_SNOOZE, key.account))
    ended = text_of(ada, PAGE, key.account)

    assert "The reminder is snoozed until" in asleep
    assert "The shop freezes" in asleep
    assert path(SNOOZE, key.account) in before
    assert f'"{path(SNOOZE, key.account)}"' not in asleep
    assert "The reminder is snoozed until" not in ended
    assert Snooze.objects.get().until < timezone.now()


@pytest.mark.parametrize(
    "sent",
    [
        {"days": "31", "reason": "x"},
        {"days": "0", "reason": "x"},
        {"days": "7", "reason": ""},
        {"days": "7", "reason": "x" * 201},
        {"days": "7", "reason": "the key is kp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"},
        {"days": "sieben", "reason": "x"},
    ],
)
def test_what_does_not_fit_snoozes_nothing(key: ApiKey, ada: Client, sent: dict[str, str]) -> None:
    answer = ada.post(path(SNOOZE, key.account), {"generation": "1", **sent})

    assert answer.status_code == 400
    assert not Snooze.objects.exists()


def test_a_second_snooze_is_told_of_the_first(key: ApiKey, ada: Client) -> None:
    snoozes.snooze(account=key.account, generation=1, days=7, reason="x", by=admin_of(key), now=timezone.now())

    answer = ada.post(path(SNOOZE, key.account), {"generation": 1, "days": 7, "reason": "y"}, follow=True)

    assert "has snoozed the reminder until" in answer.content.decode()


def test_opening_the_pages_changes_nothing(key: ApiKey, ada: Client) -> None:
    for name in (PLAN, SHOW_PREPARED, CANCEL, SNOOZE, END_SNOOZE, HAND_OVER, END_HANDOVER):
        for client in (ada, Client()):
            client.get(path(name, key.account))
            client.head(path(name, key.account))

    assert not any(model.objects.exists() for model in (RotationPlan, Snooze, Handover))
    assert set(AuditEntry.objects.values_list("category", flat=True)) == {"sign_in"}


# --- Handing over ---------------------------------------------------------------------------------------------------
def test_the_rotation_is_handed_over_shown_and_given_back(key: ApiKey, ada: Client) -> None:
    grace = SuperAdminFactory.create(account=key.account, user__name="Grace", user__email="grace@acme.example")
    form = text_of(ada, HAND_OVER, key.account)

    ada.post(path(HAND_OVER, key.account), {"generation": 1, "to": grace.pk})
    pages = [text_of(client, PAGE, key.account) for client in (ada, signed_in(grace))]
    ada.post(path(END_HANDOVER, key.account))

    assert "Grace (grace@acme.example)</option>" in form
    assert all("Grace looks after it." in page for page in pages)
    assert "Take it back" in pages[0]
    assert "Give it back" in pages[1]
    assert handovers.of(key) is None


def test_it_is_offered_to_other_super_admins_alone(key: ApiKey, ada: Client) -> None:
    developer = MemberFactory.create(account=key.account, role=Role.DEVELOPER)
    stranger = SuperAdminFactory.create()
    SuperAdminFactory.create(account=key.account)

    answers = [
        ada.post(path(HAND_OVER, key.account), {"generation": 1, "to": other.pk})
        for other in (developer, stranger, admin_of(key))
    ]

    assert [answer.status_code for answer in answers] == [400] * 3
    assert not Handover.objects.exists()


def test_an_only_super_admin_is_told_that_there_is_nobody(key: ApiKey, ada: Client) -> None:
    assert "You are the only super admin" in text_of(ada, HAND_OVER, key.account)


@pytest.mark.parametrize("name", [PLAN, SNOOZE, HAND_OVER])
def test_without_a_key_there_is_nothing_to_do_here(name: str) -> None:
    admin = SuperAdminFactory.create()

    answer = signed_in(admin).get(path(name, admin.account))

    assert answer.headers["Location"] == path(PAGE, admin.account)


@pytest.mark.parametrize("name", [PLAN, SNOOZE, HAND_OVER])
def test_what_others_try_is_refused_and_an_entry(key: ApiKey, name: str) -> None:
    client = signed_in(MemberFactory.create(account=key.account, role=Role.DEVELOPER))

    assert client.post(path(name, key.account)).status_code == 403
    assert AuditEntry.objects.filter(category="api_key", outcome=Outcome.REFUSED).count() == 1
