"""Announced ends of the account API key: when none is created any more, when none is accepted any more."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Exists, F, Q
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, AccountGroup
from apikeys.models.api_key import ApiKey
from auditlog.journal import Target

MOST_BROWNOUTS = 50
LAST_YEAR = 9000  # near the last year that there is, a time zone leads past it
LONGEST_BROWNOUT = timedelta(days=1)


class Brownout(NamedTuple):
    """A few announced minutes in which keys are refused, so that whoever still calls with one finds out in time."""

    starts_at: datetime
    ends_at: datetime

    @property
    def minutes(self) -> int:
        return (self.ends_at - self.starts_at) // timedelta(minutes=1)


class SunsetQuerySet(models.QuerySet["Sunset"]):
    def in_force(self) -> Self:
        return self.filter(withdrawn_at__isnull=True)

    def of(self, account: Account) -> Self:
        """The one that counts for an account, first: its group's stands in place of the one for all accounts."""
        theirs = Q(group__isnull=True) | Q(group__places__account=account)
        return self.in_force().filter(theirs).order_by(F("group").asc(nulls_last=True))

    def spared(self, *, now: datetime) -> Q:
        """Of rows with an `account`, those whose account's keys have not met their announced end."""
        in_force = self.in_force()
        ended = in_force.filter(authentication_ends_at__lte=now)
        if not ended.exists():
            return Q()
        spared = ~Q(account__grouped__group__in=ended.filter(group__isnull=False).values("group"))
        if ended.filter(group__isnull=True).exists():  # but for groups that have an announcement of their own
            spared &= Q(account__grouped__group__in=in_force.filter(group__isnull=False).values("group"))
        return spared

    def that_ends_the_key_of(self, account: Account) -> "Sunset | None":
        """What is announced for calls with the account's key, while it has one to lose."""
        counts = self.of(account).filter(Exists(ApiKey.objects.active().filter(account=account))).first()
        return counts if counts is not None and counts.authentication_ends_at else None

    def creation_has_ended_for(self, account: Account) -> bool:
        """By the database's clock, as every end by date is judged; a key that opens nothing is none to create."""
        ended = Q(creation_ends_at__lte=Now()) | Q(authentication_ends_at__lte=Now())
        counts = self.of(account).annotate(creation_has_ended=ended).values_list("creation_has_ended", flat=True)
        return bool(counts.first())


SunsetManager = models.Manager.from_queryset(SunsetQuerySet)


