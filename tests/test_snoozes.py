"""Having the reminder wait: for up to 30 days, with a reason; it then comes once more (G6)."""

from datetime import datetime, timedelta

import pytest
from django.core import mail as mailbox
from django.core.management import call_command

from accounts.models import Member, Notice
from accounts.permissions import Role
from apikeys.models import ApiKey, Snooze
from apikeys.operations import api_keys, reminders, rotation_plans, snoozes
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import NOW, ApiKeyFactory, SuperAdminFactory
from tests.visitors import admin_of

pytestmark = pytest.mark.django_db

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
DUE = NOW + 180 * DAY
BOTH = ["ada@acme.example", "grace@acme.example"]


@pytest.fixture
def key() -> ApiKey:
    maker = SuperAdminFactory.create(user__email="ada@acme.example", user__name="Ada")
    SuperAdminFactory.create(account=maker.account, user__email="grace@acme.example")
    return ApiKeyFactory.create(account=maker.account, created_by=maker)


def remind(now: datetime = DUE) -> list[str]:
    """Scan and send; to whom reminders went out."""
    before = len(mailbox.outbox)
    call_command("send_reminders", now=now)
    return sorted(mail.to[0] for mail in mailbox.outbox[before:] if "days old" in str(mail.subject))


def snooze(key: ApiKey, *, days: int = 7, now: datetime = DUE) -> Snooze:
    return snoozes.snooze(
        account=key.account, generation=1, days=days, reason="The shop freezes until May", by=admin_of(key), now=now
    )


def unread(kind: Notice.Kind) -> list[str]:
    return sorted(Notice.objects.filter(kind=kind, read_at=None).values_list("user__email", flat=True))


def test_a_snooze_is_an_entry_with_its_reason_and_the_others_are_told(key: ApiKey) -> None:
    snooze(key)

    entry = AuditEntry.objects.get(action=Action.REMINDER_SNOOZED)
    assert (entry.reason, entry.actor_name) == ("The shop freezes until May", "Ada")
    assert entry.details["until"] == (DUE + 7 * DAY).isoformat()
    assert unread(Notice.Kind.REMINDER_SNOOZED) == ["grace@acme.example"]


def test_after_a_reminder_was_snoozed_it_comes_once_more_to_each_and_then_in_its_180_days(key: ApiKey) -> None:
    first = remind()
    snooze(key)
    asleep = [remind(DUE + days * DAY) for days in (0, 3, 6)] + [remind(DUE + 7 * DAY - SECOND)]
    again = remind(DUE + 7 * DAY)
    later = [remind(DUE + days * DAY) for days in (7, 8, 30, 179)]

    assert first == again == BOTH
    assert asleep == [[]] * 4
    assert later == [[]] * 4
    assert remind(DUE + 180 * DAY) == BOTH


def test_a_reminder_that_was_snoozed_before_it_came_comes_once(key: ApiKey) -> None:
    snooze(key, days=30, now=DUE - 2 * DAY)

    assert [remind(DUE + days * DAY) for days in (0, 27, 28, 29, 60)] == [[], [], BOTH, [], []]


def test_a_snooze_across_the_next_180_days_makes_one_reminder_of_two(key: ApiKey) -> None:
    remind()
    snooze(key, days=30, now=DUE + 170 * DAY)

    assert [remind(DUE + days * DAY) for days in (180, 199, 200, 201, 300)] == [[], [], BOTH, [], []]
    assert remind(DUE + 360 * DAY) == BOTH


def test_each_snooze_entitles_to_one_reminder_more_and_no_two_scans_to_two(key: ApiKey) -> None:
    remind()
    for round_ in range(3):
        at = DUE + round_ * 10 * DAY
        snooze(key, days=10, now=at)
        assert remind(at + DAY) == []
        assert [remind(at + 10 * DAY), remind(at + 10 * DAY)] == [BOTH, []]


