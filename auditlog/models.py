"""Both logs. They hold words, not foreign keys: what a row says must survive what it speaks of."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from auditlog.actions import Outcome, every_action, every_category


class AuditEntry(models.Model):
    """One line of the audit log: who did what, to what, when, from where."""

    account_id = models.BigIntegerField(null=True)  # null: concerns no account, or all of them
    at = models.DateTimeField()
    category = models.CharField(max_length=32, choices=every_category)
    action = models.CharField(max_length=64, choices=every_action)
    outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.DONE)
    reason = models.CharField(max_length=200, blank=True)  # of a refusal, or why an operator did it; for people

    actor_kind = models.CharField(max_length=16)  # member | operator | person | system
    actor_id = models.BigIntegerField(null=True)  # the user's id
    actor_name = models.CharField(max_length=200)
    actor_email = models.CharField(max_length=254, blank=True)

    target_kind = models.CharField(max_length=32, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    target_name = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict)

    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=512, blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes: ClassVar = [
            models.Index(fields=["account_id", "at", "id"], name="auditentry_account_time"),
            models.Index(fields=["target_kind", "target_id", "at"], name="auditentry_target_time"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.get_action_display()}"


class Call(models.Model):
    """One API request that the gate decided on; kept for seven days.

    On PostgreSQL the table is partitioned by the UTC day of `at` (see `auditlog.partitions`), and has no primary key:
    one would have to name `at` too, and nothing refers to a call. Its `id` orders calls of the same microsecond.
    """

    account_id = models.BigIntegerField(null=True)  # null: the secret belongs to nobody
    at = models.DateTimeField()
    method = models.CharField(max_length=16)
    path = models.CharField(max_length=1024)  # without its query; anything of secret shape is masked
    status = models.PositiveSmallIntegerField()
    duration_us = models.PositiveIntegerField(null=True)  # microseconds; null: only the gateway knows
    size = models.PositiveBigIntegerField(null=True)  # bytes of the answer's body; null: likewise
    reason = models.CharField(max_length=32, blank=True)  # why it was refused; empty: accepted
    credential_kind = models.CharField(max_length=16, blank=True)
    credential_id = models.UUIDField(null=True)
    agent = models.CharField(max_length=64, blank=True)  # the caller's product token
    network = models.CharField(max_length=43, blank=True)  # the caller's /24 or /48
    user_agent = models.CharField(max_length=512, blank=True)
    address = models.GenericIPAddressField(null=True)
    request_id = models.UUIDField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["account_id", "at", "id"], name="call_account_time"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


class CallsByCaller(models.Model):
    """Roll-up: what one caller's calls with one credential came to in an hour; raised with the batch that stores them.

    Calls with a secret that belongs to nobody are in none: they are no account's.
    """

    pk = models.CompositePrimaryKey("account_id", "hour", "credential_id", "agent", "network", "reason")
    account_id = models.BigIntegerField()
    hour = models.DateTimeField()  # when it began, in UTC
    credential_id = models.UUIDField()
    agent = models.CharField(max_length=64, blank=True)
    network = models.CharField(max_length=43, blank=True)
    reason = models.CharField(max_length=32, blank=True)  # why they were refused; empty: accepted
    calls = models.PositiveBigIntegerField()
    failed = models.PositiveBigIntegerField()  # of them, with a status of 400 and above
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["hour"], name="callsbycaller_hour"),  # by which old ones are removed
        ]

    def __str__(self) -> str:
        return f"{self.agent} {self.network} {self.hour:%Y-%m-%d %H} {self.calls}"


class CallsByRoute(models.Model):
    """Roll-up: how often one caller used a route with one credential in a UTC day; raised like `CallsByCaller`."""

    pk = models.CompositePrimaryKey("account_id", "day", "credential_id", "agent", "network", "method", "route")
    account_id = models.BigIntegerField()
    day = models.DateField()
    credential_id = models.UUIDField()
    agent = models.CharField(max_length=64, blank=True)
    network = models.CharField(max_length=43, blank=True)
    method = models.CharField(max_length=16)
    route = models.CharField(max_length=200)  # a path, with {id} for what names a thing; "": one of too many
    calls = models.PositiveBigIntegerField()
    failed = models.PositiveBigIntegerField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["day"], name="callsbyroute_day"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.route} {self.day} {self.calls}"


class LastUse(models.Model):
    """When a credential was last accepted; outlives the call log's seven days."""

    credential_id = models.UUIDField(primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.credential_id} {self.at:%Y-%m-%d %H:%M:%S}"


class DailyUsage(models.Model):
    """Accepted calls of an account on one day of its own time zone; raised with the batch that stores them."""

    account_id = models.BigIntegerField()
    day = models.DateField()
    calls = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account_id", "day"], name="dailyusage_account_day"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.day} {self.calls}"


class CallWriter(models.Model):
    """One process's count of stored calls, raised in the transaction that stores them (G7).

    Its count of issued calls is in a mapped file of the same name; the difference is what was lost.
    """

    id = models.UUIDField(primary_key=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    stored = models.PositiveBigIntegerField(default=0)
    batches = models.PositiveBigIntegerField(default=0)  # the number of the newest stored one: none is stored twice

    def __str__(self) -> str:
        return str(self.id)

    def store(self, calls: int, *, number: int, at: datetime) -> None:
        """Raise the count by the batch of that number; to be called in the batch's own transaction."""
        type(self).objects.filter(pk=self.pk).update(stored=F("stored") + calls, batches=number, seen_at=at)
