"""What people fill in about themselves."""

from typing import Any, ClassVar
from zoneinfo import available_timezones

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]  # Django itself has no generic forms
    class Meta:
        model = User
        fields: ClassVar = ["name", "time_zone"]
        labels: ClassVar = {"name": _("Your name"), "time_zone": _("Time zone")}
        help_texts: ClassVar = {
            "name": _("Shown to other members and in the audit log."),
            "time_zone": _("Every time in the portal is shown in this zone."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = [(name, name.replace("_", " ")) for name in sorted(available_timezones())]
        self.fields["time_zone"] = forms.ChoiceField(
            choices=zones, label=self.fields["time_zone"].label, help_text=self.fields["time_zone"].help_text
        )


class PlanForm(forms.Form):
    """An account's limits, as an operator sets them."""

    burst_limit = forms.IntegerField(label=_("Calls in any 10 seconds"), min_value=0, max_value=10**9)
    daily_limit = forms.IntegerField(label=_("Calls a day"), min_value=0, max_value=10**12)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        widget=forms.TextInput({"autocomplete": "off", "size": "80"}),
        help_text=_("Those who may read the account’s audit log read it there."),
    )


class AccessRequestForm(forms.Form):
    reason = forms.CharField(max_length=200)


class OperatorForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        widget=forms.EmailInput({"autocomplete": "off", "size": "60"}),
        help_text=_("Of somebody who signs in here, or of somebody new, who then chooses a password."),
    )
