from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.user import User


class MailChoice(models.Model):
    """How a person wants one kind of mail; without a row, at once. `accounts.mail_kinds` says what may be chosen."""

    class Delivery(models.TextChoices):
        AT_ONCE = "at_once", _("At once")
        DAILY = "daily", _("Once a day, together")
        NEVER = "never", _("Not at all")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="mail_choices")
    kind = models.CharField(max_length=64)
    delivery = models.CharField(max_length=16, choices=Delivery)

    class Meta:
        verbose_name = _("choice of mails")
        verbose_name_plural = _("choices of mails")
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "kind"], name="mailchoice_once")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.delivery}"
