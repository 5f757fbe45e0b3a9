from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models.account import Account
from accounts.models.user import User


class NoticeQuerySet(models.QuerySet["Notice"]):
    def visible_to(self, user: User) -> Self:
        """The person's own, of accounts that they are still in, or invited to."""
        theirs = Account.objects.filter(members__user=user, members__left_at__isnull=True)
        return self.filter(Q(account__in=theirs) | Q(kind=Notice.Kind.INVITED), user=user)

    def unread(self) -> Self:
        return self.filter(read_at__isnull=True)


NoticeManager = models.Manager.from_queryset(NoticeQuerySet)


def every_kind() -> list[tuple[str, Promise]]:
    """For the column: as a function, so that a new kind needs no migration."""
    return [(kind.value, kind.label) for kind in Notice.Kind]


class Notice(models.Model):
    """Something that concerns one person, told once: the same event never makes a second row."""

    class Kind(models.TextChoices):
        KEY_OLD = "api_key.old", _("The API key is old")
        KEY_CREATED = "api_key.created", _("The API key was created")
        KEY_ROTATED = "api_key.rotated", _("The API key was rotated")
        KEY_DEACTIVATED = "api_key.deactivated", _("The API key was deactivated")
        APP_CONNECTED = "connected_app.connected", _("An app was connected")
        APP_SCOPES_CHANGED = "connected_app.scopes_changed", _("A connected app may do other things")
        APP_DISCONNECTED = "connected_app.disconnected", _("An app was disconnected")
        ROTATION_PLANNED = "api_key.rotation_planned", _("A rotation was planned")
        ROTATION_SOON = "api_key.rotation_soon", _("A planned rotation is near")
        ROTATION_RUN = "api_key.rotation_run", _("A planned rotation has run")
        PLAN_CANCELLED = "api_key.plan_cancelled", _("A planned rotation was cancelled")
        PLAN_OVERTAKEN = "api_key.plan_overtaken", _("A planned rotation was overtaken")
        PLAN_DROPPED = "api_key.plan_dropped", _("A planned rotation did not run")
        REMINDER_SNOOZED = "api_key.snoozed", _("The reminder was snoozed")
        HANDED_OVER = "api_key.handed_over", _("The rotation was handed over")
        INVITED = "member.invited", _("An invitation")
        MAIL_BOUNCED = "member.mail_bounced", _("Mails to an address do not arrive")
        ACCESS_REQUESTED = "member.asked_for_key", _("Access was asked for")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notices")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=32, choices=every_kind)
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
