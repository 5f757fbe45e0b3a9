"""A planned rotation: prepared at once, run at its time, once or not at all, and everybody concerned told (G1-G3)."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from structlog.testing import capture_logs

from accounts import operations, revisions
from accounts.actors import SHELL
from accounts.models import Account, Change, Member, Notice, OutgoingMail
from accounts.permissions import Role
from apikeys.models import ApiKey, RotationPlan
from apikeys.models.rotation_plan import RotationPlanQuerySet
from apikeys.operations import api_keys, key_ends, rotation_plans
from apikeys.tasks import wake_plans
from auditlog.actions import Action, Outcome
from auditlog.models import AuditEntry
from tests.factories import (
    NOW,
    ApiKeyFactory,
    GroupedAccountFactory,
    MemberFactory,
    SunsetFactory,
    SuperAdminFactory,
)
from tests.visitors import admin_of

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SUNDAY = NOW + 6 * DAY  # when the rotation is planned for


@pytest.fixture
def key() -> ApiKey:
    maker = SuperAdminFactory.create(user__email="ada@acme.example", user__name="Ada", account__slug="acme")
    SuperAdminFactory.create(account=maker.account, user__email="grace@acme.example")
    return ApiKeyFactory.create(account=maker.account, created_by=maker)


@pytest.fixture
def plan(key: ApiKey) -> RotationPlan:
    return rotation_plans.plan_rotation(
        account=key.account, generation=1, planned_for=SUNDAY, by=admin_of(key), now=NOW
    )


def notices(kind: Notice.Kind) -> set[str]:
    return set(Notice.objects.filter(kind=kind, read_at=None).values_list("user__email", flat=True))


def mails(kind: str) -> list[str]:
    return sorted(OutgoingMail.objects.filter(kind=kind).values_list("to", flat=True))


BOTH = {"ada@acme.example", "grace@acme.example"}


# --- Planning -------------------------------------------------------------------------------------------------------
def test_planning_prepares_the_next_generation_and_leaves_the_key_as_it_is(key: ApiKey, plan: RotationPlan) -> None:
    assert key.account.api_keys.get() == key
    assert key.is_active
    assert plan.generation == 2
    assert re.fullmatch(r"kp_[0-9A-Za-z]{36}", plan.key(at=NOW).secret())
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target_name) == (
        Action.ROTATION_PLANNED,
        f"prepared API key, generation 2 (…{plan.last4})",
    )
    assert Change.objects.get().account_id == key.account_id


def test_everybody_concerned_is_told_of_a_plan(plan: RotationPlan) -> None:
    assert mails(rotation_plans.PLANNED_MAIL) == sorted(BOTH)
    assert notices(Notice.Kind.ROTATION_PLANNED) == {"grace@acme.example"}


@pytest.mark.parametrize("at", [NOW - HOUR, NOW, NOW + 30 * DAY + HOUR])
def test_a_time_that_is_not_ahead_or_too_far_is_refused(key: ApiKey, at: datetime) -> None:
    with pytest.raises(rotation_plans.BadTimeError):
        rotation_plans.plan_rotation(account=key.account, generation=1, planned_for=at, by=admin_of(key), now=NOW)

    assert AuditEntry.objects.get().outcome == Outcome.REFUSED
    assert not RotationPlan.objects.exists()


@pytest.mark.parametrize(("end", "planned"), [(SUNDAY, False), (SUNDAY + HOUR, True)])
def test_nothing_is_planned_for_after_the_announced_end_of_the_key(
    key: ApiKey, end: datetime, *, planned: bool
) -> None:
    """People would get ready with a key that opens nothing."""
    SunsetFactory.create(authentication_ends_at=end)

    with nullcontext() if planned else pytest.raises(rotation_plans.BadTimeError, match="refused from"):
        rotation_plans.plan_rotation(account=key.account, generation=1, planned_for=SUNDAY, by=admin_of(key), now=NOW)

    assert RotationPlan.objects.exists() is planned


def test_there_is_one_plan_at_a_time(key: ApiKey, plan: RotationPlan) -> None:
    with pytest.raises(
        rotation_plans.PlanExistsError, match=r"Ada \(ada@acme.example\) has planned a rotation for Sunday"
    ):
        rotation_plans.plan_rotation(account=key.account, generation=1, planned_for=SUNDAY, by=admin_of(key), now=NOW)


def test_the_database_refuses_a_second_open_plan_and_a_secret_in_one_that_ended(plan: RotationPlan) -> None:
    second = RotationPlan(account=plan.account, replaces=plan.replaces, planned_for=SUNDAY, planned_at=NOW)
    second.planned_by, second.digest, second.sealed_secret = plan.planned_by, b"1" * 32, b"1"

    with pytest.raises(IntegrityError), transaction.atomic():
        second.save()
    with pytest.raises(IntegrityError), transaction.atomic():
        RotationPlan.objects.update(ended_at=NOW, end=RotationPlan.End.CANCELLED)


def test_who_lost_the_role_meanwhile_plans_nothing(key: ApiKey) -> None:
    admin = admin_of(key)
    Member.objects.filter(pk=admin.pk).update(role=Role.MEMBER)

    with pytest.raises(api_keys.MayNotError):
        rotation_plans.plan_rotation(account=key.account, generation=1, planned_for=SUNDAY, by=admin, now=NOW)


# --- Showing --------------------------------------------------------------------------------------------------------
def test_the_prepared_secret_is_shown_after_its_entry_and_is_the_one_that_later_counts(
    key: ApiKey, plan: RotationPlan
) -> None:
    issued = rotation_plans.show_prepared_key(account=key.account, by=admin_of(key), now=NOW)
    rotation_plans.wake(now=SUNDAY)

    active = key.account.api_keys.active().get()
    assert (active.pk, active.secret(), active.last4) == (plan.pk, issued.secret, plan.last4)
    assert AuditEntry.objects.filter(action=Action.PREPARED_KEY_VIEWED).count() == 1


def test_no_prepared_secret_leaves_where_its_entry_could_still_be_rolled_back(key: ApiKey, plan: RotationPlan) -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic(), transaction.atomic():
        rotation_plans.show_prepared_key(account=key.account, by=admin_of(key), now=NOW)


def test_without_a_plan_nothing_is_shown_and_the_attempt_is_an_entry(key: ApiKey) -> None:
    with pytest.raises(rotation_plans.NoPlanError):
        rotation_plans.show_prepared_key(account=key.account, by=admin_of(key), now=NOW)

    assert AuditEntry.objects.get().outcome == Outcome.REFUSED


# --- Running --------------------------------------------------------------------------------------------------------
def test_a_plan_runs_at_its_time_and_not_a_second_before(key: ApiKey, plan: RotationPlan) -> None:
    rotation_plans.wake(now=SUNDAY - timedelta(seconds=1))
    before = key.account.api_keys.active().get()
    rotation_plans.wake(now=SUNDAY)

    key.refresh_from_db()
    active = key.account.api_keys.active().get()
    assert before == key
    assert (key.end, key.deactivated_at, key.deactivated_by) == ("rotated", SUNDAY, plan.planned_by)
    assert (active.generation, active.created_at, active.created_by) == (2, SUNDAY, plan.planned_by)
    entry = AuditEntry.objects.get(action=Action.API_KEY_ROTATED)
    assert entry.actor_email == "ada@acme.example"
    assert entry.details == {"generation": 2, "replaced": key.last4, "planned_for": SUNDAY.isoformat()}


def test_a_late_waking_runs_it_late(key: ApiKey, plan: RotationPlan) -> None:
    rotation_plans.wake(now=SUNDAY + 3 * DAY)

    assert key.account.api_keys.active().get().created_at == SUNDAY + 3 * DAY


def test_who_is_concerned_is_told_once_that_it_is_done_after_the_wait_for_the_gates(
    key: ApiKey, plan: RotationPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_before: list[bool] = []
    monkeypatch.setattr(revisions, "settle", lambda: told_before.append(bool(mails(rotation_plans.RUN_MAIL))))

    for _ in range(3):
        rotation_plans.wake(now=SUNDAY)

    key.refresh_from_db()
    assert told_before == [False]
    assert key.settled_at is not None
    assert mails(rotation_plans.RUN_MAIL) == sorted(BOTH)
    assert notices(Notice.Kind.ROTATION_RUN) == BOTH
    assert notices(Notice.Kind.ROTATION_PLANNED) == set()


def test_the_day_before_everybody_is_told_once_more_and_once(key: ApiKey, plan: RotationPlan) -> None:
    rotation_plans.wake(now=SUNDAY - DAY - HOUR)
    early = mails(rotation_plans.SOON_MAIL)
    for hours in (24, 23, 1):
        rotation_plans.wake(now=SUNDAY - hours * HOUR)

    assert early == []
    assert mails(rotation_plans.SOON_MAIL) == sorted(BOTH)
    assert notices(Notice.Kind.ROTATION_SOON) == BOTH


@pytest.mark.parametrize("woken_at", [NOW + DAY, NOW + 40 * HOUR])
def test_of_what_was_planned_less_than_two_days_ahead_nobody_is_told_twice(key: ApiKey, woken_at: datetime) -> None:
    rotation_plans.plan_rotation(
        account=key.account, generation=1, planned_for=NOW + 40 * HOUR, by=admin_of(key), now=NOW
    )

    rotation_plans.wake(now=woken_at)

    assert mails(rotation_plans.SOON_MAIL) == []


def test_the_store_keeps_no_second_copy_of_a_secret_once_a_plan_has_run(plan: RotationPlan) -> None:
    rotation_plans.wake(now=SUNDAY)

    plan.refresh_from_db()
    assert (plan.end, plan.digest, plan.sealed_secret, plan.sealed_with) == ("run", None, None, "")


# --- Not running ----------------------------------------------------------------------------------------------------
def demote(plan: RotationPlan) -> None:
    operations.change_role(member=plan.planned_by, role=Role.MEMBER, by=SHELL, now=NOW)


def leave(plan: RotationPlan) -> None:
    operations.leave(member=plan.planned_by, now=NOW)


def switch_off(plan: RotationPlan) -> None:
    plan.planned_by.user.is_active = False
    plan.planned_by.user.save()


@pytest.mark.parametrize("lose", [demote, leave, switch_off])
@pytest.mark.parametrize("woken_at", [NOW + HOUR, SUNDAY, SUNDAY + HOUR])
def test_a_plan_whose_planner_may_not_any_more_does_not_run_and_people_are_told(
    key: ApiKey, plan: RotationPlan, lose: Callable[[RotationPlan], None], woken_at: datetime
) -> None:
    lose(plan)
    for _ in range(2):
        rotation_plans.wake(now=woken_at)

    plan.refresh_from_db()
    entry = AuditEntry.objects.get(action=Action.ROTATION_PLAN_DROPPED)
    assert key.account.api_keys.get() == key
    assert (plan.end, plan.digest) == ("planner_gone", None)
    assert (entry.actor_kind, entry.actor_name) == ("system", "KeyPortal")
    assert "grace@acme.example" in mails(key_ends.PLAN_ENDED_MAIL)
    assert "grace@acme.example" in notices(Notice.Kind.PLAN_DROPPED)


def test_who_is_super_admin_again_by_the_time_finds_the_plan_as_it_was_unless_the_portal_woke_between(
    key: ApiKey, plan: RotationPlan
) -> None:
    demote(plan)
    operations.change_role(member=plan.planned_by, role=Role.SUPER_ADMIN, by=SHELL, now=NOW)

    rotation_plans.wake(now=SUNDAY)

    assert key.account.api_keys.active().get().pk == plan.pk


@pytest.mark.parametrize("shut", [operations.suspend_account, operations.close_account])
def test_a_plan_of_an_account_that_is_not_open_at_its_time_does_not_run(
    key: ApiKey, plan: RotationPlan, shut: Callable[..., None]
) -> None:
    shut(account=key.account, reason="unpaid", by=SHELL, now=NOW)

    rotation_plans.wake(now=NOW + HOUR)
    waits = RotationPlan.objects.open().exists()
    rotation_plans.wake(now=SUNDAY)

    plan.refresh_from_db()
    assert waits
    assert key.account.api_keys.get().is_active
    assert plan.end == "not_open"
    assert mails(key_ends.PLAN_ENDED_MAIL) == sorted(BOTH)


@pytest.mark.parametrize("woken_at", [NOW + HOUR, SUNDAY + HOUR])
@pytest.mark.parametrize(("end", "runs"), [(SUNDAY, False), (SUNDAY + timedelta(minutes=1), True)])
def test_a_plan_for_a_time_after_an_end_that_is_announced_since_does_not_run_and_people_are_told(
    key: ApiKey, plan: RotationPlan, end: datetime, woken_at: datetime, *, runs: bool
) -> None:
    SunsetFactory.create(authentication_ends_at=end)

    for _ in range(2):
        rotation_plans.wake(now=woken_at)

    plan.refresh_from_db()
    assert (plan.end == "sunset", plan.digest is None) == (not runs, not runs or woken_at > SUNDAY)
    assert mails(key_ends.PLAN_ENDED_MAIL) == ([] if runs else sorted(BOTH))
    assert notices(Notice.Kind.PLAN_DROPPED) == (set() if runs else BOTH)
    assert AuditEntry.objects.filter(action=Action.ROTATION_PLAN_DROPPED).count() == (0 if runs else 1)


def test_a_plan_stays_where_the_accounts_group_has_longer(key: ApiKey, plan: RotationPlan) -> None:
    SunsetFactory.create(authentication_ends_at=NOW + DAY)
    place = GroupedAccountFactory.create(account=key.account)
    SunsetFactory.create(group=place.group, authentication_ends_at=NOW + 90 * DAY)

    rotation_plans.wake(now=NOW + HOUR)

    assert RotationPlan.objects.open().get() == plan


def test_cancelling_destroys_what_was_prepared_and_tells_everybody(key: ApiKey, plan: RotationPlan) -> None:
    rotation_plans.cancel_plan(account=key.account, plan_id=plan.id, by=admin_of(key), now=NOW)
    rotation_plans.wake(now=SUNDAY)

    plan.refresh_from_db()
    assert (plan.end, plan.digest, plan.sealed_secret) == ("cancelled", None, None)
    assert key.account.api_keys.get().is_active
    assert mails(key_ends.PLAN_ENDED_MAIL) == sorted(BOTH)
    assert notices(Notice.Kind.PLAN_CANCELLED) == {"grace@acme.example"}
    assert mails(rotation_plans.RUN_MAIL) == []
    with pytest.raises(ValueError, match="ended"):
        plan.key(at=NOW)


def test_who_means_another_plan_cancels_nothing(key: ApiKey, plan: RotationPlan) -> None:
    rotation_plans.cancel_plan(account=key.account, plan_id=plan.id, by=admin_of(key), now=NOW)
    newer = rotation_plans.plan_rotation(
        account=key.account, generation=1, planned_for=SUNDAY, by=admin_of(key), now=NOW
    )

    with pytest.raises(rotation_plans.NoPlanError):
        rotation_plans.cancel_plan(account=key.account, plan_id=plan.id, by=admin_of(key), now=NOW)

    assert RotationPlan.objects.open().get() == newer


@pytest.mark.parametrize("change", [api_keys.rotate_api_key, api_keys.deactivate_api_key])
def test_rotating_and_deactivating_by_hand_call_the_plan_off(
    key: ApiKey, plan: RotationPlan, change: Callable[..., object]
) -> None:
    change(account=key.account, generation=1, by=SHELL, now=NOW)
    after = list(key.account.api_keys.order_by("generation").values_list("generation", "end"))

    rotation_plans.wake(now=SUNDAY)

    plan.refresh_from_db()
    key.refresh_from_db()
    assert plan.end == key.end
    assert plan.digest is None
    assert list(key.account.api_keys.order_by("generation").values_list("generation", "end")) == after
    assert plan.pk not in key.account.api_keys.values_list("pk", flat=True)
    assert mails(key_ends.PLAN_ENDED_MAIL) == sorted(BOTH)
    assert notices(Notice.Kind.PLAN_OVERTAKEN) == BOTH


# --- Once -----------------------------------------------------------------------------------------------------------
def in_64_threads(act: Callable[[], None]) -> None:
    def run(_: int) -> None:
        try:
            act()
        finally:
            connection.close()

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(run, range(64)))


@pytest.mark.django_db(transaction=True)
def test_of_64_wakings_at_once_one_runs_the_plan(key: ApiKey, plan: RotationPlan) -> None:
    in_64_threads(lambda: rotation_plans.wake(now=SUNDAY))

    assert list(key.account.api_keys.order_by("generation").values_list("generation", "end")) == [
        (1, "rotated"),
        (2, ""),
    ]
    assert AuditEntry.objects.filter(action=Action.API_KEY_ROTATED).count() == 1
    assert mails(rotation_plans.RUN_MAIL) == sorted(BOTH)
    assert notices(Notice.Kind.ROTATION_RUN) == BOTH


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [api_keys.rotate_api_key, api_keys.deactivate_api_key])
def test_of_a_plan_and_a_change_by_hand_at_the_same_time_one_wins(
    key: ApiKey, plan: RotationPlan, change: Callable[..., object]
) -> None:
    """Whoever confirmed a page about generation 1 changes that one, or is told that it was rotated."""
    answers: list[str] = []

    def by_hand() -> None:
        try:
            change(account=key.account, generation=1, by=SHELL, now=SUNDAY)
        except api_keys.KeyNotCurrentError as refusal:
            answers.append(str(refusal))
        else:
            answers.append("done")
        finally:
            connection.close()

    def by_plan() -> None:
        rotation_plans.wake(now=SUNDAY)
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        [done.result() for done in [pool.submit(by_plan), pool.submit(by_hand)]]

    plan.refresh_from_db()
    key.refresh_from_db()
    assert (plan.end == "run") == (answers != ["done"])
    assert key.account.api_keys.active().count() <= 1
    assert key.account.api_keys.count() == 1 + (key.end == "rotated")


def test_without_looking_again_under_the_lock_a_plan_would_run_as_often_as_it_is_found(
    key: ApiKey, plan: RotationPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who found it due: the second must look again. Without that, only the database's constraints stop it."""
    named = ("account", "replaces__account", "replaces__created_by", "planned_by__user")
    found = [RotationPlan.objects.select_related(*named).get() for _ in range(2)]
    monkeypatch.setattr(RotationPlanQuerySet, "due", lambda plans, **_: plans.filter(pk=plan.pk))
    looking = rotation_plans.wake

    with monkeypatch.context() as patch, capture_logs() as without:
        patch.setattr(rotation_plans, "_held", lambda _: found.pop())
        looking(now=SUNDAY)
        looking(now=SUNDAY)
    with capture_logs() as with_it:
        looking(now=SUNDAY)

    assert [said["event"] for said in without] == ["plan_failed"]
    assert with_it == []


