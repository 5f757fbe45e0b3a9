"""Where a person lands, the accounts they may open, and the person's own settings."""

from allauth.account.decorators import reauthentication_required
from allauth.account.utils import get_next_redirect_url
from allauth.account.views import password_set
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import invitations, mail_kinds, operations, themes
from accounts.forms import AccountForm, MailChoicesForm, ProfileForm
from accounts.guards import person, requires
from accounts.models import Account, Member, User
from accounts.permissions import GRANTS, Permission, Role
from auditlog.actions import Action


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return redirect("accounts:choose" if request.user.is_authenticated else "account_login")


@login_required
@never_cache
@require_safe
def choose(request: HttpRequest) -> HttpResponse:
    """The person's accounts; straight on to the only one."""
    places = Member.objects.active().filter(user=person(request)).select_related("account").order_by("account__name")
    if len(places) == 1:
        return redirect("accounts:account", places[0].account.slug)
    offered = invitations.offered_to(person(request), now=timezone.now())
    return render(request, "accounts/choose.html", {"places": places, "offered": offered})


@requires(Permission.SEE_ACCOUNT)
@require_safe
def account(request: HttpRequest, member: Member) -> HttpResponse:  # noqa: ARG001 -- what a view is given
    return redirect("apikeys:api-key", member.account.slug)


@requires(Permission.MANAGE_ACCOUNT, attempt=Action.ACCOUNT_SETTINGS_CHANGED)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account_settings(request: HttpRequest, member: Member) -> HttpResponse:
    its = {"name": member.account.name, "time_zone": member.account.time_zone}
    form = AccountForm(request.POST or None, initial=its)
    if form.is_valid():
        # A copy: what is refused must not change what the page calls the account.
        account = Account.objects.get(pk=member.account_id)
        try:
            operations.change_settings(account=account, by=member, now=timezone.now(), **form.cleaned_data)
        except operations.PeopleError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Saved."))
            return redirect("accounts:settings", account.slug)
    status = 400 if form.errors else 200
    return render(request, "accounts/settings.html", {"member": member, "form": form}, status=status)


@requires(Permission.SEE_ACCOUNT)
@never_cache
@require_safe
def roles(request: HttpRequest, member: Member) -> HttpResponse:
    """The table of permissions, as it stands in code."""
    table = [(permission, [(role, permission in GRANTS[role]) for role in Role]) for permission in Permission]
    return render(request, "accounts/roles.html", {"member": member, "roles": list(Role), "table": table})


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    # A copy: an invalid form must not change what the page calls the person.
    user = User.objects.get(pk=person(request).pk)
    form = ProfileForm(request.POST or None, instance=user)
    if form.is_valid():
        operations.save_profile(user, now=timezone.now())
        messages.success(request, _("Saved."))
        return redirect("profile")
    at_once = [kind.title for kind in mail_kinds.KINDS.values() if kind.duty is mail_kinds.Duty.AT_ONCE]
    context = {"form": form, "mails_form": MailChoicesForm(user=user), "always": at_once}
    return render(request, "accounts/profile.html", context)


@login_required
@never_cache
@require_safe
def no_proof(request: HttpRequest) -> HttpResponse:
    """For who has neither password nor second factor, and cannot prove anything: how to get one."""
    return render(request, "accounts/no_proof.html")


# Behind a proof: allauth's own would let a session alone choose the password of who has none.
set_password = reauthentication_required(password_set)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember light or dark, and go back to where the reader was."""
    response = redirect(get_next_redirect_url(request) or "home")
    choice = request.POST.get("theme")
    if choice in themes.Theme.values:
        response.set_cookie(
            themes.COOKIE,
            choice,
            max_age=themes.COOKIE_AGE,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return response
