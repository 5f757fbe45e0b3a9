"""What numbers the changes that gates must hear of (G1)."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


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
