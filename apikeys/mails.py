"""What the mails about keys say. Each is written when its turn comes, from what is then so."""

from contextlib import nullcontext
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.text import get_text_list
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import letters, names, outbox, role_mailboxes, site
from accounts.models import Account, OutgoingMail
from accounts.permissions import Permission
from apikeys import key_letters
from apikeys.models import ApiKey, Connection, Sunset
from apikeys.models.api_key import ROTATE_AFTER
from apikeys.operations import connections, handovers, reminders, word_of_changes, word_of_sunset
from auditlog import usage
from auditlog.actions import Action
from auditlog.models import AuditEntry
from auditlog.words import browser

CHANGES: dict[str, Promise] = {
    Action.API_KEY_CREATED: _("%(account)s: an API key was created"),
    Action.API_KEY_VIEWED: _("%(account)s: the API key was shown from a new place"),
    Action.API_KEY_ROTATED: _("%(account)s: the API key was rotated"),
    Action.API_KEY_DEACTIVATED: _("%(account)s: the API key was deactivated"),
}
SHOWN_BY_OPERATORS = _("%(account)s: the people who run this portal showed the API key")
CONNECTIONS: dict[str, Promise] = {
    Action.CONNECTED_APP_CONNECTED: _("%(account)s: the app %(app)s was connected"),
    Action.CONNECTED_APP_SCOPES_CHANGED: _("%(account)s: the app %(app)s may do other things now"),
    Action.CONNECTED_APP_DISCONNECTED: _("%(account)s: the app %(app)s was disconnected"),
}


