from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _


class BouncedAddressQuerySet(models.QuerySet["BouncedAddress"]):
    def addresses(self) -> models.QuerySet["BouncedAddress", str]:
        """For `…__in` of other queries."""
        return self.values_list("email", flat=True)

    def of(self, email: str) -> Self:
        return self.filter(email=email.lower())


BouncedAddressManager = models.Manager.from_queryset(BouncedAddressQuerySet)


class BouncedAddress(models.Model):
    """An address of somebody's at which mails do not arrive; gone as soon as one does."""

    class Kind(models.TextChoices):
        REFUSED = "refused", _("The mail server refuses mails to this address.")
        BOUNCED = "bounced", _("A mail to this address came back.")
        COMPLAINED = "complained", _("A mail to this address was reported as unwanted.")

    email = models.EmailField(max_length=254, unique=True)  # in small letters
    kind = models.CharField(max_length=16, choices=Kind)
    why = models.CharField(max_length=200, blank=True)  # in the words of whoever refused it
    since = models.DateTimeField()

    objects = BouncedAddressManager()

    class Meta:
        verbose_name = _("bounced address")
        verbose_name_plural = _("bounced addresses")

    def __str__(self) -> str:
        return self.email
