"""OAuth apps that accounts can connect: what the operator registered of them."""

import re
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts.names import refuse_secret, tidy, validate_name
from apikeys import redirect_uris
from auditlog.journal import Target

MOST_REDIRECT_URIS = 10
MOST_SCOPES = 100
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")  # scope-token, RFC 6749, 3.3


def validate_redirect_uris(uris: list[str]) -> None:
    if not uris or len(uris) > MOST_REDIRECT_URIS or len(set(uris)) < len(uris):
        raise ValidationError(_("Name one to ten redirect URIs, each once."))
    for uri in uris:
        redirect_uris.validate(uri)


def validate_scopes(scopes: list[str]) -> None:
    if not scopes or len(scopes) > MOST_SCOPES or len(set(scopes)) < len(scopes):
        raise ValidationError(_("Name one to a hundred scopes, each once."))
    for scope in scopes:
        refuse_secret(scope)
        if not _SCOPE.fullmatch(scope):
            raise ValidationError(_("A scope has up to 100 ASCII characters, without blanks, quotes and backslashes."))


class ConnectedAppQuerySet(models.QuerySet["ConnectedApp"]):
    def active(self) -> Self:
        return self.filter(withdrawn_at__isnull=True)


ConnectedAppManager = models.Manager.from_queryset(ConnectedAppQuerySet)


class ConnectedApp(models.Model):
    """An app's registration (RFC 6749, 2). Withdrawn ones remain, so that what they did keeps its name."""

    client_id = models.UUIDField(_("client id"), default=uuid4, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=100, validators=[validate_name])
    redirect_uris = models.JSONField(_("redirect URIs"), validators=[validate_redirect_uris])
    scopes = models.JSONField(_("scopes"), validators=[validate_scopes])  # what it may ask for
    registered_at = models.DateTimeField(_("registered"), editable=False)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, blank=True, editable=False)

    objects = ConnectedAppManager()

    class Meta:
        verbose_name = _("connected app")
        verbose_name_plural = _("connected apps")
        constraints: ClassVar = [
            # People decide by the name whom they let into their account.
            models.UniqueConstraint(
                Lower("name"),
                condition=Q(withdrawn_at__isnull=True),
                name="connectedapp_name_once",
                violation_error_message=_("An app of this name is registered already."),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.name = tidy(self.name)
        super().save(*args, **kwargs)

    def clean(self) -> None:
        super().clean()
        self.name = tidy(self.name)

    @property
    def is_active(self) -> bool:
        return self.withdrawn_at is None

    @property
    def target(self) -> Target:
        return Target(kind="connected_app", id=str(self.client_id), name=self.name)

    def withdraw(self, *, at: datetime) -> None:
        self.withdrawn_at = at
        self.save(update_fields=["withdrawn_at"])
