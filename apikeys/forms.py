"""What confirms a change to the account API key."""

import unicodedata
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

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
