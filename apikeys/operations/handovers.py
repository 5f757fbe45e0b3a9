"""Leaving the rotation of the key to another super admin."""

from datetime import datetime

from django.utils.translation import gettext as _

from accounts import notices, outbox
from accounts.models import Account, Member, Notice
from apikeys.models import ApiKey, Handover
from apikeys.operations.attempts import RefusedError, active_key, current_key, lock, outermost, refusal_is_entry
from auditlog import journal
from auditlog.actions import Action

MAIL = "apikeys.rotation_handed_over"


class NotAnotherSuperAdminError(RefusedError):
    """Whom it was to go to may not rotate, or is who hands it over."""


class NotHandedOverError(RefusedError):
    """No handover is in force: it was taken back, or one of the two is no super admin any more."""


def hand_over(*, account: Account, generation: int | None, to: Member, by: Member, now: datetime) -> Handover:
    """Leave the rotation of this key to another super admin, who gets a mail and a notice; in place of who had it.

    :param generation: the key that `by` saw; None: whichever is active.
    :raises KeyNotCurrentError: if that generation is not the active one any more.
    :raises NotAnotherSuperAdminError: if the other is none, or is `by`.
    :raises MayNotError: if `by` may not any more.
    """
    with refusal_is_entry(Action.ROTATION_HANDED_OVER, of=account, by=by, at=now), outermost():
        lock(account, by)
        key = current_key(account, generation)
        heir = account.super_admins().exclude(pk=by.pk).filter(pk=to.pk).first()
        if heir is None:
            raise NotAnotherSuperAdminError(_("%(person)s is no other super admin of this account.") % {"person": to})
        for earlier in key.handovers.filter(ended_at__isnull=True):
            _end(earlier, by=by, now=now)
        handover = Handover.objects.create(key=key, handed_by=by, handed_to=heir, handed_at=now)
        to_whom = heir.user.email
        journal.record(Action.ROTATION_HANDED_OVER, of=account, by=by, target=key, at=now, to=to_whom)
        notices.tell(
            [heir.user_id],
            kind=Notice.Kind.HANDED_OVER,
            event=str(handover.pk),
            about=_about(handover),
            account=account,
            now=now,
            who=by.actor.name,
        )
        outbox.add(MAIL, about=handover.pk, to=heir.user.email, now=now)
    return handover


def end_handover(*, account: Account, by: Member, now: datetime) -> None:
    """Take the rotation back, or give it back: any super admin may.

    :raises NotHandedOverError: if it is in nobody's hands.
    :raises MayNotError: if `by` may not any more.
    """
    with refusal_is_entry(Action.ROTATION_HANDOVER_ENDED, of=account, by=by, at=now), outermost():
        lock(account, by)
        key = active_key(account)
        handover = key.handovers.open().first()
        if handover is None:
            raise NotHandedOverError(_("The rotation is not handed over any more."))
        _end(handover, by=by, now=now)
        journal.record(Action.ROTATION_HANDOVER_ENDED, of=account, by=by, target=key, at=now)


def close_void(*, now: datetime) -> None:
    """End for good what has lost one of its two people or its key; a second run finds none."""
    unended = Handover.objects.filter(ended_at__isnull=True)
    for seen in unended.exclude(pk__in=Handover.objects.open().values("pk")).select_related("key__account"):
        with outermost():
            seen.key.account.lock()
            void = unended.exclude(pk__in=Handover.objects.open().values("pk")).filter(pk=seen.pk)
            for handover in void.select_related("key__account"):
                _end(handover, by=None, now=now)


def of(key: ApiKey) -> Handover | None:
    """The handover in force."""
    found = key.handovers.open().select_related("handed_by__user", "handed_to__user")
    return found.first()


def _end(handover: Handover, *, by: Member | None, now: datetime) -> None:
    handover.finish(at=now, by=by)
    notices.is_over(account=handover.key.account, about=_about(handover), now=now)


def _about(handover: Handover) -> str:
    return f"handover:{handover.pk}"
