"""Which apps accounts can connect. Operators register, change and withdraw them; the entries belong to no account."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import revisions
from accounts.actors import By, require_operator
from accounts.models import Account
from apikeys.models import ConnectedApp
from apikeys.operations import connections
from auditlog import journal
from auditlog.actions import Action


class WithdrawnError(Exception):
    """The app was withdrawn; the text says so."""


class BusyError(Exception):
    """An account connected the app between two locks; the text asks to try again."""


@transaction.atomic
def register(*, name: str, redirect_uris: Sequence[str], scopes: Sequence[str], by: By, now: datetime) -> ConnectedApp:
    """Let accounts connect an app, once it has asked with its client id.

    :raises django.core.exceptions.ValidationError: for a field that is not valid, or a name that is taken.
    """
    require_operator(by)
    app = ConnectedApp(name=name, redirect_uris=list(redirect_uris), scopes=list(scopes), registered_at=now)
    _save(app)
    journal.record(Action.CONNECTED_APP_REGISTERED, of=None, by=by, target=app, at=now, **_facts(app))
    return app


@transaction.atomic
def change(
    *, app: ConnectedApp, name: str, redirect_uris: Sequence[str], scopes: Sequence[str], by: By, now: datetime
) -> ConnectedApp:
    """Change what is registered of an app; its client id stays.

    :raises WithdrawnError: if it was withdrawn.
    :raises django.core.exceptions.ValidationError: for a field that is not valid, or a name that is taken.
    """
    require_operator(by)
    current = _alone_with(app)
    before = _facts(current)
    current.name, current.redirect_uris, current.scopes = name, list(redirect_uris), list(scopes)
    current.clean()
    if _facts(current) != before:
        _save(current)
        after = _facts(current)
        changed = Action.CONNECTED_APP_CHANGED
        journal.record(changed, of=None, by=by, target=current, at=now, before=before, after=after)
    return current


def withdraw(*, app: ConnectedApp, reason: str, by: By, now: datetime) -> int:
    """Let nobody connect an app any more, for good, and end its place in every account; then settle (G1).

    :return: how many accounts had connected it.
    :raises WithdrawnError: if it was withdrawn already.
    """
    with transaction.atomic(durable=True):  # the wait below counts from a commit
        locked = _lock_accounts_of(app)
        require_operator(by)
        current = _alone_with(app)
        if set(_accounts_of(current)) - locked:
            raise BusyError(_("Somebody connected %(app)s just now. Try again.") % {"app": current})
        ended = connections.end_all(app=current, reason=reason, by=by, now=now)
        current.withdraw(at=now)
        journal.record(Action.CONNECTED_APP_WITHDRAWN, of=None, by=by, target=current, at=now, reason=reason)
    if ended:
        revisions.settle()
    return ended


def _save(app: ConnectedApp) -> None:
    """:raises django.core.exceptions.ValidationError: also for a name that somebody else took a moment ago."""
    app.full_clean()
    try:
        with transaction.atomic():
            app.save()
    except IntegrityError:
        app.validate_constraints()
        raise


def _alone_with(app: ConnectedApp) -> ConnectedApp:
    """The app as it is now, its row held until commit.

    :raises WithdrawnError: if it was withdrawn.
    """
    current = ConnectedApp.objects.select_for_update().get(pk=app.pk)
    if not current.is_active:
        raise WithdrawnError(_("%(app)s was withdrawn.") % {"app": current})
    return current


def _lock_accounts_of(app: ConnectedApp) -> set[Account]:
    """Before the app: whoever connects it locks in that order, too."""
    accounts = _accounts_of(app)
    for account in accounts:
        account.lock()
    return set(accounts)


def _accounts_of(app: ConnectedApp) -> list[Account]:
    """Those that have it connected, in the order that everybody locks them in."""
    its = Account.objects.filter(connections__app=app, connections__disconnected_at__isnull=True)
    return list(its.order_by("pk"))


def _facts(app: ConnectedApp) -> dict[str, Any]:
    return {"name": app.name, "redirect_uris": list(app.redirect_uris), "scopes": list(app.scopes)}
