"""Connect an app to an account, and disconnect it: a decision of the account's super admins.

`connect` is what a consent page calls once somebody has read it and agreed. No page does so yet, and no token is issued
for a connection: both come with the OAuth endpoints. Disconnecting settles already, as whatever revokes does (G1).
"""

from collections.abc import Collection
from datetime import datetime

from django.utils.translation import gettext as _

from accounts import notices, outbox, revisions
from accounts.actors import By, as_member
from accounts.models import Account, Member, Notice, User
from accounts.permissions import Permission
from apikeys.models import ConnectedApp, Connection
from apikeys.operations.attempts import MayNotError, RefusedError, lock, outermost, refusal_is_entry
from auditlog import journal
from auditlog.actions import Action
from auditlog.models import AuditEntry

__all__ = [
    "MAIL",
    "AppWithdrawnError",
    "MayNotError",
    "NotConnectedError",
    "ScopesError",
    "connect",
    "disconnect",
    "end_all",
]

MAIL = "apikeys.connection_changed"  # about: entry:user


class AppWithdrawnError(RefusedError):
    """The operators have withdrawn the app."""


class ScopesError(RefusedError):
    """The app asks for no scope, or for one that it is not registered for."""


class NotConnectedError(RefusedError):
    """The connection has ended already."""


def connect(*, account: Account, app: ConnectedApp, scopes: Collection[str], by: Member, now: datetime) -> Connection:
    """Let an app into an account, for these scopes. If it is in already, the scopes become these; then this settles.

    Consenting once more to what is granted changes nothing and tells nobody.

    :raises AppWithdrawnError: if nobody can connect it any more.
    :raises ScopesError: for no scope, or one that the app may not ask for.
    :raises MayNotError: if `by` may not any more.
    """
    granted = sorted(set(scopes))
    with refusal_is_entry(Action.CONNECTED_APP_CONNECTED, of=account, target=app, by=by, at=now):
        with outermost():  # the wait below counts from a commit
            lock(account, by, to=Permission.MANAGE_CONNECTED_APPS)
            current = ConnectedApp.objects.select_for_update().get(pk=app.pk)
            _require_grantable(current, granted)
            there = account.connections.active().select_related("account", "app").filter(app=current).first()
            if there is None:
                return _begin(Connection(account=account, app=current, scopes=granted), by=by, now=now)
            if there.scopes == granted:
                return there
            _change_scopes(there, granted, by=by, now=now)
        revisions.settle()
        return there


def disconnect(*, connection: Connection, by: By, now: datetime) -> None:
    """End an app's place in an account, then settle (about a second).

    :raises NotConnectedError: if it has ended already.
    :raises MayNotError: if `by` is a member who may not any more.
    """
    account = connection.account
    with refusal_is_entry(Action.CONNECTED_APP_DISCONNECTED, of=account, target=connection, by=by, at=now):
        with outermost():
            lock(account, by, to=Permission.MANAGE_CONNECTED_APPS)
            current = account.connections.active().select_related("account", "app").filter(pk=connection.pk).first()
            if current is None:
                raise NotConnectedError(_("%(app)s is not connected any more.") % {"app": connection})
            _end(current, by=by, now=now)
            revisions.take(account=account, now=now)
        revisions.settle()


def end_all(*, app: ConnectedApp, reason: str, by: By, now: datetime) -> int:
    """End the app's place in every account, in the caller's transaction; how many those were. The caller settles.

    The accounts are locked before the app, as `connect` does: so the caller has locked them.
    """
    ended = list(app.connections.active().select_related("account", "app").order_by("account_id"))
    for connection in ended:
        _end(connection, by=by, now=now, reason=reason)
    if ended:
        revisions.take(account=None, now=now)
    return len(ended)


def _begin(connection: Connection, *, by: Member, now: datetime) -> Connection:
    connection.connected_at, connection.connected_by = now, by
    connection.save(force_insert=True)
    entry = journal.record(Action.CONNECTED_APP_CONNECTED, of=connection.account, by=by, target=connection, at=now)
    _tell(Notice.Kind.APP_CONNECTED, entry, connection, by=by, now=now)
    return connection


def _change_scopes(connection: Connection, scopes: list[str], *, by: Member, now: datetime) -> None:
    before, connection.scopes = connection.scopes, scopes
    connection.save(update_fields=["scopes"])
    account, changed = connection.account, Action.CONNECTED_APP_SCOPES_CHANGED
    entry = journal.record(changed, of=account, by=by, target=connection, at=now, before=before, after=scopes)
    _tell(Notice.Kind.APP_SCOPES_CHANGED, entry, connection, by=by, now=now)
    revisions.take(account=account, now=now)


def _end(connection: Connection, *, by: By, now: datetime, reason: str = "") -> None:
    connection.disconnect(at=now, by=as_member(by))
    gone, account = Action.CONNECTED_APP_DISCONNECTED, connection.account
    entry = journal.record(gone, of=account, by=by, target=connection, at=now, reason=reason)
    _tell(Notice.Kind.APP_DISCONNECTED, entry, connection, by=by, now=now)


def _tell(kind: Notice.Kind, entry: AuditEntry, connection: Connection, *, by: By, now: datetime) -> None:
    """A mail to each super admin, so also to the one in whose name it was done; a notice to each of the others."""
    account = connection.account
    people = set(account.super_admins().values_list("user_id", flat=True))
    for user in User.objects.filter(pk__in=people, is_active=True):
        outbox.add(MAIL, about=f"{entry.pk}:{user.pk}", to=user.email, now=now)
    others = people - {by.actor.user_id}
    facts = {"who": by.actor.name, "app": connection.app.name}
    notices.tell(others, kind=kind, event=str(entry.pk), account=account, now=now, **facts)


def _require_grantable(app: ConnectedApp, scopes: list[str]) -> None:
    if not app.is_active:
        raise AppWithdrawnError(_("%(app)s was withdrawn.") % {"app": app})
    if not scopes or not set(scopes) <= set(app.scopes):
        raise ScopesError(_("%(app)s asks for something that it is not registered for.") % {"app": app})
