"""Apps that accounts connected: who let which app in, when, and for what."""

from datetime import datetime
from typing import ClassVar, Self
from uuid import uuid4

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Member
from apikeys.models.connected_app import ConnectedApp, validate_scopes
from auditlog.journal import Target


class ConnectionQuerySet(models.QuerySet["Connection"]):
    def active(self) -> Self:
        return self.filter(disconnected_at__isnull=True)


ConnectionManager = models.Manager.from_queryset(ConnectionQuerySet)


class Connection(models.Model):
    """One app's place in one account. At most one is active for each app; the rest remain as history."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="connections")
    app = models.ForeignKey(ConnectedApp, on_delete=models.PROTECT, related_name="connections")
    scopes = models.JSONField(_("scopes"), validators=[validate_scopes])  # granted; of those that the app may ask for
    connected_at = models.DateTimeField(_("connected"))
    connected_by = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+")
    disconnected_at = models.DateTimeField(_("disconnected"), null=True)
    disconnected_by = models.ForeignKey(Member, null=True, on_delete=models.PROTECT, related_name="+")  # null: operator

    objects = ConnectionManager()

    class Meta:
        verbose_name = _("connection")
        verbose_name_plural = _("connections")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "app"],
                condition=Q(disconnected_at__isnull=True),
                name="connection_one_active_per_app",
            ),
            models.CheckConstraint(
                condition=Q(disconnected_at__isnull=True) | Q(disconnected_at__gte=F("connected_at")),
                name="connection_ends_after_it_began",
            ),
        ]

    def __str__(self) -> str:
        return self.app.name

    @property
    def is_active(self) -> bool:
        return self.disconnected_at is None

    @property
    def target(self) -> Target:
        return Target(kind="connection", id=str(self.id), name=self.app.name, details={"scopes": list(self.scopes)})

    def disconnect(self, *, at: datetime, by: Member | None) -> None:
        # A clock that was set back may still stand before the connecting.
        self.disconnected_at, self.disconnected_by = max(at, self.connected_at), by
        self.save(update_fields=["disconnected_at", "disconnected_by"])