# --- Killed between steps -------------------------------------------------------------------------------------------
class Killed(BaseException):
    """As `kill -9` ends a process: nothing of ours catches it."""


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, owner: object, step: str) -> Iterator[None]:
    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, die)
        yield


STEPS = [
    (ApiKey, "deactivate"),
    (RotationPlan, "key"),
    (RotationPlan, "finish"),
    (ApiKey, "save"),
    (key_ends, "close"),
    (revisions, "take"),
    (revisions, "settle"),
    (rotation_plans, "_tell_run"),
    (rotation_plans, "_tell"),
    (key_ends, "owe"),
]


@pytest.mark.parametrize(("owner", "step"), STEPS)
def test_wherever_a_process_dies_the_next_one_runs_the_plan_and_tells_of_it_once(
    key: ApiKey, plan: RotationPlan, monkeypatch: pytest.MonkeyPatch, owner: object, step: str
) -> None:
    rotation_plans.wake(now=SUNDAY - HOUR)  # so that only running is left
    with killed_at(monkeypatch, owner, step), pytest.raises(Killed):
        rotation_plans.wake(now=SUNDAY)
    between = key.account.api_keys.active().count()

    rotation_plans.wake(now=SUNDAY + HOUR)

    assert between == 1
    assert key.account.api_keys.active().get().pk == plan.pk
    assert AuditEntry.objects.filter(action=Action.API_KEY_ROTATED).count() == 1
    assert mails(rotation_plans.RUN_MAIL) == sorted(BOTH)


