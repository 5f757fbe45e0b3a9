from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models.member import Member
from accounts.permissions import Role


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