@outbox.composes(reminders.MAIL)
def rotation_due(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
    """The reminder to rotate; not for who has left, nor about a key that is gone or that opens nothing now."""
    key_id, turn, whom = mail.about.split(":")
    key = reminders.old(now=now).filter(pk=key_id).first()
    if key is None or reminders.turn(key, now=now) != turn:
        return None
    account = key.account
    reader = _mailbox(mail, account) if whom == outbox.MAILBOX else _member(int(whom), account)
    if reader is None:
        return None
    days = key.age(now=now).days
    subject = ngettext(
        "%(account)s: rotate the API key, it is %(days)s day old",
        "%(account)s: rotate the API key, it is %(days)s days old",
        days,
    ) % {"account": names.in_subject(account), "days": days}
    context = {"next_days": (reminders.cycle(key, now=now) + 1) * ROTATE_AFTER.days, **_about(key, now=now), **reader}
    # Who reads the mailbox most likely lives where the account does.
    with timezone.override(account.zone) if reader["to_mailbox"] else nullcontext():
        return letters.write(
            subject=subject, template="rotation_due", context=context, thread=key_letters.thread(key.account_id)
        )


def _about(key: ApiKey, *, now: datetime) -> dict[str, Any]:
    account = key.account
    callers = usage.callers(key.id, account_id=account.pk, now=now)
    return {
        "key": key,
        "account": account,
        "super_admins": account.super_admins(),
        "callers": callers[: key_letters.CALLERS_NAMED],
        "more_callers": max(len(callers) - key_letters.CALLERS_NAMED, 0),
        "handover": handovers.of(key),
        "link": key_letters.link("api-key", account),
        "plan_link": key_letters.link("api-key-plan", account),
        "hand_over_link": key_letters.link("api-key-hand-over", account),
        "snooze_link": key_letters.link("api-key-snooze", account),
    }


def _member(user_id: int, account: Account) -> dict[str, bool] | None:
    """What the reminder to a person depends on; None for who has left."""
    member = account.members.active().filter(user_id=user_id).first()
    return {"may_rotate": member.may(Permission.MANAGE_API_KEY), "to_mailbox": False} if member else None


def _mailbox(mail: OutgoingMail, account: Account) -> dict[str, bool] | None:
    """As `_member`, to the account's role mailbox; None where it is another one by now."""
    return {"may_rotate": True, "to_mailbox": True} if role_mailboxes.confirmed(account) == mail.to else None


@outbox.composes(word_of_changes.MAIL)
def key_changed(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- a composer's signature
    """What was done to a key, by whom, when and from where; not for who has left since."""
    entry_id, user_id = mail.about.split(":")
    entry = AuditEntry.objects.get(pk=entry_id)
    key = ApiKey.objects.select_related("account").get(pk=entry.target_id)
    account = key.account
    if not account.members.active().filter(user_id=user_id).exists():
        return None
    by_operators = entry.actor_kind == "operator"
    page = "apikeys:api-key" if entry.action == Action.API_KEY_DEACTIVATED else "apikeys:api-key-deactivate"
    context = {
        "entry": entry,
        "key": key,
        "account": account,
        "who": _("The people who run this portal") if by_operators else entry.actor_name,
        "by_operators": by_operators,
        "browser": browser(entry.user_agent),
        "did_it": entry.actor_id == int(user_id),
        "link": site.link_to(page, account.slug),
    }
    shown_by_operators = by_operators and entry.action == Action.API_KEY_VIEWED
    subject = str(SHOWN_BY_OPERATORS if shown_by_operators else CHANGES[entry.action])
    subject %= {"account": names.in_subject(account)}
    return letters.write(
        subject=subject, template="key_changed", context=context, thread=key_letters.thread(key.account_id)
    )


@outbox.composes(connections.MAIL)
def connection_changed(mail: OutgoingMail, now: datetime) -> letters.Letter | None:  # noqa: ARG001 -- a composer's signature
    """That an app was connected, changed or disconnected, by whom, when and from where; not for who has left since."""
    entry_id, user_id = mail.about.split(":")
    entry = AuditEntry.objects.get(pk=entry_id)
    connection = Connection.objects.select_related("account", "app").get(pk=entry.target_id)
    account = connection.account
    if not account.members.active().filter(user_id=user_id).exists():
        return None
    by_operators = entry.actor_kind == "operator"
    ended = entry.action == Action.CONNECTED_APP_DISCONNECTED
    its = [account.slug] if ended else [account.slug, connection.pk]
    page = "apikeys:connected-apps" if ended else "apikeys:connected-apps-disconnect"
    context = {
        "entry": entry,
        "connection": connection,
        "account": account,
        "scopes": [] if ended else entry.details["scopes"],
        "ended": ended,
        "who": _("The people who run this portal") if by_operators else entry.actor_name,
        "by_operators": by_operators,
        "browser": browser(entry.user_agent),
        "did_it": entry.actor_id == int(user_id),
        "link": site.link_to(page, *its),
    }
    subject = str(CONNECTIONS[entry.action])
    subject %= {"account": names.in_subject(account), "app": names.in_subject(connection.app)}
    thread = f"connection-{connection.account_id}-{connection.app_id}"
    return letters.write(subject=subject, template="connection_changed", context=context, thread=thread)


@outbox.composes(word_of_sunset.MAIL)
def key_ends(mail: OutgoingMail, now: datetime) -> letters.Letter | None:
    """That API keys end; not once a newer word of it is due, nor to who has left, nor where no key is left to end."""
    sunset_id, edition, days, account_id, whom = mail.about.split(":")
    key = ApiKey.objects.active().filter(account_id=account_id).select_related("account").first()
    if key is None or key.account.state != Account.State.OPEN:
        return None
    account = key.account
    counts = Sunset.objects.of(account).first()
    if counts is None or (counts.pk, counts.edition) != (int(sunset_id), int(edition)):
        return None
    if word_of_sunset.due(counts, now=now) != int(days):
        return None
    reader = _mailbox(mail, account) if whom == outbox.MAILBOX else _member(int(whom), account)
    if reader is None:
        return None
    days_left, to_come = counts.days_left(now=now), word_of_sunset.to_come(counts, now=now)
    subject = ngettext(
        "%(account)s: the API key stops working in %(days)s day; move what uses it",
        "%(account)s: the API key stops working in %(days)s days; move what uses it",
        days_left,
    ) % {"account": names.in_subject(account), "days": days_left}
    context = {
        "sunset": counts,
        "rehearsals": [one for one in counts.rehearsals if one.ends_at > now],
        "to_come": to_come,
        "days_to_come": get_text_list([str(days) for days in to_come], _("and")),
        "guide": site.link_to("migrate"),
        **_about(key, now=now),
        **reader,
    }
    with timezone.override(account.zone) if reader["to_mailbox"] else nullcontext():
        return letters.write(subject=subject, template="sunset", context=context, thread=f"sunset-{account.pk}")
