from collections.abc import Collection
from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.account import Account
from accounts.models.user import User
from accounts.permissions import GRANTS, Permission, Role
from auditlog.journal import Actor, Target


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
