"""What the pages of a planned rotation show, gathered for their templates."""

from datetime import datetime, timedelta
from typing import Any

from django import forms

from accounts.models import Member
from apikeys.models import ApiKey, RotationPlan
from apikeys.operations import handovers
from apikeys.views import key_pages
from auditlog import usage

FAILED_PLAN_SHOWN_FOR = timedelta(days=7)


def open_plan(member: Member) -> RotationPlan | None:
    return member.account.rotation_plans.open().select_related("replaces", "planned_by__user").first()


def of_plan(member: Member, plan: RotationPlan, *, now: datetime) -> dict[str, Any]:
    return {
        "member": member,
        "plan": plan,
        "key": plan.replaces,
        "callers": usage.callers(plan.replaces_id, account_id=member.account_id, now=now),
        "early": usage.callers(plan.id, account_id=member.account_id, now=now),
        "late": plan.planned_for <= now,
        "mask": key_pages.mask(),
        "now": now,
    }


def before_planning(member: Member, key: ApiKey, *, form: forms.Form, now: datetime) -> dict[str, Any]:
    return key_pages.before_the_end(member, key, form=form, now=now) | {"failed_plan": failed_plan(key, now=now)}


def around_the_key(member: Member, key: ApiKey, *, now: datetime) -> dict[str, Any]:
    """What the key's own page says of its next rotation."""
    asleep = key.snoozes.in_force(now=now).select_related("snoozed_by__user").first()
    return {
        "plan": open_plan(member),
        "failed_plan": failed_plan(key, now=now),
        "snooze": asleep,
        "handover": handovers.of(key),
    }


def failed_plan(key: ApiKey, *, now: datetime) -> RotationPlan | None:
    """The newest plan for this key, where it did not run although nobody had cancelled it, lately."""
    newest = (
        RotationPlan.objects.filter(replaces=key).select_related("planned_by__user").order_by("-planned_at").first()
    )
    if newest is None or newest.ended_at is None or not RotationPlan.End(newest.end).is_nobodys_act:
        return None
    return newest if newest.ended_at > now - FAILED_PLAN_SHOWN_FOR else None
