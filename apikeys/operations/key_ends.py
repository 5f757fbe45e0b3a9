"""What is over once a key has ended: what was told about it, and the rotation that was planned for it."""

from datetime import datetime

from accounts import notices, outbox, role_mailboxes
from accounts.actors import By, as_member
from accounts.models import Notice, User
from apikeys.models import ApiKey, RotationPlan

PLAN_ENDED_MAIL = "apikeys.plan_ended"

_NOTICES = {
    RotationPlan.End.CANCELLED: Notice.Kind.PLAN_CANCELLED,
    RotationPlan.End.ROTATED: Notice.Kind.PLAN_OVERTAKEN,
    RotationPlan.End.DEACTIVATED: Notice.Kind.PLAN_OVERTAKEN,
    RotationPlan.End.PLANNER_GONE: Notice.Kind.PLAN_DROPPED,
    RotationPlan.End.NOT_OPEN: Notice.Kind.PLAN_DROPPED,
    RotationPlan.End.SUNSET: Notice.Kind.PLAN_DROPPED,
}


def close(key: ApiKey, *, people: set[int], by: By, now: datetime) -> None:
    """Nobody need read any more of a key that has just ended; its open plan is off.

    :param people: users to tell if there was one.
    """
    notices.is_over(account=key.account, about=str(key.id), now=now)
    plan = key.account.rotation_plans.open().first()
    if plan is not None:
        call_off(plan, RotationPlan.End(key.end), people=people, by=by, now=now)


def call_off(plan: RotationPlan, end: RotationPlan.End, *, people: set[int], by: By | None, now: datetime) -> None:
    """End a plan that has not run, destroy what it prepared, and tell these users; with the account locked.

    :param by: whose act that was; None: nobody's.
    """
    plan.finish(end, at=now, by=as_member(by) if by else None, told=True)
    notices.is_over(account=plan.account, about=str(plan.id), now=now)
    notices.tell(
        people - {by.actor.user_id if by else None},
        kind=_NOTICES[end],
        event=str(plan.id),
        account=plan.account,
        now=now,
        who=by.actor.name if by else "",
        when=plan.planned_for.isoformat(),
        last4=plan.last4,
    )
    owe(PLAN_ENDED_MAIL, plan, people=people, now=now)


def owe(kind: str, plan: RotationPlan, *, people: set[int], now: datetime) -> None:
    """Owe a mail of this kind about a plan to each of these users and, as reminders go there, to the role mailbox."""
    addresses = set()
    for user in User.objects.filter(pk__in=people, is_active=True):
        outbox.add(kind, about=f"{plan.id}:{user.pk}", to=user.email, now=now)
        addresses.add(user.email)
    mailbox = role_mailboxes.confirmed(plan.account)
    if mailbox is not None and mailbox not in addresses:
        outbox.add(kind, about=f"{plan.id}:{outbox.MAILBOX}", to=mailbox, now=now)