class Sunset(models.Model):
    """One announcement, for a group of accounts or for all. At most one of each is in force; the rest is history."""

    group = models.ForeignKey(
        AccountGroup, verbose_name=_("group"), null=True, on_delete=models.PROTECT, related_name="sunsets"
    )
    creation_ends_at = models.DateTimeField(_("no new keys from"), null=True)
    authentication_ends_at = models.DateTimeField(_("no calls from"), null=True)
    brownouts = models.JSONField(_("brownouts"), default=list)  # [start, end], ISO 8601 in UTC; see `rehearsals`
    announced_at = models.DateTimeField(_("announced"))
    edition = models.PositiveIntegerField(default=1)  # raised by each change: people are told anew
    changed_at = models.DateTimeField(_("changed"))  # when this edition was made
    told = models.CharField(max_length=16, blank=True)  # "edition:days" of the newest word that everybody was sent
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True)

    objects = SunsetManager()

    class Meta:
        verbose_name = _("sunset of API keys")
        verbose_name_plural = _("sunsets of API keys")
        constraints: ClassVar = [
            models.UniqueConstraint(
                Coalesce("group", 0), condition=Q(withdrawn_at__isnull=True), name="sunset_one_in_force"
            ),
            models.CheckConstraint(
                condition=Q(creation_ends_at__isnull=False) | Q(authentication_ends_at__isnull=False),
                name="sunset_ends_something",
            ),
            models.CheckConstraint(
                condition=Q(creation_ends_at__isnull=True)
                | Q(authentication_ends_at__isnull=True)
                | Q(creation_ends_at__lte=F("authentication_ends_at")),
                name="sunset_creation_ends_first",
            ),
        ]

    def __str__(self) -> str:
        return str(_("Sunset for %(group)s") % {"group": self.group or _("all accounts")})

    def days_left(self, *, now: datetime) -> int:
        """Until calls end; the day that has begun counts."""
        if self.authentication_ends_at is None:
            raise ValueError("No end of calls is announced.")
        return -((now - self.authentication_ends_at) // timedelta(days=1))

    @property
    def is_in_force(self) -> bool:
        return self.withdrawn_at is None

    @property
    def rehearsals(self) -> list[Brownout]:
        return [Brownout(*map(datetime.fromisoformat, one)) for one in self.brownouts]

    @property
    def facts(self) -> dict[str, str]:
        """What it says, for entries."""
        rehearsed = ", ".join(f"{_iso(one.starts_at)} ({one.minutes} min)" for one in self.rehearsals)
        return {
            "creation_ends_at": _iso(self.creation_ends_at) or "–",
            "authentication_ends_at": _iso(self.authentication_ends_at) or "–",
            "brownouts": rehearsed or "–",
        }

    @property
    def dates(self) -> dict[str, list[datetime]]:
        """When something begins or ends, by field."""
        return {
            "creation_ends_at": [self.creation_ends_at] if self.creation_ends_at else [],
            "authentication_ends_at": [self.authentication_ends_at] if self.authentication_ends_at else [],
            "brownouts": [one.starts_at for one in self.rehearsals],
        }

    @property
    def target(self) -> Target:
        return Target(kind="sunset", id=str(self.pk), name=str(self))

    def say(self, *, creation: datetime | None, authentication: datetime | None, brownouts: Sequence[Brownout]) -> None:
        """Take on what is announced, to the second: the headers know no less.

        :raises ValidationError: by field, for what contradicts itself.
        """
        ends = [creation, authentication, *(one.ends_at for one in brownouts)]
        if any(at is not None and at.year > LAST_YEAR for at in ends):
            too_far = _("No date after the year %(last)s.") % {"last": LAST_YEAR}
            raise ValidationError({"authentication_ends_at": too_far})
        self.creation_ends_at, self.authentication_ends_at = _to_the_second(creation), _to_the_second(authentication)
        whole = sorted(Brownout(_second(one.starts_at), _second(one.ends_at)) for one in brownouts)
        self.brownouts = [[_iso(one.starts_at), _iso(one.ends_at)] for one in whole]
        wrong = _contradictions(self.creation_ends_at, self.authentication_ends_at, whole)
        if wrong:
            raise ValidationError(wrong)

    def accounts(self) -> models.QuerySet[Account]:
        """Whom it concerns."""
        if self.group_id is not None:
            return Account.objects.filter(grouped__group=self.group_id)
        others = Sunset.objects.in_force().filter(group__isnull=False)
        return Account.objects.exclude(grouped__group__in=others.values("group"))


def _contradictions(
    creation: datetime | None, authentication: datetime | None, brownouts: Sequence[Brownout]
) -> dict[str, Any]:
    if creation is None and authentication is None:
        return {"authentication_ends_at": _("Name a date: of the last new key, of the last call, or both.")}
    if creation is not None and authentication is not None and creation > authentication:
        return {"creation_ends_at": _("New keys have to end before calls do, or with them.")}
    why = _why_no_brownouts(authentication, brownouts)
    return {"brownouts": why} if why else {}


def _why_no_brownouts(authentication: datetime | None, brownouts: Sequence[Brownout]) -> Any:
    if len(brownouts) > MOST_BROWNOUTS:
        return _("At most %(most)s brownouts.") % {"most": MOST_BROWNOUTS}
    for one in brownouts:
        if not timedelta(minutes=1) <= one.ends_at - one.starts_at <= LONGEST_BROWNOUT:
            return _("A brownout lasts from one minute to one day.")
        if authentication is None or one.ends_at > authentication:
            return _("Brownouts rehearse the end of calls: each has to be over before it.")
    if any(earlier.ends_at > later.starts_at for earlier, later in pairwise(brownouts)):
        return _("Brownouts must not overlap.")
    return None


def _to_the_second(at: datetime | None) -> datetime | None:
    return _second(at) if at is not None else None


def _second(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at is not None else None
