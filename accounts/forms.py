"""What people fill in about themselves and about each other."""

from typing import Any, ClassVar
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts import addresses, mail_choices, mail_kinds
from accounts.models import Account, User
from accounts.names import refuse_secret, validate_name
from accounts.operations import accounts_named
from accounts.permissions import Role, may_hand_on


def _zones() -> list[tuple[str, str]]:
    return [(name, name.replace("_", " ")) for name in sorted(available_timezones())]


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]  # Django itself has no generic forms
    class Meta:
        model = User
        fields: ClassVar = ["name", "language", "time_zone"]
        labels: ClassVar = {"name": _("Your name"), "language": _("Language"), "time_zone": _("Time zone")}
        help_texts: ClassVar = {
            "name": _("Shown to other members and in the audit log."),
            "language": _("Of pages and mails, their dates and numbers."),
            "time_zone": _("Every time in the portal is shown in this zone."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (("language", settings.LANGUAGES), ("time_zone", _zones())):
            field = self.fields[name]
            self.fields[name] = forms.ChoiceField(choices=choices, label=field.label, help_text=field.help_text)


class AccountForm(forms.Form):
    """What super admins say of their account."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        validators=[validate_name],
        help_text=_("In pages and mails. The account’s address and number stay as they are."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=_zones,
        help_text=_("Its midnight begins the account’s day, by which the daily limit counts."),
    )


class MailChoicesForm(forms.Form):
    """When each kind of mail shall come that may be chosen; the fields are named by the kinds."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind, chosen in mail_choices.of(user).items():
            choices = [(one.value, one.label) for one in mail_choices.offered(kind)]
            label = str(mail_kinds.KINDS[kind].title)
            self.fields[kind] = forms.ChoiceField(choices=choices, label=label, initial=chosen)


class RoleForm(forms.Form):
    role = forms.ChoiceField(label=_("Role"), choices=Role)

    def clean_role(self) -> Role:
        return Role(self.cleaned_data["role"])


class AddressField(forms.CharField):
    """One address that can be written to; not stripped of line breaks first, but refused for them."""

    widget = forms.EmailInput

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=False, **kwargs)

    def to_python(self, value: Any) -> str:
        text = super().to_python(value) or ""
        return addresses.parse(text) if text.strip() else ""


class NewAddressForm(forms.Form):
    email = AddressField(label=_("New e-mail address"), widget=forms.EmailInput({"autocomplete": "email"}))

    def __init__(self, *args: Any, present: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.present = present

    def clean_email(self) -> str:
        email = User.objects.normalize_email(self.cleaned_data["email"])
        if email == self.present:
            raise ValidationError(_("You sign in with this address already."))
        return email


class InviteForm(RoleForm):
    email = AddressField(
        label=_("E-mail address"),
        help_text=_("One address. The invitation counts for it alone."),
        widget=forms.EmailInput({"autocomplete": "off"}),
    )

    field_order = ("email", "role")

    def __init__(self, *args: Any, inviter: Role, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = [(role.value, role.label) for role in Role if may_hand_on(inviter, role)]
        self.fields["role"] = forms.ChoiceField(label=_("Role"), choices=offered, initial=Role.MEMBER)


class RoleMailboxForm(forms.Form):
    email = AddressField(
        label=_("E-mail address"),
        help_text=_("One that several people read, such as platform-team@example.com."),
        widget=forms.EmailInput({"autocomplete": "off"}),
    )


class NewPersonForm(forms.Form):
    """Who has not been here before: comes by an invitation, or sets the portal up."""

    name = forms.CharField(
        label=_("Your name"),
        max_length=100,
        validators=[validate_name],
        help_text=_("Shown to other members and in the audit log."),
        widget=forms.TextInput({"autocomplete": "name"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        help_text=_("At least 10 characters."),
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, email: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.address = email

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "password" in cleaned:
            person = User(email=cleaned.get("email", self.address), name=cleaned.get("name", ""))
            try:
                validate_password(cleaned["password"], person)
            except ValidationError as refusal:
                self.add_error("password", refusal)
        return cleaned


class PlanForm(forms.Form):
    """An account's limits, as an operator sets them."""

    burst_limit = forms.IntegerField(label=_("Calls in any 10 seconds"), min_value=1, max_value=10**9)
    daily_limit = forms.IntegerField(label=_("Calls a day"), min_value=1, max_value=10**12)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        validators=[refuse_secret],
        widget=forms.TextInput({"autocomplete": "off", "size": "80"}),
        help_text=_("Those who may read the account’s audit log read it there."),
    )


class AssignAddressForm(ReasonForm):
    email = AddressField(label=_("New e-mail address"), widget=forms.EmailInput({"autocomplete": "off", "size": "60"}))

    field_order = ("email", "reason")


class AccessRequestForm(forms.Form):
    reason = forms.CharField(max_length=200, validators=[refuse_secret])


class OperatorForm(forms.Form):
    email = AddressField(
        label=_("E-mail address"),
        widget=forms.EmailInput({"autocomplete": "off", "size": "60"}),
        help_text=_("Of somebody who signs in here, or of somebody new, who then chooses a password."),
    )


class GroupForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        widget=forms.TextInput({"autocomplete": "off", "size": "60"}),
        help_text=_("For operators; accounts read it in their audit log when they are put into the group."),
    )


class SlugsForm(forms.Form):
    accounts = forms.CharField(
        label=_("Accounts"),
        max_length=60_000,
        widget=forms.Textarea({"rows": 8, "cols": 60, "spellcheck": "false"}),
        help_text=_("Their slugs, as they stand in addresses; one a line, up to 1,000."),
    )

    def clean_accounts(self) -> list[Account]:
        return accounts_named(self.cleaned_data["accounts"].split())
