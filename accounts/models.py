"""People, accounts, and people's places in them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import uuid4
from zoneinfo import ZoneInfo, available_timezones

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.translation import gettext_lazy as _

from accounts.names import tidy, validate_name, validate_slug
from accounts.permissions import GRANTS, Permission, Role
from auditlog.journal import Actor, Target

DEFAULT_BURST_LIMIT = 100  # calls in any 10 seconds
DEFAULT_DAILY_LIMIT = 250_000


def validate_time_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(_("“%(name)s” is not a time zone. Example: America/New_York."), params={"name": name})


class UserManager(BaseUserManager["User"]):
    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """In small letters: so allauth looks an address up, whatever was typed."""
        return super().normalize_email(email).lower()

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def find_or_make(self, email: str) -> "User":
        """The person with this address; if there is none, a new one, who chooses a password by "forgot password".

        :raises ValidationError: for what is not an e-mail address.
        """
        known = self.filter(email__iexact=email).first()
        return known if known is not None else self._make_without_password(email)

    def _make_without_password(self, email: str) -> "User":
        person = self.model(email=self.normalize_email(email))
        person.set_unusable_password()
        person.full_clean(exclude=["password"])
        person.save(using=self._db)
        return person

    def operators(self) -> models.QuerySet["User"]:
        return self.filter(is_staff=True, is_active=True).order_by("email")

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in, by e-mail address."""

    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=100, blank=True, validators=[validate_name])
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
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique"),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="user_email_in_small_letters"),
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._tidy()
        super().save(*args, **kwargs)

    def clean(self) -> None:
        super().clean()
        self._tidy()

    def _tidy(self) -> None:
        self.email = User.objects.normalize_email(self.email)
        self.name = tidy(self.name)

    def get_full_name(self) -> str:
        return str(self)

    def get_short_name(self) -> str:
        return str(self)

    @property
    def target(self) -> Target:
        return Target(kind="user", id=str(self.pk), name=str(self), details={"email": self.email})


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
    first_steps_dismissed_at = models.DateTimeField(null=True, editable=False)

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

    @property
    def is_active(self) -> bool:
        """As `MemberQuerySet.active()` has it."""
        return self.left_at is None and self.user.is_active

    def leave(self, *, at: datetime) -> None:
        self.left_at = max(at, self.joined_at)  # a clock that was set back may still stand before the joining
        self.save(update_fields=["left_at"])

    def dismiss_first_steps(self, *, at: datetime) -> None:
        """Show this person the account's first steps no more."""
        self.first_steps_dismissed_at = at
        self.save(update_fields=["first_steps_dismissed_at"])


class AccessRequestQuerySet(models.QuerySet["AccessRequest"]):
    def open(self) -> Self:
        """Not ended, of members who are still there and still may not."""
        there = self.filter(ended_at__isnull=True, member__left_at__isnull=True, member__user__is_active=True)
        return there.exclude(member__role=Role.SUPER_ADMIN)


AccessRequestManager = models.Manager.from_queryset(AccessRequestQuerySet)


class AccessRequest(models.Model):
    """That a member asked for access to the API key."""

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="access_requests")
    reason = models.CharField(max_length=200)
    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(Member, null=True, on_delete=models.PROTECT, related_name="+")  # null: asked again

    objects = AccessRequestManager()

    class Meta:
        verbose_name = _("request for access")
        verbose_name_plural = _("requests for access")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["member"], condition=Q(ended_at__isnull=True), name="accessrequest_one_open_per_member"
            ),
        ]

    def __str__(self) -> str:
        return f"request for access of {self.member_id}"


class NoticeQuerySet(models.QuerySet["Notice"]):
    def visible_to(self, user: User) -> Self:
        """The person's own, of accounts that they are still in."""
        return self.filter(user=user, account__members__user=user, account__members__left_at__isnull=True)

    def unread(self) -> Self:
        return self.filter(read_at__isnull=True)


NoticeManager = models.Manager.from_queryset(NoticeQuerySet)


class Notice(models.Model):
    """Something that concerns one person, told once: the same event never makes a second row."""

    class Kind(models.TextChoices):
        KEY_OLD = "api_key.old", _("The API key is old")
        KEY_CREATED = "api_key.created", _("The API key was created")
        KEY_ROTATED = "api_key.rotated", _("The API key was rotated")
        KEY_DEACTIVATED = "api_key.deactivated", _("The API key was deactivated")
        ACCESS_REQUESTED = "member.asked_for_key", _("Access was asked for")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notices")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=32, choices=Kind)
    event = models.CharField(max_length=100)  # what makes two notices the same: "api_key.old:<key>:<cycle>"
    about = models.CharField(max_length=64, blank=True)  # what ends it; empty: nothing but being read
    facts = models.JSONField(default=dict)  # what its sentence names
    at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)

    objects = NoticeManager()

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "event"], name="notice_once")]
        indexes: ClassVar = [
            models.Index(fields=["user"], condition=Q(read_at__isnull=True), name="notice_unread"),
            models.Index(fields=["user", "at"], name="notice_user_time"),
            models.Index(fields=["account", "about"], condition=~Q(about=""), name="notice_about"),
            models.Index(fields=["event"], name="notice_event"),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.user_id}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> Self:
        """Neither used nor withdrawn; expired ones among them."""
        return self.filter(accepted_at__isnull=True, withdrawn_at__isnull=True)


InvitationManager = models.Manager.from_queryset(InvitationQuerySet)


class Invitation(models.Model):
    """A place in an account, offered to one address, to be taken once.

    The token of its link is kept as a digest alone, to be found; sending again gives it another one.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="invitations")
    email = models.EmailField(_("e-mail address"), max_length=254)
    role = models.CharField(_("role"), max_length=16, choices=Role)
    invited_by = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, related_name="+")  # null: an operator
    created_at = models.DateTimeField(editable=False)
    issue = models.UUIDField(unique=True, editable=False)  # names one mail; another with each sending
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    sent_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, related_name="+")
    withdrawn_at = models.DateTimeField(null=True, editable=False)

    objects = InvitationManager()

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints: ClassVar = [
            models.UniqueConstraint(
                "account",
                Lower("email"),
                condition=Q(accepted_at__isnull=True, withdrawn_at__isnull=True),
                name="invitation_open_once",
            ),
            models.CheckConstraint(
                condition=Q(accepted_at__isnull=True) | Q(withdrawn_at__isnull=True), name="invitation_ends_once"
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def target(self) -> Target:
        return Target(kind="invitation", id=str(self.pk), name=self.email, details={"role": self.role})

    def is_expired(self, *, now: datetime) -> bool:
        return now >= self.expires_at

    def withdraw(self, *, at: datetime) -> None:
        self.withdrawn_at = at
        self.save(update_fields=["withdrawn_at"])


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
    sent_at = models.DateTimeField(null=True)
    dropped_at = models.DateTimeField(null=True)  # was not due any more when its turn came

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
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.about}"


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
