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
