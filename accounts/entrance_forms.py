"""allauth's forms in front of the portal, in the portal's words."""

from typing import Any, ClassVar

from allauth.account import forms
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import proofs_by_mail


class _InOurWords:
    labels: ClassVar[dict[str, Promise]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in self.labels.items():
            self.fields[name].label = label  # type: ignore[attr-defined] # of the form beside it


class SignInForm(_InOurWords, forms.LoginForm):  # type: ignore[misc] # allauth has no types
    labels: ClassVar = {"login": _("E-mail address"), "remember": _("Stay signed in for two weeks")}


class ForgottenPasswordForm(_InOurWords, forms.ResetPasswordForm):  # type: ignore[misc] # likewise
    labels: ClassVar = {"email": _("E-mail address")}

    def save(self, _request: HttpRequest, **_others: Any) -> str:
        """Not allauth's: that also takes addresses which were never confirmed, and answers sooner where nobody is."""
        email: str = self.cleaned_data["email"]
        proofs_by_mail.ask_for_new_password(email=email, now=timezone.now())
        return email


class NewPasswordForm(_InOurWords, forms.ResetPasswordKeyForm):  # type: ignore[misc] # likewise
    labels: ClassVar = {"password1": _("New password"), "password2": _("New password, again")}


class ChangePasswordForm(_InOurWords, forms.ChangePasswordForm):  # type: ignore[misc] # likewise
    labels: ClassVar = {
        "oldpassword": _("Current password"),
        "password1": _("New password"),
        "password2": _("New password, again"),
    }
