"""What super admins fill in before a rotation: for when it is planned, how long its reminder waits, who sees to it."""

from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Member
from accounts.names import refuse_secret
from apikeys.forms import RotateForm
from apikeys.operations.rotation_plans import MOST_AHEAD
from apikeys.operations.snoozes import MOST_DAYS

LOCAL = "%Y-%m-%dT%H:%M"  # how browsers write a local date and time
SUNDAY = 6


class LocalTimeField(forms.CharField):
    """A date and time as a clock on the wall shows it: naive, to the minute."""

    widget = forms.DateTimeInput

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateTimeInput({"type": "datetime-local", "step": "60"}, format=LOCAL)
        super().__init__(widget=widget, max_length=19, **kwargs)

    def clean(self, value: Any) -> datetime:
        text: str = super().clean(value)
        for form in (LOCAL, f"{LOCAL}:%S"):
            with suppress(ValueError):
                return datetime.strptime(text, form).replace(second=0)  # noqa: DTZ007 -- it has no zone yet
        raise ValidationError(_("Write it as 2026-05-31T02:00."))


class PlanForm(RotateForm):
    """For when a rotation is planned, by the clocks of the reader's time zone.

    A time that the clocks skip is refused. Of one that they show twice, the form asks for which is meant.
    """

    at = LocalTimeField(label=gettext_lazy("When"))
    which = forms.CharField(
        label=gettext_lazy("Which of the two"), required=False, max_length=6, widget=forms.HiddenInput
    )

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now = now
        here = timezone.localtime(now)
        field = self.fields["at"]
        field.widget.attrs |= {
            "min": here.strftime(LOCAL),
            "max": timezone.localtime(now + MOST_AHEAD).strftime(LOCAL),
        }
        field.initial = _next_sunday_night(here).strftime(LOCAL)
        zone = timezone.get_current_timezone_name().replace("_", " ")
        field.help_text = _("By the clocks of %(zone)s, the time zone of your profile; within 30 days.") % {
            "zone": zone
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "at" in cleaned and "which" not in self.errors:
            planned_for = self._instant(cleaned["at"], cleaned.get("which", ""))
            if planned_for is not None and not self.now < planned_for <= self.now + MOST_AHEAD:
                self.add_error("at", _("Choose a time that lies ahead, within 30 days."))
            cleaned["planned_for"] = planned_for
        return cleaned

    def _instant(self, wall: datetime, which: str) -> datetime | None:
        """The instant at which the reader's clocks show this; None, with an error, where that is not one."""
        if not self.now - timedelta(days=2) < wall.replace(tzinfo=UTC) < self.now + MOST_AHEAD + timedelta(days=2):
            self.add_error("at", _("Choose a time that lies ahead, within 30 days."))
            return None
        zone = timezone.get_current_timezone()
        early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if early == late:
            return early
        if early > late:  # PEP 495: so it is for times that are skipped
            self.add_error("at", _skipped(wall, early.astimezone(zone)))
            return None
        return self._chosen(which, early.astimezone(zone), late.astimezone(zone))

    def _chosen(self, which: str, early: datetime, late: datetime) -> datetime | None:
        offered = {
            "first": _("The first, at UTC%(offset)s") % {"offset": _offset(early)},
            "second": _("The second, at UTC%(offset)s") % {"offset": _offset(late)},
        }
        self.fields["which"].widget = forms.Select(choices=list(offered.items()))
        if which not in offered:
            self.add_error("which", _("The clocks show this time twice on that day: they are put back. Choose one."))
            return None
        return (early if which == "first" else late).astimezone(UTC)


def _skipped(wall: datetime, instead: datetime) -> str:
    return _(
        "The clocks skip %(time)s on that day: they are put forward. Choose another time, such as %(instead)s."
    ) % {
        "time": formats.time_format(wall.time(), "TIME_FORMAT"),
        "instead": formats.time_format(instead.time(), "TIME_FORMAT"),
    }


def _offset(at: datetime) -> str:
    text = at.strftime("%z")
    return f"{text[:3]}:{text[3:5]}"


def _next_sunday_night(here: datetime) -> datetime:
    """Two o'clock of the next Sunday that has not begun; the clocks may skip it."""
    days = (SUNDAY - here.weekday() - 1) % 7 + 1
    return datetime.combine(here.date() + timedelta(days=days), time(2))


class CancelPlanForm(forms.Form):
    plan = forms.UUIDField(widget=forms.HiddenInput)


class SnoozeForm(RotateForm):
    days = forms.IntegerField(
        label=gettext_lazy("For how many days"),
        min_value=1,
        max_value=MOST_DAYS,
        initial=7,
        help_text=gettext_lazy("1 to 30."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=200,
        validators=[refuse_secret],
        widget=forms.TextInput({"autocomplete": "off"}),
        help_text=gettext_lazy("The other super admins read it, and it is written to the audit log."),
    )


class HandOverForm(RotateForm):
    def __init__(self, *args: Any, by: Member, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = by.account.super_admins().exclude(pk=by.pk).order_by("user__name", "user__email")
        self.fields["to"] = _PersonField(label=_("To whom"), queryset=others, empty_label=None)


class _PersonField(forms.ModelChoiceField):  # type: ignore[type-arg]  # Django itself has no generic forms
    def label_from_instance(self, member: Member) -> str:
        user = member.user
        return f"{user.name} ({user.email})" if user.name else user.email
