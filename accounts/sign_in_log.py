"""What people do about their second factors, heard from allauth and written into the audit log.

Receivers run where the row changes, inside the transaction that `whole` puts around allauth's pages: change and entry,
or neither.
"""

from collections.abc import Callable
from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.core import context
from allauth.mfa import signals
from allauth.mfa.models import Authenticator
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from accounts import operations
from accounts.models import User
from auditlog.actions import Action, Outcome

CODES = Authenticator.Type.RECOVERY_CODES


def whole(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page of second factors: one transaction, and kept by no cache."""
    return never_cache(transaction.atomic(view))


def connect() -> None:
    post_save.connect(_saved, sender=Authenticator)
    post_delete.connect(_deleted, sender=Authenticator)
    signals.authenticator_used.connect(_used)
    signals.authentication_failed.connect(_failed)


def _saved(*, instance: Authenticator, created: bool, **_others: Any) -> None:
    if not created:
        return
    action = Action.RECOVERY_CODES_GENERATED if instance.type == CODES else Action.SECOND_FACTOR_ADDED
    operations.note(action, user=instance.user, now=timezone.now(), kind=instance.type)
    if instance.type != CODES and context.request is not None:
        # Adding one shows it. Else the next page, with the recovery codes, would ask for it again.
        record_authentication(context.request, instance.user, "mfa", id=instance.pk, type=instance.type)


def _deleted(*, instance: Authenticator, **_others: Any) -> None:
    if context.request is None:
        return  # no page: an operation, which says by whom
    if instance.type != CODES:  # they go with the last second factor, or make room for new ones
        operations.note(Action.SECOND_FACTOR_REMOVED, user=instance.user, now=timezone.now(), kind=instance.type)


def _used(*, user: User, authenticator: Authenticator, **_others: Any) -> None:
    if authenticator.type == CODES:
        left = len(Authenticator.objects.get(pk=authenticator.pk).wrap().get_unused_codes())
        operations.note(Action.RECOVERY_CODE_USED, user=user, now=timezone.now(), left=left)


def _failed(*, request: HttpRequest, user: User, **_others: Any) -> None:  # noqa: ARG001 -- the signal's
    reason = _("Wrong code.")
    operations.note(Action.SIGN_IN_FAILED, user=user, now=timezone.now(), outcome=Outcome.REFUSED, reason=reason)
