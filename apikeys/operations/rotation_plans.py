"""A rotation that is planned for a time: its key is prepared at once, and counts from that time on.

People get ready with the prepared secret, which opens nothing before. Planning, cancelling and running each hold the
account, so that a plan runs once or not at all, whoever knocks at the same time (G2). Running is a rotation like any
other, with one revision in its transaction (G1); people are told that it is done after the wait for the gates. Both
steps are found by what the rows say: whatever dies between them, the next waking goes on.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db.models import QuerySet
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from accounts import notices, revisions
from accounts.actors import PORTAL
from accounts.models import Account, Member, Notice
from accounts.permissions import GRANTS, Permission, Role
from apikeys import secrets
from apikeys.models import ApiKey, RotationPlan, Sunset
from apikeys.operations import key_ends, word_of_changes
from apikeys.operations.api_keys import IssuedKey, settle
from apikeys.operations.attempts import RefusedError, current_key, lock, outermost, refusal_is_entry
from auditlog import journal
from auditlog.actions import Action

MOST_AHEAD = timedelta(days=30)
SOON = timedelta(days=1)  # before its time, people are told once more
AT_ONCE = 200  # plans that one waking runs before it waits for the gates

PLANNED_MAIL, SOON_MAIL, RUN_MAIL = "apikeys.rotation_planned", "apikeys.rotation_soon", "apikeys.rotation_run"

_log = structlog.get_logger(__name__)


class PlanExistsError(RefusedError):
    """The account has an open plan; there is at most one."""


class NoPlanError(RefusedError):
    """There is no such open plan: it has run, or was called off."""


class BadTimeError(RefusedError):
    """The time has passed, is too far ahead, or comes after the end of API keys."""


def plan_rotation(
    *, account: Account, generation: int | None, planned_for: datetime, by: Member, now: datetime
) -> RotationPlan:
    """Prepare the key that takes the place of this generation at that time, and tell everybody concerned.

    :param generation: the one that `by` saw; None: whichever is active.
    :raises KeyNotCurrentError: if that generation is not the active one any more.
    :raises PlanExistsError: if a rotation is planned already.
    :raises BadTimeError: if the time is not ahead, more than 30 days, or after an announced end of the key.
    :raises MayNotError: if `by` may not any more.
    """
    with refusal_is_entry(Action.ROTATION_PLANNED, of=account, by=by, at=now), outermost():
        lock(account, by)
        key = current_key(account, generation)
        _require_none(account)
        if not now < planned_for <= now + MOST_AHEAD:
            raise BadTimeError(_("Choose a time that lies ahead, within 30 days."))
        _require_before_its_end(account, planned_for)
        plan = RotationPlan(account=account, replaces=key, planned_for=planned_for, planned_at=now, planned_by=by)
        plan.prepare(secrets.generate(secrets.Kind.API_KEY))
        plan.save(force_insert=True)
        at = planned_for.isoformat()
        journal.record(Action.ROTATION_PLANNED, of=account, by=by, target=plan, at=now, planned_for=at)
        people = key.people_concerned()
        _tell(Notice.Kind.ROTATION_PLANNED, plan, people=people - {by.user_id}, now=now)
        key_ends.owe(PLANNED_MAIL, plan, people=people, now=now)
        revisions.take(account=account, now=now)
    return plan


def show_prepared_key(*, account: Account, by: Member, now: datetime) -> IssuedKey:
    """Give out the secret that a plan prepared, once the entry that says so is durable (G3).

    :raises NoPlanError: if there is no open plan.
    :raises MayNotError: if `by` may not any more.
    :raises UnsealError: if the secret cannot be opened.
    """
    with refusal_is_entry(Action.PREPARED_KEY_VIEWED, of=account, by=by, at=now):
        with outermost():
            lock(account, by)
            plan = _open(account)
            entry = journal.record(Action.PREPARED_KEY_VIEWED, of=account, by=by, target=plan, at=now)
            if word_of_changes.is_from_elsewhere(entry):
                word_of_changes.owe_of_prepared(entry, people=plan.replaces.people_concerned(), now=now)
        key = plan.key(at=plan.planned_for)
        return IssuedKey(key, key.secret())


def cancel_plan(*, account: Account, plan_id: UUID, by: Member, now: datetime) -> None:
    """Call a plan off: the key stays, and what was prepared is destroyed.

    :param plan_id: the one that `by` saw.
    :raises NoPlanError: if it has run, or was called off.
    :raises MayNotError: if `by` may not any more.
    """
    with refusal_is_entry(Action.ROTATION_PLAN_CANCELLED, of=account, by=by, at=now), outermost():
        lock(account, by)
        plan = _open(account, plan_id)
        people = plan.replaces.people_concerned()
        journal.record(Action.ROTATION_PLAN_CANCELLED, of=account, by=by, target=plan, at=now)
        key_ends.call_off(plan, RotationPlan.End.CANCELLED, people=people, by=by, now=now)
        revisions.take(account=account, now=now)


# --- By the clock ---------------------------------------------------------------------------------------------------
def wake(*, now: datetime) -> None:
    """Do what is due of all plans: drop, announce, run, tell. A second run, at any time, finds it done."""
    plans = RotationPlan.objects.open()
    _each(_drop_if_unwanted, plans.exclude(planned_by__in=_who_may()), now=now)
    for sunset in Sunset.objects.in_force().filter(authentication_ends_at__isnull=False):
        too_late = plans.filter(planned_for__gte=sunset.authentication_ends_at, account__in=sunset.accounts())
        _each(_drop_if_unwanted, too_late, now=now)
    _each(_tell_soon, plans.filter(planned_for__lte=now + SOON, told_soon_at__isnull=True), now=now)
    _each(_run, RotationPlan.objects.due(now=now).order_by("planned_for")[:AT_ONCE], now=now)
    run = RotationPlan.objects.filter(ended_at__isnull=False, told_end_at__isnull=True)
    just_run = list(run.select_related("account", "replaces__account", "replaces__created_by"))
    if just_run:
        settled_at = settle(*(plan.replaces for plan in just_run))
        _each(_tell_run, just_run, now=settled_at)


def _each(act: Callable[..., None], plans: Iterable[RotationPlan], *, now: datetime) -> None:
    for plan in list(plans):
        try:
            act(plan, now=now)
        except Exception:  # noqa: BLE001 -- a mistake in one must not hold up the others; the next waking tries again
            _log.exception("plan_failed", plan=str(plan.id), step=act.__name__)


def _drop_if_unwanted(seen: RotationPlan, *, now: datetime) -> None:
    with outermost():
        plan = _held(seen)
        end = _unwanted(plan) if plan is not None else None
        if plan is not None and end is not None:
            _drop(plan, end, now=now)


def _tell_soon(seen: RotationPlan, *, now: datetime) -> None:
    with outermost():
        plan = _held(seen)
        if plan is None or plan.told_soon_at is not None:
            return
        plan.told_soon_at = now
        plan.save(update_fields=["told_soon_at"])
        # Who was told of the plan just now knows, and nothing is announced after its time.
        if plan.planned_for - plan.planned_at < 2 * SOON or plan.planned_for <= now:
            return
        people = plan.replaces.people_concerned()
        _tell(Notice.Kind.ROTATION_SOON, plan, people=people, now=now)
        key_ends.owe(SOON_MAIL, plan, people=people, now=now)


def _run(seen: RotationPlan, *, now: datetime) -> None:
    with outermost():
        plan = _held(seen)
        if plan is None or plan.planned_for > now:
            return
        end = _unwanted(plan)
        if end is None and plan.account.state != Account.State.OPEN:
            end = RotationPlan.End.NOT_OPEN
        if end is None:
            _rotate(plan, now=now)
        else:
            _drop(plan, end, now=now)


def _rotate(plan: RotationPlan, *, now: datetime) -> None:
    account, old, by = plan.account, plan.replaces, plan.planned_by
    old.deactivate(at=now, by=by, end=ApiKey.End.ROTATED)
    key = plan.key(at=now)
    plan.finish(RotationPlan.End.RUN, at=now, by=None, told=False)
    key.save(force_insert=True)
    details: dict[str, Any] = {"replaced": old.last4, "planned_for": plan.planned_for.isoformat()}
    journal.record(Action.API_KEY_ROTATED, of=account, by=by, target=key, at=now, **details)
    key_ends.close(old, people=set(), by=by, now=now)
    notices.is_over(account=account, about=str(plan.id), now=now)
    revisions.take(account=account, now=now)


def _tell_run(seen: RotationPlan, *, now: datetime) -> None:
    """Tell everybody concerned that a plan has run: only now does no gate accept the old key any more."""
    with outermost():
        seen.account.lock()
        plan = RotationPlan.objects.select_related("account", "replaces__created_by", "planned_by__user").get(
            pk=seen.pk
        )
        if plan.told_end_at is not None:
            return
        plan.told_end_at = now
        plan.save(update_fields=["told_end_at"])
        people = plan.replaces.people_concerned()
        _tell(Notice.Kind.ROTATION_RUN, plan, people=people, now=now)
        key_ends.owe(RUN_MAIL, plan, people=people, now=now)


def _drop(plan: RotationPlan, end: RotationPlan.End, *, now: datetime) -> None:
    dropped, reason = Action.ROTATION_PLAN_DROPPED, str(end.label)
    journal.record(dropped, of=plan.account, by=PORTAL, target=plan, at=now, reason=reason)
    key_ends.call_off(plan, end, people=plan.replaces.people_concerned(), by=None, now=now)
    revisions.take(account=plan.account, now=now)


def _held(seen: RotationPlan) -> RotationPlan | None:
    """The plan as it is with its account locked; None if it has ended."""
    seen.account.lock()
    named = ("account", "replaces__account", "replaces__created_by", "planned_by__user")
    return RotationPlan.objects.open().select_related(*named).filter(pk=seen.pk).first()


def _who_may() -> QuerySet[Member]:
    roles = [role for role in Role if Permission.MANAGE_API_KEY in GRANTS[role]]
    return Member.objects.active().filter(role__in=roles)


def _unwanted(plan: RotationPlan) -> RotationPlan.End | None:
    """Why nobody would plan it today."""
    by = plan.planned_by
    if not (by.is_active and by.may(Permission.MANAGE_API_KEY)):
        return RotationPlan.End.PLANNER_GONE
    end = _end_of_calls(plan.account)
    return RotationPlan.End.SUNSET if end is not None and plan.planned_for >= end else None


def _tell(kind: Notice.Kind, plan: RotationPlan, *, people: set[int], now: datetime) -> None:
    notices.tell(
        people,
        kind=kind,
        event=str(plan.id),
        about="" if kind == Notice.Kind.ROTATION_RUN else str(plan.id),
        account=plan.account,
        now=now,
        who=plan.planned_by.actor.name,
        when=plan.planned_for.isoformat(),
        last4=plan.last4,
    )


def _open(account: Account, plan_id: UUID | None = None) -> RotationPlan:
    plan = account.rotation_plans.open().select_related("account", "replaces__created_by", "planned_by__user").first()
    if plan is None or plan_id not in {None, plan.id}:
        raise NoPlanError(_("This plan is over: it has run, or was called off."))
    return plan


def _end_of_calls(account: Account) -> datetime | None:
    sunset = Sunset.objects.that_ends_the_key_of(account)
    return sunset.authentication_ends_at if sunset is not None else None


def _require_before_its_end(account: Account, planned_for: datetime) -> None:
    end = _end_of_calls(account)
    if end is not None and planned_for >= end:
        when = formats.date_format(timezone.localtime(end), "LONG_DATETIME_FORMAT")
        raise BadTimeError(_("API keys are refused from %(when)s on. Choose a time before that.") % {"when": when})


def _require_none(account: Account) -> None:
    plan = account.rotation_plans.open().select_related("planned_by__user").first()
    if plan is not None:
        when = formats.date_format(timezone.localtime(plan.planned_for), "WEEKDAY_DATETIME_FORMAT")
        raise PlanExistsError(
            _("%(who)s (%(email)s) has planned a rotation for %(when)s already.")
            % {"who": plan.planned_by, "email": plan.planned_by.user.email, "when": when}
        )