def test_any_super_admin_ends_a_snooze_and_the_reminder_comes_again(key: ApiKey) -> None:
    grace = Member.objects.get(user__email="grace@acme.example")
    remind()
    snooze(key)

    snoozes.end_snooze(account=key.account, by=grace, now=DUE + DAY)

    assert [remind(DUE + DAY), remind(DUE + 7 * DAY)] == [BOTH, []]
    assert AuditEntry.objects.get(action=Action.REMINDER_SNOOZE_ENDED).actor_email == "grace@acme.example"
    assert Snooze.objects.get().ended_by == grace
    assert unread(Notice.Kind.REMINDER_SNOOZED) == []


def test_while_it_sleeps_the_bell_says_nothing_of_an_old_key_and_afterwards_again(key: ApiKey) -> None:
    remind()
    snooze(key)
    asleep = unread(Notice.Kind.KEY_OLD)
    remind(DUE + 7 * DAY)

    assert asleep == []
    assert unread(Notice.Kind.KEY_OLD) == BOTH


def test_a_mail_that_was_owed_already_is_not_sent_into_a_snooze(key: ApiKey) -> None:
    reminders.remind(now=DUE)
    snooze(key)

    assert [remind(DUE), remind(DUE + 7 * DAY)] == [[], BOTH]


def test_a_super_admin_who_joins_while_it_sleeps_is_reminded_with_the_others(key: ApiKey) -> None:
    remind()
    snooze(key)
    SuperAdminFactory.create(account=key.account, user__email="hal@acme.example")

    assert [remind(DUE + DAY), remind(DUE + 7 * DAY)] == [[], [*BOTH, "hal@acme.example"]]


def test_rotating_ends_it(key: ApiKey) -> None:
    snooze(key)

    api_keys.rotate_api_key(account=key.account, generation=1, by=admin_of(key), now=DUE)

    assert not Snooze.objects.in_force(now=DUE).exists()
    assert unread(Notice.Kind.REMINDER_SNOOZED) == []
    with pytest.raises(snoozes.NotSnoozedError):
        snoozes.end_snooze(account=key.account, by=admin_of(key), now=DUE)
    assert [remind(DUE + 7 * DAY), remind(DUE + 180 * DAY)] == [[], BOTH]


def test_there_is_one_at_a_time(key: ApiKey) -> None:
    snooze(key)

    with pytest.raises(snoozes.SnoozedAlreadyError, match=r"Ada \(ada@acme.example\) has snoozed the reminder until"):
        snooze(key)

    assert AuditEntry.objects.filter(outcome=Outcome.REFUSED).count() == 1


def test_a_young_key_has_no_reminder_to_snooze(key: ApiKey) -> None:
    with pytest.raises(snoozes.NothingToSnoozeError):
        snooze(key, now=NOW + 149 * DAY)

    assert snooze(key, now=NOW + 150 * DAY).until == NOW + 157 * DAY


@pytest.mark.parametrize("days", [0, 31, -1])
def test_it_lasts_a_day_to_30(key: ApiKey, days: int) -> None:
    with pytest.raises(ValueError, match="1 to 30"):
        snooze(key, days=days)


def test_who_lost_the_role_meanwhile_snoozes_nothing(key: ApiKey) -> None:
    Member.objects.filter(pk=admin_of(key).pk).update(role=Role.MEMBER)

    with pytest.raises(api_keys.MayNotError):
        snooze(key)


def test_while_a_rotation_is_planned_nobody_is_reminded_and_once_it_is_off_everybody(key: ApiKey) -> None:
    plan = rotation_plans.plan_rotation(
        account=key.account, generation=1, planned_for=DUE + DAY, by=admin_of(key), now=DUE - DAY
    )
    planned = remind()
    rotation_plans.cancel_plan(account=key.account, plan_id=plan.id, by=admin_of(key), now=DUE)

    assert planned == []
    assert [remind(), remind()] == [BOTH, []]
