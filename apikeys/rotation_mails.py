"""What mails about planned and handed-over rotations say. Each is written when its turn comes, from what is then so."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import formats, timezone
from django.utils.translation import gettext as _

from accounts import letters, names, outbox, role_mailboxes
from accounts.models import Account, OutgoingMail
from accounts.permissions import Permission
from apikeys import key_letters
from apikeys.models import Handover, RotationPlan
from apikeys.operations import handovers, key_ends, rotation_plans, word_of_changes
from auditlog import usage
from auditlog.models import AuditEntry
from auditlog.words import browser


@outbox.composes(rotation_plans.PLANNED_MAIL)
def rotation_planned(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
    """That a rotation is planned, and how to get ready; nobody needs it once the plan has ended."""
    return _before(
        mail, _("%(account)s: get ready, the API key will be rotated on %(when)s"), "rotation_planned", now=now
    )


@outbox.composes(rotation_plans.SOON_MAIL)
def rotation_soon(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
    """The same the day before."""
    return _before(mail, _("%(account)s: be ready, the API key will be rotated on %(when)s"), "rotation_soon", now=now)


def _before(mail: OutgoingMail, subject: str, template: str, *, now: datetime) -> letters.Letter | None:
    plan, reader = _plan_and_reader(mail)
    if reader is None or plan.end:
        return None
    callers = usage.callers(plan.replaces_id, account_id=plan.account_id, now=now)
    context = _about(plan, reader) | {
        "callers": callers[: key_letters.CALLERS_NAMED],
        "more_callers": max(len(callers) - key_letters.CALLERS_NAMED, 0),
        "link": key_letters.link("api-key-plan" if reader.may_rotate else "api-key", plan.account),
    }
    with reader.zone():
        subject %= {"account": names.in_subject(plan.account), "when": _when(plan.planned_for)}
        return letters.write(
            subject=subject, template=template, context=context, thread=key_letters.thread(plan.account_id)
        )


@outbox.composes(rotation_plans.RUN_MAIL)
def rotation_run(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- a composer's signature
    """That a plan has run, and who may still have to change over."""
    plan, reader = _plan_and_reader(mail)
    if reader is None:
        return None
    link = key_letters.link("api-key-previous" if reader.sees_calls else "api-key", plan.account)
    subject = _("%(account)s: the API key is rotated, as planned") % {"account": names.in_subject(plan.account)}
    context = _about(plan, reader) | {"link": link}
    with reader.zone():
        return letters.write(
            subject=subject, template="rotation_run", context=context, thread=key_letters.thread(plan.account_id)
        )


@outbox.composes(key_ends.PLAN_ENDED_MAIL)
def plan_ended(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- a composer's signature
    """That a planned rotation does not happen, and why."""
    plan, reader = _plan_and_reader(mail)
    if reader is None:
        return None
    subject = _("%(account)s: the planned rotation of the API key is off") % {"account": names.in_subject(plan.account)}
    context = _about(plan, reader) | {"link": key_letters.link("api-key", plan.account)}
    with reader.zone():
        return letters.write(
            subject=subject, template="plan_ended", context=context, thread=key_letters.thread(plan.account_id)
        )


@outbox.composes(word_of_changes.PREPARED_MAIL)
def prepared_key_shown(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- likewise
    """That somebody showed a prepared key from elsewhere; not for who has left since."""
    entry_id, user_id = mail.about.split(":")
    entry = AuditEntry.objects.get(pk=entry_id)
    plan = RotationPlan.objects.select_related("account").get(pk=entry.target_id)
    account = plan.account
    if not account.members.active().filter(user_id=user_id).exists():
        return None
    link = key_letters.link("api-key-deactivate" if plan.end == RotationPlan.End.RUN else "api-key-plan", account)
    did_it = entry.actor_id == int(user_id)
    context = {"entry": entry, "plan": plan, "account": account, "did_it": did_it, "link": link}
    context |= {"browser": browser(entry.user_agent)}
    subject = _("%(account)s: the prepared API key was shown from a new place") % {"account": names.in_subject(account)}
    return letters.write(
        subject=subject, template="prepared_key_shown", context=context, thread=key_letters.thread(account.pk)
    )


@outbox.composes(handovers.MAIL)
def rotation_handed_over(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
    """That the rotation is left to the reader; nobody needs it once it was taken back or the key has ended."""
    named = ("key__account", "handed_by__user", "handed_to__user")
    handover = Handover.objects.open().select_related(*named).filter(pk=mail.about).first()
    if handover is None:
        return None
    account = handover.key.account
    subject = _("%(account)s: %(who)s leaves the rotation of the API key to you") % {
        "account": names.in_subject(account),
        "who": names.in_subject(handover.handed_by),
    }
    context = {
        "account": account,
        "key": handover.key,
        "handed_by": handover.handed_by,
        "days": handover.key.age(now=now).days,
        "link": key_letters.link("api-key", account),
    }
    return letters.write(
        subject=subject, template="rotation_handed_over", context=context, thread=key_letters.thread(account.pk)
    )


@dataclass(frozen=True, slots=True)
class Reader:
    """What a mail about a plan depends on in whom it goes to."""

    account: Account
    may_rotate: bool
    sees_calls: bool
    to_mailbox: bool = False

    def zone(self) -> AbstractContextManager[None]:
        """Who reads the mailbox most likely lives where the account does."""
        return timezone.override(self.account.zone) if self.to_mailbox else nullcontext()


def _plan_and_reader(mail: OutgoingMail) -> tuple[RotationPlan, Reader | None]:
    """The plan that the mail is about; whom it goes to, unless they have left or the mailbox is another by now."""
    plan_id, user_id = mail.about.split(":")
    plan = RotationPlan.objects.select_related("account", "replaces", "planned_by__user", "ended_by__user").get(
        pk=plan_id
    )
    account = plan.account
    if user_id == outbox.MAILBOX:
        named = role_mailboxes.confirmed(account) == mail.to
        return plan, Reader(account, may_rotate=True, sees_calls=True, to_mailbox=True) if named else None
    member = account.members.active().filter(user_id=user_id).first()
    if member is None:
        return plan, None
    may_rotate, sees_calls = member.may(Permission.MANAGE_API_KEY), member.may(Permission.SEE_CALLS)
    return plan, Reader(account, may_rotate=may_rotate, sees_calls=sees_calls)


def _about(plan: RotationPlan, reader: Reader) -> dict[str, Any]:
    return {
        "plan": plan,
        "account": plan.account,
        "old": plan.replaces,
        "may_rotate": reader.may_rotate,
        "to_mailbox": reader.to_mailbox,
        "super_admins": plan.account.super_admins(),
    }


def _when(at: datetime) -> str:
    return formats.date_format(timezone.localtime(at), "LONG_DATETIME_FORMAT")
