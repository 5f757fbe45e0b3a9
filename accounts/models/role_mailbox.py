from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models.account import Account
from accounts.models.member import Member
from auditlog.journal import Target

LINK_LASTS = timedelta(days=7)


class RoleMailbox(models.Model):
    """An address that an account named, such as "platform-team@…": once confirmed, it gets every reminder too.

    An account has at most one that is confirmed, and one that waits to take its place.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="role_mailboxes")
    email = models.EmailField(max_length=254, db_index=True)  # in small letters, as people’s are
    named_by = models.ForeignKey(Member, null=True, on_delete=models.PROTECT, related_name="+")  # null: operator
    named_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("role mailbox")
        verbose_name_plural = _("role mailboxes")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account"], condition=Q(confirmed_at__isnull=False), name="rolemailbox_one_confirmed"
            ),
            models.UniqueConstraint(
                fields=["account"], condition=Q(confirmed_at__isnull=True), name="rolemailbox_one_waiting"
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def target(self) -> Target:
        return Target(kind="role_mailbox", id=str(self.pk), name=self.email)

    def is_expired(self, *, now: datetime) -> bool:
        """Whether the link to confirm it has ended."""
        return now >= self.named_at + LINK_LASTS
