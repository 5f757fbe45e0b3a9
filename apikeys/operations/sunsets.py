"""Announce an end of API keys, change what was announced, withdraw it. Operators do; every account concerned reads it.

A date comes into force by itself, judged by each decision. What an operator brings forward counts for every call that
begins after the operation has returned (G1): like whatever revokes, each takes a revision and then waits.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import revisions
from accounts.actors import By, require_operator
from accounts.models import AccountGroup
from apikeys.models import ApiKey, Sunset
from apikeys.models.sunset import Brownout
from auditlog import journal
from auditlog.actions import Action

AT_ONCE = timedelta(hours=1)  # so far back a date means "now"; one before that is a slip that would stop everybody


class SunsetError(Exception):
    """Nothing was changed; the text says why."""


def announce(
    *,
    group: AccountGroup | None,
    creation: datetime | None,
    authentication: datetime | None,
    brownouts: Sequence[Brownout] = (),
    by: By,
    now: datetime,
) -> Sunset:
    """Announce an end for a group of accounts, or for all (None); then settle.

    :param creation: from when on accounts without a key get none; `authentication`: from when on no key is accepted.
    :raises SunsetError: if one is in force for them.
    :raises django.core.exceptions.ValidationError: by field, for what contradicts itself or lies in the past.
    """
    sunset = Sunset(group=group, announced_at=now, changed_at=now)
    sunset.say(creation=creation, authentication=authentication, brownouts=brownouts)
    _refuse_slips(sunset, known={}, now=now)
    try:
        with transaction.atomic(durable=True):
            require_operator(by)
            sunset.save(force_insert=True)
            _write_down(Action.SUNSET_ANNOUNCED, sunset, by=by, now=now, **sunset.facts)
            revisions.take(account=None, now=now)
    except IntegrityError as taken:
        if not Sunset.objects.in_force().filter(group=group).exists():
            raise
        why = _("An end is announced for %(them)s already. Change or withdraw that one.")
        raise SunsetError(why % {"them": group or _("all accounts")}) from taken
    revisions.settle()
    return sunset


def change(
    *,
    sunset: Sunset,
    creation: datetime | None,
    authentication: datetime | None,
    brownouts: Sequence[Brownout] = (),
    by: By,
    now: datetime,
) -> Sunset:
    """Announce other dates in place of those that are, then settle. Everybody concerned is told anew.

    :raises SunsetError: if it was withdrawn.
    :raises django.core.exceptions.ValidationError: as `announce`.
    """
    with transaction.atomic(durable=True):
        require_operator(by)
        current = _alone_with(sunset)
        before, known = current.facts, current.dates
        current.say(creation=creation, authentication=authentication, brownouts=brownouts)
        if current.facts == before:
            return current
        _refuse_slips(current, known=known, now=now)
        current.edition, current.changed_at = current.edition + 1, now
        current.save()
        _write_down(Action.SUNSET_CHANGED, current, by=by, now=now, before=before, after=current.facts)
        revisions.take(account=None, now=now)
    revisions.settle()
    return current


def withdraw(*, sunset: Sunset, reason: str, by: By, now: datetime) -> None:
    """Take an announcement back, then settle: keys count again as if it had never been.

    :raises SunsetError: if it was withdrawn already.
    """
    with transaction.atomic(durable=True):
        require_operator(by)
        current = _alone_with(sunset)
        current.withdrawn_at = now
        current.save(update_fields=["withdrawn_at"])
        _write_down(Action.SUNSET_WITHDRAWN, current, by=by, now=now, reason=reason)
        revisions.take(account=None, now=now)
    revisions.settle()


def _alone_with(sunset: Sunset) -> Sunset:
    """As it is now, its row held until commit.

    :raises SunsetError: if it was withdrawn.
    """
    current = Sunset.objects.select_for_update(of=("self",)).select_related("group").get(pk=sunset.pk)
    if not current.is_in_force:
        raise SunsetError(_("This announcement was withdrawn."))
    return current


def _refuse_slips(sunset: Sunset, *, known: Mapping[str, Collection[datetime]], now: datetime) -> None:
    for field, dates in sunset.dates.items():
        if any(at < now - AT_ONCE for at in set(dates).difference(known.get(field, ()))):
            raise ValidationError({field: _("This lies in the past. For an end at once, name the present moment.")})


def _write_down(action: Action, sunset: Sunset, *, by: By, now: datetime, reason: str = "", **details: Any) -> None:
    """An entry of the announcement, and one in the log of each account that it takes a key from."""
    said: dict[str, Any] = {"by": by, "at": now, "target": sunset, "reason": reason, **details}
    journal.record(action, of=None, **said)
    keys = ApiKey.objects.active().filter(account__in=sunset.accounts()).order_by("account_id")
    journal.record_for_each(keys.values_list("account_id", flat=True).iterator(), action, **said)
