"""A rotation that is planned for a time, with the key that it prepares."""

from datetime import datetime
from typing import ClassVar, Self
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Member
from apikeys.models.api_key import ApiKey
from auditlog.journal import Target


class RotationPlanQuerySet(models.QuerySet["RotationPlan"]):
    def open(self) -> Self:
        return self.filter(ended_at__isnull=True)

    def due(self, *, now: datetime) -> Self:
        return self.open().filter(planned_for__lte=now)


RotationPlanManager = models.Manager.from_queryset(RotationPlanQuerySet)


class RotationPlan(models.Model):
    """When an account's key is to be rotated, and the secret that then counts: at most one open plan an account.

    The prepared secret is no API key yet: it lies here, where no gate looks for what it may accept. When the plan runs,
    it becomes an `ApiKey` under the plan's own id, to which it was sealed. Every end takes it out of this row.
    """

    class End(models.TextChoices):
        """How a plan ended. All but the first: it did not run, and the prepared secret never counts."""

        RUN = "run", _("run")
        CANCELLED = "cancelled", _("cancelled")
        ROTATED = "rotated", _("the key was rotated before")
        DEACTIVATED = "deactivated", _("the key was deactivated before")
        PLANNER_GONE = "planner_gone", _("whoever planned it is no super admin any more")
        NOT_OPEN = "not_open", _("the account was not open at that time")
        SUNSET = "sunset", _("API keys end before it")

        @property
        def is_nobodys_act(self) -> bool:
            return self in {self.PLANNER_GONE, self.NOT_OPEN, self.SUNSET}

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)  # the prepared key's, too
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="rotation_plans")
    replaces = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="+")
    planned_for = models.DateTimeField()
    planned_at = models.DateTimeField()
    planned_by = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+")
    digest = models.BinaryField(max_length=32, unique=True, null=True)  # null: destroyed, or an API key by now
    sealed_secret = models.BinaryField(null=True)
    sealed_with = models.CharField(max_length=64, blank=True)  # id of the key-encryption key
    last4 = models.CharField(max_length=4)
    told_soon_at = models.DateTimeField(null=True)  # when people were told that it is near
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(Member, null=True, on_delete=models.PROTECT, related_name="+")  # null: nobody's act
    end = models.CharField(max_length=16, choices=End, blank=True)
    told_end_at = models.DateTimeField(null=True)  # when people were told of its end

    objects = RotationPlanManager()

    class Meta:
        verbose_name = _("planned rotation")
        verbose_name_plural = _("planned rotations")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account"], condition=Q(ended_at__isnull=True), name="rotationplan_one_open_per_account"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, end="") | (Q(ended_at__isnull=False) & ~Q(end="")),
                name="rotationplan_end_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(digest__isnull=True, sealed_secret__isnull=True),
                name="rotationplan_ended_holds_no_secret",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["planned_for"], condition=Q(ended_at__isnull=True), name="rotationplan_open"),
            models.Index(fields=["ended_at"], condition=Q(told_end_at__isnull=True), name="rotationplan_untold"),
        ]

    def __str__(self) -> str:
        return f"prepared API key, generation {self.generation} (…{self.last4})"

    @property
    def generation(self) -> int:
        """The prepared key's."""
        return self.replaces.generation + 1

    @property
    def target(self) -> Target:
        return Target(kind="api_key", id=str(self.id), name=str(self), details={"generation": self.generation})

    def prepare(self, secret: str) -> None:
        """Seal and digest the secret into this row's fields, as the key's own row will have it."""
        key = self._unsaved_key()
        key.keep(secret)
        self.digest, self.sealed_secret, self.sealed_with = key.digest, key.sealed_secret, key.sealed_with
        self.last4 = key.last4

    def key(self, *, at: datetime) -> ApiKey:
        """The prepared key, not saved, as it is made at that time."""
        if self.digest is None or self.sealed_secret is None:
            raise ValueError("This plan has ended.")
        key = self._unsaved_key()
        key.digest, key.sealed_secret = bytes(self.digest), bytes(self.sealed_secret)
        key.sealed_with, key.last4 = self.sealed_with, self.last4
        key.created_at, key.created_by = at, self.planned_by
        return key

    def _unsaved_key(self) -> ApiKey:
        return ApiKey(id=self.id, account=self.account, generation=self.generation)

    def finish(self, end: End, *, at: datetime, by: Member | None, told: bool) -> None:
        """End the plan and destroy what it prepared.

        :param told: whether people are told in the same transaction.
        """
        self.digest = self.sealed_secret = None
        self.sealed_with = ""
        self.end, self.ended_at, self.ended_by = end, at, by
        self.told_end_at = at if told else None
        self.save(
            update_fields=["digest", "sealed_secret", "sealed_with", "end", "ended_at", "ended_by", "told_end_at"]
        )
