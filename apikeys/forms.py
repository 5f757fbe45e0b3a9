"""What confirms a change to the account API key, and what operators say of a connected app."""

import unicodedata
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import AccountGroup
from apikeys.models import ConnectedApp, Sunset
from apikeys.models.sunset import Brownout

MOST_GENERATIONS = 2**31 - 1  # what the column holds


class RotateForm(forms.Form):
    """Names the generation that the reader saw, so that of two who rotate at once one is told."""

    generation = forms.IntegerField(min_value=1, widget=forms.HiddenInput)


class PreviousForm(forms.Form):
    """Which ended generation is looked at; by default the newest."""

    generation = forms.IntegerField(min_value=1, max_value=MOST_GENERATIONS, required=False)


class DeactivateForm(RotateForm):
    confirmation = forms.CharField(
        label=gettext_lazy("Type the account’s name to confirm"),
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, account_name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account_name = account_name

    def clean_confirmation(self) -> str:
        typed: str = self.cleaned_data["confirmation"]
        if unicodedata.normalize("NFC", typed).split() != self.account_name.split():
            raise forms.ValidationError(_("This is not the account’s name. Type it as it stands above."))
        return typed


class LinesField(forms.CharField):
    """A list, one item a line."""

    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=forms.Textarea({"rows": 5, "cols": 80, "spellcheck": "false"}), **kwargs)

    def clean(self, value: Any) -> list[str]:
        text: str = super().clean(value)
        return [line.strip() for line in text.splitlines() if line.strip()]


class ConnectedAppForm(forms.Form):
    """Taken apart here; judged by the model."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        widget=forms.TextInput({"autocomplete": "off", "size": "60"}),
        help_text=gettext_lazy("By which people decide whether to let it into their account."),
    )
    redirect_uris = LinesField(
        label=gettext_lazy("Redirect URIs"),
        max_length=6_000,
        help_text=gettext_lazy(
            "One a line, up to ten, compared letter by letter. https, or http on 127.0.0.1 or [::1]."
        ),
    )
    scopes = LinesField(
        label=gettext_lazy("Scopes"), max_length=12_000, help_text=gettext_lazy("That it may ask for, one a line.")
    )

    @staticmethod
    def of(app: ConnectedApp) -> dict[str, str]:
        """The form's values for an app as it is registered."""
        return {"name": app.name, "redirect_uris": "\n".join(app.redirect_uris), "scopes": "\n".join(app.scopes)}


class BrownoutsField(LinesField):
    """Starts and lengths of brownouts, one a line, in the reader's time zone."""

    def clean(self, value: Any) -> list[Brownout]:  # type: ignore[override]  # the lines, taken further
        return [self._brownout(line) for line in super().clean(value)]

    def _brownout(self, line: str) -> Brownout:
        start, _blank, minutes = line.rpartition(" ")
        try:
            starts_at: datetime = forms.DateTimeField().clean(start)
            lasts: int = forms.IntegerField(min_value=1, max_value=24 * 60).clean(minutes)
            return Brownout(starts_at, starts_at + timedelta(minutes=lasts))
        except (forms.ValidationError, OverflowError) as mistake:
            message = _("“%(line)s” is not a start and minutes, such as 2026-10-01 14:00 10.")
            raise forms.ValidationError(message % {"line": line}) from mistake

    @staticmethod
    def lines(brownouts: list[Brownout]) -> str:
        return "\n".join(f"{localtime(one.starts_at):%Y-%m-%d %H:%M} {one.minutes}" for one in brownouts)


def _calendar() -> forms.DateTimeInput:
    return forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class SunsetDatesForm(forms.Form):
    """The dates of an announced end; whether they go together is the model's to say."""

    creation_ends_at = forms.DateTimeField(
        label=gettext_lazy("No new keys from"),
        required=False,
        widget=_calendar(),
        help_text=gettext_lazy("Accounts that have no key get none from then on. Those that have one still rotate it."),
    )
    authentication_ends_at = forms.DateTimeField(
        label=gettext_lazy("No calls from"),
        required=False,
        widget=_calendar(),
        help_text=gettext_lazy("Every call with an account key is refused from then on."),
    )
    brownouts = BrownoutsField(
        label=gettext_lazy("Brownouts"),
        required=False,
        max_length=2_000,
        help_text=gettext_lazy(
            "For a few minutes calls are refused as if the end had come. One a line: start and minutes, "
            "such as 2026-10-01 14:00 10."
        ),
    )

    @property
    def announced(self) -> dict[str, Any]:
        return {
            "creation": self.cleaned_data["creation_ends_at"],
            "authentication": self.cleaned_data["authentication_ends_at"],
            "brownouts": self.cleaned_data["brownouts"],
        }

    @staticmethod
    def of(sunset: Sunset) -> dict[str, Any]:
        """The form's values for what is announced."""
        return {
            "creation_ends_at": sunset.creation_ends_at,
            "authentication_ends_at": sunset.authentication_ends_at,
            "brownouts": BrownoutsField.lines(sunset.rehearsals),
        }


class SunsetForm(SunsetDatesForm):
    group = forms.ModelChoiceField(
        AccountGroup.objects.order_by("name"),
        label=gettext_lazy("Group"),
        required=False,
        empty_label=gettext_lazy("All accounts"),
        help_text=gettext_lazy("What is announced for a group stands in place of what is announced for all."),
    )

    field_order = ("group",)

    @property
    def announced(self) -> dict[str, Any]:
        return super().announced | {"group": self.cleaned_data["group"]}
