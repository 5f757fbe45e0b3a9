"""What super admins agree on before a key is rotated: that the reminder waits, and who looks after the rotation."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Member
from accounts.permissions import Role
from apikeys.models.api_key import ApiKey


class SnoozeQuerySet(models.QuerySet["Snooze"]):
    def in_force(self, *, now: datetime) -> Self:
        return self.filter(until__gt=now, key__deactivated_at__isnull=True)


SnoozeManager = models.Manager.from_queryset(SnoozeQuerySet)


class Snooze(models.Model):
    """That the reminder of one key waits. After it, the reminder comes once more (see `operations.reminders`)."""

    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="snoozes")
    number = models.PositiveIntegerField()  # counts those of a key
    reason = models.CharField(max_length=200)
    snoozed_at = models.DateTimeField()
    snoozed_by = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+")
    until = models.DateTimeField()  # earlier than chosen, once somebody has ended it
    ended_by = models.ForeignKey(Member, null=True, on_delete=models.PROTECT, related_name="+")  # null: by itself

    objects = SnoozeManager()

    class Meta:
        verbose_name = _("snooze of a reminder")
        verbose_name_plural = _("snoozes of reminders")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["key", "number"], name="snooze_number_once"),
            models.CheckConstraint(condition=Q(until__gte=F("snoozed_at")), name="snooze_ends_after_its_beginning"),
        ]

    def __str__(self) -> str:
        return f"snooze {self.number} of {self.key_id}"

    def end_now(self, *, at: datetime, by: Member) -> None:
        self.until, self.ended_by = max(at, self.snoozed_at), by
        self.save(update_fields=["until", "ended_by"])


class HandoverQuerySet(models.QuerySet["Handover"]):
    def open(self) -> Self:
        """Not ended, between two who are still super admins, of a key that is still active."""
        there = {
            f"{who}__{name}": value
            for who in ("handed_by", "handed_to")
            for name, value in (("left_at", None), ("user__is_active", True), ("role", Role.SUPER_ADMIN))
        }
        return self.filter(ended_at__isnull=True, key__deactivated_at__isnull=True, **there)


HandoverManager = models.Manager.from_queryset(HandoverQuerySet)


class Handover(models.Model):
    """That one super admin left the rotation of a key to another: at most one in force a key."""

    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="handovers")
    handed_by = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+")
    handed_to = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+")
    handed_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(Member, null=True, on_delete=models.PROTECT, related_name="+")  # null: by itself

    objects = HandoverManager()

    class Meta:
        verbose_name = _("handover of a rotation")
        verbose_name_plural = _("handovers of rotations")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["key"], condition=Q(ended_at__isnull=True), name="handover_one_open_per_key"
            ),
            models.CheckConstraint(condition=~Q(handed_by=F("handed_to")), name="handover_to_another"),
        ]

    def __str__(self) -> str:
        return f"handover of {self.key_id} to {self.handed_to_id}"

    def finish(self, *, at: datetime, by: Member | None) -> None:
        self.ended_at, self.ended_by = max(at, self.handed_at), by
        self.save(update_fields=["ended_at", "ended_by"])
