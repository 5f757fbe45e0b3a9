"""Notices in the portal: what concerns a person, told once, in the transaction of what it tells."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.db import connection
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Notice, User

SENTENCES: dict[str, Promise] = {
    Notice.Kind.KEY_OLD: _("The API key (…%(last4)s) has not been rotated for %(days)s days. Rotate it."),
    Notice.Kind.KEY_CREATED: _("%(who)s created an API key (…%(last4)s)."),
    Notice.Kind.KEY_ROTATED: _("%(who)s rotated the API key. The new one ends in %(last4)s."),
    Notice.Kind.KEY_DEACTIVATED: _("%(who)s deactivated the API key (…%(last4)s)."),
    Notice.Kind.APP_CONNECTED: _("%(who)s connected the app %(app)s."),
    Notice.Kind.APP_SCOPES_CHANGED: _("%(who)s changed what the connected app %(app)s may do."),
    Notice.Kind.APP_DISCONNECTED: _("%(who)s disconnected the app %(app)s."),
    Notice.Kind.ROTATION_PLANNED: _("%(who)s planned to rotate the API key on %(when)s. Get ready."),
    Notice.Kind.ROTATION_SOON: _("The API key will be rotated on %(when)s, as %(who)s planned. Be ready by then."),
    Notice.Kind.ROTATION_RUN: _("The API key is rotated, as %(who)s planned. The new one ends in %(last4)s."),
    Notice.Kind.PLAN_CANCELLED: _("%(who)s cancelled the rotation planned for %(when)s. The key stays as it is."),
    Notice.Kind.PLAN_OVERTAKEN: _(
        "The rotation planned for %(when)s is off: %(who)s was first. The prepared key (…%(last4)s) never counts."
    ),
    Notice.Kind.PLAN_DROPPED: _(
        "The rotation planned for %(when)s does not run. The prepared key (…%(last4)s) never counts: see why."
    ),
    Notice.Kind.REMINDER_SNOOZED: _("%(who)s snoozed the reminder to rotate the API key until %(when)s: %(reason)s"),
    Notice.Kind.HANDED_OVER: _("%(who)s handed the rotation of the API key over to you."),
    Notice.Kind.INVITED: _("%(who)s invites you to %(account_name)s. Look at the invitation."),
    Notice.Kind.MAIL_BOUNCED: _("Mails to %(email)s do not arrive."),
    Notice.Kind.ACCESS_REQUESTED: _("%(who)s asks for access to the API key."),
}
PAGES: dict[str, str] = {Notice.Kind.MAIL_BOUNCED: "accounts:members"}  # others: the key’s
OF_APPS = frozenset({Notice.Kind.APP_CONNECTED, Notice.Kind.APP_SCOPES_CHANGED, Notice.Kind.APP_DISCONNECTED})


def tell(
    people: Iterable[int],
    *,
    kind: Notice.Kind,
    event: str,
    account: Account,
    now: datetime,
    about: str = "",
    **facts: str | int,
) -> None:
    """Tell people of an event; those who were told of it before are not told again. Parameters: see `of`.

    :raises RuntimeError: outside a transaction.
    """
    tell_all(of(people, kind=kind, event=event, account=account, now=now, about=about, **facts))


def of(
    people: Iterable[int],
    *,
    kind: Notice.Kind,
    event: str,
    account: Account,
    now: datetime,
    about: str = "",
    **facts: str | int,
) -> list[Notice]:
    """A notice of an event for each of these people, for `tell_all`.

    :param people: ids of users.
    :param event: names the event among those of its kind, such as a key's id.
    :param about: what `is_over` will name, if anything will.
    """
    same = {"account": account, "kind": kind, "event": _event(kind, event), "about": about, "facts": facts, "at": now}
    return [Notice(user_id=one, **same) for one in people]


def tell_all(told: list[Notice]) -> None:
    """`tell` of many events at once.

    :raises RuntimeError: outside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("A notice must share the transaction of what it tells.")
    Notice.objects.bulk_create(told, ignore_conflicts=True)


def told(*, kind: Notice.Kind, event: str) -> set[int]:
    """The users who have been told of this event."""
    return set(Notice.objects.filter(event=_event(kind, event)).values_list("user_id", flat=True))


def told_of(*, kind: Notice.Kind, events: Collection[str]) -> dict[str, set[int]]:
    """`told` of many events at once."""
    found: dict[str, set[int]] = {event: set() for event in events}
    rows = Notice.objects.filter(event__in=[_event(kind, event) for event in events])
    for event, user_id in rows.values_list("event", "user_id"):
        found[event.removeprefix(f"{kind}:")].add(user_id)
    return found


def is_over(*, account: Account, about: str, now: datetime, kind: Notice.Kind | None = None) -> None:
    """Nobody need read any more what was told about this; of one kind, if one is named."""
    over = Notice.objects.unread().filter(account=account, about=about)
    (over if kind is None else over.filter(kind=kind)).update(read_at=now)


def mark_read(*, user: User, now: datetime, notice_id: int | None = None) -> None:
    """Note that the person has read one notice, or all. Whose it is not, changes nothing."""
    unread = Notice.objects.unread().filter(user=user)
    (unread if notice_id is None else unread.filter(pk=notice_id)).update(read_at=now)


def _event(kind: Notice.Kind, event: str) -> str:
    return f"{kind}:{event}"


def sentence(notice: Notice) -> str:
    words: str = str(SENTENCES[notice.kind]) % (notice.facts | _when(notice.facts))
    return words


def _when(facts: dict[str, Any]) -> dict[str, str]:
    """A fact of this name is an instant in ISO 8601; the reader's language and zone write it."""
    if "when" not in facts:
        return {}
    at = timezone.localtime(datetime.fromisoformat(facts["when"]))
    return {"when": formats.date_format(at, "LONG_DATETIME_FORMAT")}


def page_of(notice: Notice) -> str:
    """The address of the page where something can be done about it."""
    page = "apikeys:connected-apps" if notice.kind in OF_APPS else PAGES.get(notice.kind, "apikeys:api-key")
    anchor = "#requests" if notice.kind == Notice.Kind.ACCESS_REQUESTED else ""
    return reverse(page, args=[notice.account.slug]) + anchor
