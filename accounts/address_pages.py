"""One's own e-mail address: what it is, asking for another, and the page that the link in the mail opens."""

from allauth.account.decorators import reauthentication_required
from allauth.decorators import rate_limit
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import proofs_by_mail
from accounts.forms import NewAddressForm
from accounts.guards import person


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@reauthentication_required(allow_get=True)  # entries, reminders and links for passwords go by the address
@rate_limit(action="manage_email")
def page(request: HttpRequest) -> HttpResponse:
    """Ask for another address. Whether somebody else signs in with it, only who reads its mail learns."""
    user = person(request)
    form = NewAddressForm(request.POST or None, present=user.email)
    if form.is_valid():
        email = form.cleaned_data["email"]
        proofs_by_mail.owe(proofs_by_mail.NEW_ADDRESS, user=user, to=email, now=timezone.now())
        said = _("If nobody signs in with it yet, a link is on its way to %(email)s.") % {"email": email}
        messages.success(request, said)
        return redirect("account_email")
    return render(request, "account/email.html", {"form": form}, status=400 if form.errors else 200)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest, token: str) -> HttpResponse:
    """Opening the link changes nothing; sending the form does."""
    user = person(request)
    email = proofs_by_mail.new_address_of(token, user=user)
    if email is None:
        return render(request, "account/email_change_void.html", status=410)
    if request.method == "POST":
        try:
            proofs_by_mail.change_address(user=user, email=email, now=timezone.now())
        except (proofs_by_mail.TakenError, proofs_by_mail.LinkOverError) as refusal:
            return render(request, "account/email_change_void.html", {"refusal": refusal}, status=409)
        messages.success(request, _("You sign in with %(email)s from now on.") % {"email": email})
        return redirect("profile")
    return render(request, "account/email_change.html", {"email": email})
