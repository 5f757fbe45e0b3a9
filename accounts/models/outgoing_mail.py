from datetime import datetime
from typing import ClassVar, Self
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class OutgoingMailQuerySet(models.QuerySet["OutgoingMail"]):
    def owed(self) -> Self:
        """Neither sent nor dropped; those in a digest among them."""
        return self.filter(sent_at__isnull=True, dropped_at__isnull=True)

    def claimable(self, *, now: datetime) -> Self:
        """Due, in nobody's hands, and not to be sent as part of a digest."""
        free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
        return self.owed().filter(free, due_at__lte=now, digest__isnull=True)


OutgoingMailManager = models.Manager.from_queryset(OutgoingMailQuerySet)


class OutgoingMail(models.Model):
    """A mail that is owed: made in the transaction of what it tells, sent by the jobs process (`accounts.outbox`)."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    kind = models.CharField(max_length=64)  # which composer writes it
    about = models.CharField(max_length=64)  # what it speaks of, in that composer's words
    to = models.EmailField(max_length=254)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()  # not to be tried before
    claimed_until = models.DateTimeField(null=True)  # somebody is sending it, until then
    attempts = models.PositiveIntegerField(default=0)
    failure = models.CharField(max_length=200, blank=True)  # why the last attempt came to nothing
    sent_at = models.DateTimeField(null=True)
    dropped_at = models.DateTimeField(null=True)  # not due any more when its turn came, or given up
    digest = models.ForeignKey(
        "self", null=True, on_delete=models.CASCADE, related_name="parts"
    )  # goes out in that one
    letter = models.JSONField(null=True)  # of a part: what it says, from the digest's first attempt until it is sent

    objects = OutgoingMailManager()

    class Meta:
        verbose_name = _("outgoing mail")
        verbose_name_plural = _("outgoing mails")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "about", "to"], name="outgoingmail_once"),
            models.CheckConstraint(
                condition=Q(sent_at__isnull=True) | Q(dropped_at__isnull=True), name="outgoingmail_ends_once"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"],
                condition=Q(sent_at__isnull=True, dropped_at__isnull=True),
                name="outgoingmail_owed",
            ),
            models.Index(
                fields=["to"],
                condition=Q(sent_at__isnull=True, dropped_at__isnull=True),
                name="outgoingmail_owed_to",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.to}"
