"""What confirms a change to the account API key, and what operators say of a connected app."""

import unicodedata
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apikeys.models import ConnectedApp

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
