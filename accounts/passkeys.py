"""Passkeys, and nothing less: what is enrolled verifies its person by itself and signs in alone."""

from typing import Any

from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    EditWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from fido2.webauthn import AuthenticationResponse, RegistrationResponse

from accounts.names import validate_name

NAME_LENGTH = 100
CREDENTIAL_LENGTH = 50_000  # characters; with the longest attestation a few thousand


class CredentialField(forms.JSONField):
    """What the browser says of a passkey. fido2 and allauth fall over much that no browser sends: it ends here."""

    widget = forms.HiddenInput

    def __init__(self, shape: type[AuthenticationResponse | RegistrationResponse], **options: Any) -> None:
        super().__init__(**options)
        self.shape = shape

    def to_python(self, value: Any) -> Any:
        refusal = ValidationError(_("This is no passkey. Try again."), code="invalid")
        if isinstance(value, str) and len(value) > CREDENTIAL_LENGTH:
            raise refusal
        try:
            credential = super().to_python(value)
            if credential is not None:
                self.shape.from_dict(credential)
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as failure:
            raise refusal from failure
        return credential


class AddPasskeyForm(AddWebAuthnForm):
    name = forms.CharField(
        label=_("Name"),
        max_length=NAME_LENGTH,
        required=False,
        validators=[validate_name],
        help_text=_("By which you will know it: the device it is on."),
    )
    credential = CredentialField(RegistrationResponse)
    passwordless = forms.BooleanField(widget=forms.HiddenInput, initial=True)


class RenamePasskeyForm(EditWebAuthnForm):
    name = forms.CharField(label=_("Name"), max_length=NAME_LENGTH, validators=[validate_name])


class AuthenticateByPasskeyForm(AuthenticateWebAuthnForm):
    credential = CredentialField(AuthenticationResponse)


class SignInByPasskeyForm(LoginWebAuthnForm):
    credential = CredentialField(AuthenticationResponse)


class ReauthenticateByPasskeyForm(ReauthenticateWebAuthnForm):
    credential = CredentialField(AuthenticationResponse)
