"""People, accounts, and people's places in them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo, available_timezones

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.translation import gettext_lazy as _

from accounts.permissions import GRANTS, Permission, Role
from auditlog.journal import Actor, Target

DEFAULT_BURST_LIMIT = 100  # calls in any 10 seconds
DEFAULT_DAILY_LIMIT = 250_000


def validate_time_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(_("“%(name)s” is not a time zone. Example: America/New_York."), params={"name": name})


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in, by e-mail address."""

    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=100, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC", validators=[validate_time_zone])
    is_staff = models.BooleanField(_("operator"), default=False, help_text=_("Staff of the company; may open /admin/."))
    is_active = models.BooleanField(_("active"), default=True)
    second_factor_due_at = models.DateTimeField(null=True, editable=False)  # of super admins and operators
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints: ClassVar = [models.UniqueConstraint(Lower("email"), name="user_email_unique")]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def target(self) -> Target:
        return Target(kind="person", id=str(self.pk), name=str(self), details={"email": self.email})

    def get_full_name(self) -> str:
        return str(self)

    def get_short_name(self) -> str:
        return str(self)


class Account(models.Model):
    """A customer of the company: the tenant."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        SUSPENDED = "suspended", _("Suspended")
        CLOSED = "closed", _("Closed")

    number = models.PositiveBigIntegerField(unique=True, editable=False)  # public: portalId, hub_id, X-Account-Id
    name = models.CharField(_("name"), max_length=100)
    slug = models.SlugField(_("slug"), max_length=50, unique=True)
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC", validators=[validate_time_zone])
    currency = models.CharField(_("currency"), max_length=3, default="USD")  # ISO 4217
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.OPEN)
    burst_limit = models.PositiveIntegerField(_("calls in 10 seconds"), default=DEFAULT_BURST_LIMIT)
    daily_limit = models.PositiveBigIntegerField(_("calls a day"), default=DEFAULT_DAILY_LIMIT)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.number:
            self.number = self.new_number()
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

    @property
    def target(self) -> Target:
        return Target(kind="account", id=self.slug, name=self.name)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def super_admins(self) -> models.QuerySet["Member"]:
        return self.members.active().filter(role=Role.SUPER_ADMIN).select_related("user")


class MemberQuerySet(models.QuerySet["Member"]):
    def active(self) -> Self:
        return self.filter(left_at__isnull=True, user__is_active=True)


MemberManager = models.Manager.from_queryset(MemberQuerySet)


class Member(models.Model):
    """A person's place in one account. Who leaves keeps the row, so that what they did keeps its name."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="members")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(_("role"), max_length=16, choices=Role)
    joined_at = models.DateTimeField(default=timezone.now, editable=False)
    left_at = models.DateTimeField(null=True, editable=False)

    objects = MemberManager()

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "user"], condition=Q(left_at__isnull=True), name="member_once"),
            models.CheckConstraint(
                condition=Q(left_at__isnull=True) | Q(left_at__gte=F("joined_at")), name="member_left_after_joined"
            ),
        ]

    def __str__(self) -> str:
        return str(self.user)

    def may(self, permission: Permission) -> bool:
        return permission in GRANTS[Role(self.role)]

    @property
    def grants(self) -> Collection[str]:
        """For templates: `{% if "manage_api_key" in member.grants %}`."""
        return GRANTS[Role(self.role)]

    @property
    def actor(self) -> Actor:
        return Actor(kind="member", name=str(self.user), email=self.user.email, user_id=self.user_id)

    @property
    def target(self) -> Target:
        return Target(kind="member", id=str(self.pk), name=str(self.user), details={"role": self.role})

    def leave(self, *, at: datetime) -> None:
        self.left_at = at
        self.save(update_fields=["left_at"])


class Revision(models.Model):
    """The one row that numbers changes. Its lock, held until commit, makes numbers become visible in order (G1)."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    number = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="revision_one_row")]

    def __str__(self) -> str:
        return str(self.number)


class Change(models.Model):
    """That something a gate may have kept is no longer so. Gates drop what they kept of that account."""

    revision = models.BigIntegerField(primary_key=True)
    mark = models.BigIntegerField()  # random: tells a restored database from the one that was read before
    account_id = models.BigIntegerField(null=True)  # null: every account
    at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.revision} account {self.account_id}"
