from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import addresses
from accounts.models.languages import default_language, validate_language
from accounts.models.time_zones import validate_time_zone
from accounts.names import tidy, validate_name
from auditlog.journal import Target


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

    def with_address(self, email: str) -> models.QuerySet["User"]:
        """Who signs in with the address, whatever its case: found by the index, since all are kept in small letters."""
        return self.filter(email=self.normalize_email(email))

    def find_or_make(self, email: str) -> "User":
        """The person with this address; if there is none, a new one, who chooses a password by "forgot password".

        :raises ValidationError: for what is not an e-mail address.
        """
        has_nul = "\0" in email  # which PostgreSQL cannot be asked for
        known = None if has_nul else self.with_address(email.strip()).first()
        return known if known is not None else self._make_without_password(email)

    def _make_without_password(self, email: str) -> "User":
        try:
            address = addresses.parse(email)
        except ValidationError as refusal:
            raise ValidationError({"email": refusal.messages}) from refusal
        person = self.model(email=self.normalize_email(address))
        person.set_unusable_password()
        person.full_clean(exclude=["password"], validate_unique=False, validate_constraints=False)
        try:
            with transaction.atomic():
                person.save(using=self._db)
        except IntegrityError:  # somebody made them a moment ago
            return self.get(email=person.email)
        return person

    def operators(self) -> models.QuerySet["User"]:
        return self.filter(is_staff=True, is_active=True).order_by("email")

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.with_address(username or "").get()


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in, by e-mail address."""

    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=100, blank=True, validators=[validate_name])
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC", validators=[validate_time_zone])
    language = models.CharField(_("language"), max_length=16, default=default_language, validators=[validate_language])
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
