"""What processes that count calls share in the store (G8); how they use it stands in `apikeys.gate.sharing`."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q


class CountingProcess(models.Model):
    """A process that counts calls, from its first one until all that it held may be given to others."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    started_at = models.DateTimeField()
    suspicions = models.PositiveBigIntegerField(default=0)  # raised by each, so that two can be told apart
    is_suspected = models.BooleanField(default=False)  # it answers by lowering this
    has_ended = models.BooleanField(default=False)  # for good: one that lives after all begins anew, under another id
    # Of the terms for which the table knows what it holds; None: it uses Redis.
    told_epoch = models.PositiveBigIntegerField(null=True)

    def __str__(self) -> str:
        return str(self.id)


class SharingTerms(models.Model):
    """The one row that says how limits are shared."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    name = models.UUIDField(default=uuid.uuid4)  # tells this installation's numbers from another's on the same Redis
    epoch = models.PositiveBigIntegerField(default=0)
    equal_shares = models.PositiveIntegerField(default=0)  # the shared counter is gone: each has 1/n of a limit; 0: not

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="sharingterms_one_row")]

    def __str__(self) -> str:
        return f"epoch {self.epoch}"


class BurstTotal(models.Model):
    """How much of one burst limit is allotted, to whomever; unused where Redis keeps these numbers."""

    key = models.CharField(max_length=64, primary_key=True)  # whose limit: account:17
    allotted = models.BigIntegerField(default=0)
    wanted = models.BooleanField(default=False)  # somebody who has none left asks the others for some
    wants = models.PositiveBigIntegerField(default=0)  # how often that began

    class Meta:
        indexes: ClassVar = [models.Index(fields=["key"], name="bursttotal_wanted", condition=Q(wanted=True))]

    def __str__(self) -> str:
        return f"{self.key} {self.allotted}"


class BurstShare(models.Model):
    """What one process holds of it: calls that it may let through in any ten seconds."""

    process_id = models.UUIDField()
    key = models.CharField(max_length=64, db_index=True)
    allotted = models.BigIntegerField()
    answered = models.PositiveBigIntegerField(default=0)  # the newest want to which it said that it has nothing left

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["process_id", "key"], name="burstshare_once")]

    def __str__(self) -> str:
        return f"{self.key} {self.allotted}"


class DayGrant(models.Model):
    """How many calls of an account's day were handed out to processes: accepted, may be accepted yet, or forfeited."""

    account_id = models.BigIntegerField()
    day = models.DateField(db_index=True)
    granted = models.PositiveBigIntegerField()
    wanted = models.BooleanField(default=False)  # somebody who has none left asks the others for some

    class Meta:
        indexes: ClassVar = [models.Index(fields=["day"], name="daygrant_wanted", condition=Q(wanted=True))]
        constraints: ClassVar = [models.UniqueConstraint(fields=["account_id", "day"], name="daygrant_account_day")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.day} {self.granted}"
