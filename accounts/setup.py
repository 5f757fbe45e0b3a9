"""The one-time link of a new installation: it makes the first account, its super admin, and with them an operator.

One-time by construction: the link counts only while there is no user, and whoever uses it becomes the first.
"""

from datetime import datetime

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django import forms
from django.conf import settings
from django.core import signing
from django.db import connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import operations, site
from accounts.actors import Operator
from accounts.forms import AddressField, NewPersonForm
from accounts.models import Account, User
from accounts.names import validate_name

_signer = signing.Signer(salt="accounts.setup")
_WHAT = "set-up"


class AlreadySetUpError(Exception):
    """Somebody was first."""


def link() -> str | None:
    """The address to open, or None once there is a user."""
    if User.objects.exists():
        return None
    token = _signer.sign(_WHAT).rpartition(_signer.sep)[2]
    return site.link_to("set-up", token)


class SetUpForm(NewPersonForm):
    account_name = forms.CharField(
        label=_("Account"),
        max_length=100,
        validators=[validate_name],
        help_text=_("The company or team it is for."),
    )
    email = AddressField(label=_("Your e-mail address"), widget=forms.EmailInput({"autocomplete": "email"}))

    field_order = ("account_name", "name", "email", "password")


def make_first_account(
    *,
    account_name: str,
    name: str,
    email: str,
    password: str,
    now: datetime,
    language: str = settings.LANGUAGE_CODE,
) -> Account:
    """Make the first user (operator and super admin) and the first account, both or neither.

    :raises AlreadySetUpError: if there is a user already.
    :raises django.core.exceptions.ValidationError: for a name that cannot be.
    """
    user = User(email=email, name=name, language=language, is_staff=True, is_superuser=True)
    user.set_password(password)  # takes its time by design: before everybody else's writes wait for this
    with transaction.atomic():
        _wait_for_others()
        if User.objects.exists():
            raise AlreadySetUpError
        user.save(force_insert=True)
        operations.prove_address(user)  # whoever holds the link holds the server, and vouches for it
        slug = slugify(account_name)[:50] or "account"
        return operations.create_account(name=account_name, slug=slug, super_admin=user, by=Operator(user), now=now)


def _wait_for_others() -> None:
    """Of two at once, the second reads after the first has committed. On SQLite, BEGIN IMMEDIATE sees to that."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {User._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")


@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters("password")
def set_up(request: HttpRequest, token: str) -> HttpResponse:
    """Opening the link changes nothing; sending the form makes the account and signs in."""
    try:
        _signer.unsign(f"{_WHAT}{_signer.sep}{token}")
    except signing.BadSignature as failure:
        raise Http404 from failure
    form = SetUpForm(request.POST or None)
    if User.objects.exists():
        return render(request, "accounts/setup.html", status=410)
    if form.is_valid():
        try:
            account = make_first_account(**form.cleaned_data, language=get_language(), now=timezone.now())
        except AlreadySetUpError:
            return render(request, "accounts/setup.html", status=410)
        user = account.super_admins().get().user
        login = Login(user=user, redirect_url=reverse("accounts:account", args=[account.slug]))
        signed_in: HttpResponse = perform_password_login(request, {"email": user.email}, login)
        return signed_in
    return render(request, "accounts/setup.html", {"form": form})
