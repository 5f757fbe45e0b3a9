"""What the pages of the account API key show, gathered for their templates."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings

from accounts import access_requests
from accounts.models import AccessRequest, Member
from accounts.permissions import Permission
from apikeys.gate import direct
from apikeys.models import ApiKey, Sunset
from apikeys.models.api_key import ROTATE_AFTER
from apikeys.operations import api_keys
from apikeys.views import first_steps
from auditlog import usage
from auditlog.actions import Category
from auditlog.models import AuditEntry, LastUse

ENTRIES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that an ended key opens nothing."""

    refused_now: bool  # the gates' rules, applied to what the store holds while the page is made
    settled_at: datetime  # no gate may have accepted a call that began later
    while_settling: usage.Tally
    since: usage.Tally


def of_key(member: Member, *, now: datetime) -> dict[str, Any]:
    keys = member.account.api_keys.select_related("created_by__user", "deactivated_by__user").order_by("-generation")[
        :2
    ]
    newest = keys[0] if keys else None
    key = newest if newest is not None and newest.is_active else None
    ended = next((one for one in keys if not one.is_active), None)
    manages = member.may(Permission.MANAGE_API_KEY)
    creation_ended = key is None and Sunset.objects.creation_has_ended_for(member.account)
    return {
        "member": member,
        "key": key,
        "ended": ended,
        "now": now,
        "age": _age(key, now=now) if key else None,
        "last_use": LastUse.objects.filter(credential_id=key.id).first() if key else None,
        "super_admins": [] if manages else member.account.super_admins(),
        "asked": None if manages else access_requests.asked_lately(member, now=now),
        "requests": _requests(member) if manages else [],
        "creation_ended": creation_ended,
        "first_steps": first_steps.of(member, has_had_a_key=newest is not None, gets_a_key=not creation_ended),
        "entries": _entries(member) if member.may(Permission.SEE_AUDIT_LOG) else [],
        "mask": mask(),
    }


def before_the_end(member: Member, key: ApiKey, *, form: forms.Form, now: datetime) -> dict[str, Any]:
    """Who will break when the key is rotated or deactivated, and what will not."""
    connected = member.account.connections.active().select_related("app").order_by("app__name")
    return {
        "member": member,
        "key": key,
        "form": form,
        "callers": usage.callers(key.id, account_id=member.account_id, now=now),
        "connected": connected,
        "plan": member.account.rotation_plans.open().select_related("planned_by__user").first(),
        "now": now,
    }


def after_the_end(member: Member, key: ApiKey, *, now: datetime) -> dict[str, Any]:
    ended_at = _ended_at(key)
    active = member.account.api_keys.active().first()
    presenting = usage.still_presenting(
        key.id,
        since=ended_at,
        successor_id=active.id if active else None,
        account_id=member.account_id,
        now=now,
    )
    return {
        "member": member,
        "key": key,
        "active": active,
        "mask": mask(),
        "callers": presenting,
        "proof": _prove(key, now=now),
        "now": now,
    }


def _requests(member: Member) -> list[AccessRequest]:
    """Who asks the account's super admins for access, the oldest first."""
    theirs = AccessRequest.objects.open().filter(member__account=member.account)
    return list(theirs.select_related("member__user").order_by("asked_at"))


def mask() -> str:
    """What stands before the last four characters of a secret that is not shown."""
    return f"{settings.SECRET_PREFIX}_" + "•" * 12


def _age(key: ApiKey, *, now: datetime) -> dict[str, Any]:
    return {
        "days": key.age(now=now).days,
        "of_days": ROTATE_AFTER.days,
        "freshness": key.freshness(now=now),
        "days_left": max(0, (key.rotate_by - now).days),
    }


def _entries(member: Member) -> list[AuditEntry]:
    about_the_key = AuditEntry.objects.filter(account_id=member.account_id, category=Category.API_KEY)
    return list(about_the_key.order_by("-at", "-id")[:ENTRIES_SHOWN])


def _ended_at(key: ApiKey) -> datetime:
    if key.deactivated_at is None:
        raise ValueError("This key is active.")
    return key.deactivated_at


def _prove(key: ApiKey, *, now: datetime) -> Proof:
    settled_at = key.settled_at or api_keys.settle(key)
    since = usage.tally(key.id, account_id=key.account_id, since=settled_at, now=now)
    since_the_end = usage.tally(key.id, account_id=key.account_id, since=_ended_at(key), now=now)
    return Proof(
        refused_now=direct.is_refused(key),
        settled_at=settled_at,
        while_settling=usage.Tally(since_the_end.accepted - since.accepted, since_the_end.refused - since.refused),
        since=since,
    )