def test_a_plan_that_cannot_run_holds_up_no_other(key: ApiKey, plan: RotationPlan) -> None:
    other = ApiKeyFactory.create()
    rotation_plans.plan_rotation(
        account=other.account, generation=1, planned_for=SUNDAY + HOUR, by=admin_of(other), now=NOW
    )
    ApiKeyFactory.create(account=key.account, generation=2, deactivated_at=NOW, end="rotated", created_by=None)

    rotation_plans.wake(now=SUNDAY + HOUR)

    assert other.account.api_keys.active().get().generation == 2
    assert key.account.api_keys.active().get() == key


def test_the_task_wakes_plans(key: ApiKey) -> None:
    now = timezone.now()
    rotation_plans.plan_rotation(
        account=key.account, generation=1, planned_for=now + timedelta(hours=1), by=admin_of(key), now=now
    )
    RotationPlan.objects.update(planned_for=now)

    wake_plans()

    assert Account.objects.get().api_keys.active().get().generation == 2


def test_members_who_may_not_are_told_nothing(key: ApiKey, plan: RotationPlan) -> None:
    MemberFactory.create(account=key.account, role=Role.DEVELOPER)

    rotation_plans.wake(now=SUNDAY)

    assert set(OutgoingMail.objects.values_list("to", flat=True)) == BOTH
