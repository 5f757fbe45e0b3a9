"""The account API key, one row a generation."""

from datetime import datetime, timedelta
from typing import ClassVar, Self
from uuid import uuid4

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Member
from accounts.permissions import Role
from apikeys import secrets
from auditlog.journal import Target

ROTATE_AFTER = timedelta(days=180)
RECOMMEND_ROTATION_AFTER = timedelta(days=150)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def active(self) -> Self:
        return self.filter(deactivated_at__isnull=True)

    def ended(self) -> Self:
        return self.filter(deactivated_at__isnull=False).order_by("-generation")


ApiKeyManager = models.Manager.from_queryset(ApiKeyQuerySet)


class ApiKey(models.Model):
    """One generation of an account's key. At most one is active; the rest remain as history.

    The secret is kept twice: sealed, to be shown again, and as a digest, to be found.
    """

    class End(models.TextChoices):
        """How a generation ended."""

        ROTATED = "rotated", _("rotated away")
        DEACTIVATED = "deactivated", _("deactivated")

    class Freshness(models.TextChoices):
        """What its age asks for."""

        FRESH = "fresh", _("Fresh")
        RECOMMENDED = "recommended", _("Rotation recommended")
        URGENT = "urgent", _("Rotate now")

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="api_keys")
    generation = models.PositiveIntegerField()
    digest = models.BinaryField(max_length=32, unique=True)
    sealed_secret = models.BinaryField()
    sealed_with = models.CharField(max_length=64)  # id of the key-encryption key
    last4 = models.CharField(max_length=4)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(Member, null=True, on_delete=models.PROTECT, related_name="+")  # null: operator
    deactivated_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)  # when the wait after its end was over; null: still spreading
    deactivated_by = models.ForeignKey(Member, null=True, on_delete=models.PROTECT, related_name="+")
    end = models.CharField(max_length=16, choices=End, blank=True)

    objects = ApiKeyManager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account"], condition=Q(deactivated_at__isnull=True), name="apikey_one_active_per_account"
            ),
            models.UniqueConstraint(fields=["account", "generation"], name="apikey_generation_unique"),
            models.CheckConstraint(
                condition=Q(deactivated_at__isnull=True, end="") | (Q(deactivated_at__isnull=False) & ~Q(end="")),
                name="apikey_end_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(deactivated_at__isnull=True) | Q(deactivated_at__gte=F("created_at")),
                name="apikey_ends_after_creation",
            ),
        ]
        indexes: ClassVar = [
            # The reminders' way through the oldest keys.
            models.Index(
                fields=["created_at", "id"], condition=Q(deactivated_at__isnull=True), name="apikey_active_by_age"
            ),
        ]

    def __str__(self) -> str:
        return f"API key, generation {self.generation} (…{self.last4})"

    @property
    def is_active(self) -> bool:
        return self.deactivated_at is None

    @property
    def binding(self) -> secrets.Binding:
        return secrets.Binding(self.account_id, secrets.Kind.API_KEY, self.id, self.generation)

    @property
    def target(self) -> Target:
        return Target(kind="api_key", id=str(self.id), name=str(self), details={"generation": self.generation})

    @property
    def rotate_by(self) -> datetime:
        return self.created_at + ROTATE_AFTER

    def age(self, *, now: datetime) -> timedelta:
        return now - self.created_at

    def freshness(self, *, now: datetime) -> Freshness:
        age = self.age(now=now)
        if age >= ROTATE_AFTER:
            return self.Freshness.URGENT
        return self.Freshness.RECOMMENDED if age >= RECOMMEND_ROTATION_AFTER else self.Freshness.FRESH

    def people_concerned(self) -> set[int]:
        """Users to tell about this key: the account's super admins, and who made it, if they are still a member."""
        everybody = Member.objects.active().filter(account_id=self.account_id)
        made_by = self.created_by.user_id if self.created_by else None
        return set(everybody.filter(Q(role=Role.SUPER_ADMIN) | Q(user_id=made_by)).values_list("user_id", flat=True))

    def keep(self, secret: str) -> None:
        """Seal and digest the secret into this row's fields."""
        self.sealed_with, self.sealed_secret = secrets.seal(secret, self.binding)
        self.digest = secrets.newest_digest(secret)
        self.last4 = secret[-4:]

    def secret(self) -> str:
        """The secret in clear. Only after its audit entry has been committed (G3).

        :raises UnsealError: if the row was altered or its key-encryption key is gone.
        """
        return secrets.unseal(self.sealed_with, bytes(self.sealed_secret), self.binding)

    def deactivate(self, *, at: datetime, by: Member | None, end: End) -> None:
        # A clock that was set back may still stand before the creation.
        self.deactivated_at, self.deactivated_by, self.end = max(at, self.created_at), by, end
        self.save(update_fields=["deactivated_at", "deactivated_by", "end"])
