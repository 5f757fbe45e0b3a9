"""Letting the reminder to rotate wait, for up to 30 days, with a reason that the other super admins read."""

from datetime import datetime, timedelta

from django.utils import formats, timezone
from django.utils.translation import gettext as _

from accounts import notices
from accounts.models import Account, Member, Notice
from apikeys.models import ApiKey, Snooze
from apikeys.operations.attempts import RefusedError, active_key, current_key, lock, outermost, refusal_is_entry
from auditlog import journal
from auditlog.actions import Action

MOST_DAYS = 30


class SnoozedAlreadyError(RefusedError):
    """A snooze of this key's reminder is in force."""


class NotSnoozedError(RefusedError):
    """No snooze is in force: it is over, or the key has ended."""


class NothingToSnoozeError(RefusedError):
    """The key is so young that nobody is asked to rotate it."""


def snooze(*, account: Account, generation: int | None, days: int, reason: str, by: Member, now: datetime) -> Snooze:
    """Let the reminder wait for so many days, 1 to 30; it then comes once more.

    :param generation: the key that `by` saw; None: whichever is active.
    :raises KeyNotCurrentError: if that generation is not the active one any more.
    :raises NothingToSnoozeError: if it need not be rotated for a while.
    :raises SnoozedAlreadyError: if the reminder waits already.
    :raises MayNotError: if `by` may not any more.
    """
    if not 1 <= days <= MOST_DAYS:
        raise ValueError("A snooze lasts for 1 to 30 days.")
    with refusal_is_entry(Action.REMINDER_SNOOZED, of=account, by=by, at=now), outermost():
        lock(account, by)
        key = current_key(account, generation)
        if key.freshness(now=now) == ApiKey.Freshness.FRESH:
            raise NothingToSnoozeError(_("No reminder of this key is due for a while."))
        _require_none(key, now=now)
        until, number = now + timedelta(days=days), key.snoozes.count() + 1
        asleep = Snooze.objects.create(
            key=key, number=number, reason=reason, snoozed_at=now, snoozed_by=by, until=until
        )
        at = until.isoformat()
        journal.record(Action.REMINDER_SNOOZED, of=account, by=by, target=key, at=now, reason=reason, until=at)
        notices.is_over(account=account, about=str(key.id), kind=Notice.Kind.KEY_OLD, now=now)
        notices.tell(
            set(account.super_admins().values_list("user_id", flat=True)) - {by.user_id},
            kind=Notice.Kind.REMINDER_SNOOZED,
            event=f"{key.id}:{number}",
            about=str(key.id),
            account=account,
            now=now,
            who=by.actor.name,
            when=at,
            reason=reason,
        )
    return asleep


def end_snooze(*, account: Account, by: Member, now: datetime) -> None:
    """Let the reminder come again, whoever had it wait.

    :raises NotSnoozedError: if it does not wait.
    :raises MayNotError: if `by` may not any more.
    """
    with refusal_is_entry(Action.REMINDER_SNOOZE_ENDED, of=account, by=by, at=now), outermost():
        lock(account, by)
        key = active_key(account)
        asleep = key.snoozes.in_force(now=now).first()
        if asleep is None:
            raise NotSnoozedError(_("The reminder is not snoozed any more."))
        asleep.end_now(at=now, by=by)
        journal.record(Action.REMINDER_SNOOZE_ENDED, of=account, by=by, target=key, at=now)
        notices.is_over(account=account, about=str(key.id), kind=Notice.Kind.REMINDER_SNOOZED, now=now)


def _require_none(key: ApiKey, *, now: datetime) -> None:
    asleep = key.snoozes.in_force(now=now).select_related("snoozed_by__user").first()
    if asleep is not None:
        raise SnoozedAlreadyError(
            _("%(who)s (%(email)s) has snoozed the reminder until %(when)s already.")
            % {
                "who": asleep.snoozed_by,
                "email": asleep.snoozed_by.user.email,
                "when": formats.date_format(timezone.localtime(asleep.until), "LONG_DATETIME_FORMAT"),
            }
        )
