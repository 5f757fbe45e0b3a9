from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

from django.db import connection, models
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.translation import gettext_lazy as _

from accounts.models.time_zones import validate_time_zone
from accounts.names import tidy, validate_name, validate_slug
from accounts.permissions import Role
from auditlog.journal import Target

if TYPE_CHECKING:
    from accounts.models.member import Member

DEFAULT_BURST_LIMIT = 100  # calls in any 10 seconds
DEFAULT_DAILY_LIMIT = 250_000


class Account(models.Model):
    """A customer of the company: the tenant."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        SUSPENDED = "suspended", _("Suspended")
        CLOSED = "closed", _("Closed")

    number = models.PositiveBigIntegerField(unique=True, editable=False)  # public: portalId, hub_id, X-Account-Id
    name = models.CharField(_("name"), max_length=100, validators=[validate_name])
    slug = models.SlugField(_("slug"), max_length=50, unique=True, validators=[validate_slug])
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC", validators=[validate_time_zone])
    currency = models.CharField(_("currency"), max_length=3, default="USD")  # ISO 4217
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.OPEN)
    burst_limit = models.PositiveIntegerField(_("calls in 10 seconds"), default=DEFAULT_BURST_LIMIT)
    daily_limit = models.PositiveBigIntegerField(_("calls a day"), default=DEFAULT_DAILY_LIMIT)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(burst_limit__gte=1, daily_limit__gte=1), name="account_limits_at_least_one"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.number:
            self.number = self.new_number()
        self.name = tidy(self.name)
        super().save(*args, **kwargs)

    @staticmethod
    def new_number() -> int:
        """Ten random digits; says nothing about how many accounts there are."""
        return int(get_random_string(1, "123456789") + get_random_string(9, "0123456789"))

    def lock(self) -> None:
        """Hold the account's row until commit. On SQLite the transaction itself is that lock (BEGIN IMMEDIATE)."""
        if not connection.in_atomic_block:
            raise RuntimeError("A lock lasts as long as its transaction; there is none.")
        type(self).objects.select_for_update().get(pk=self.pk)

    @classmethod
    def lock_all(cls, ids: Collection[int]) -> None:
        """Hold several accounts' rows until commit, taken in the one order in which everybody takes several."""
        if not connection.in_atomic_block:
            raise RuntimeError("A lock lasts as long as its transaction; there is none.")
        list(cls.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))

    @property
    def target(self) -> Target:
        return Target(kind="account", id=self.slug, name=self.name)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def super_admins(self) -> models.QuerySet["Member"]:
        return self.members.active().filter(role=Role.SUPER_ADMIN).select_related("user")
