"""Invitations: sending them, looking after those that wait, and the page that the link in the mail opens."""

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import invitations
from accounts.forms import InviteForm, NewPersonForm
from accounts.guards import only_posted, recently_authenticated, requires
from accounts.models import Invitation, Member, User
from accounts.operations import PeopleError
from accounts.permissions import Permission, Role
from auditlog.actions import Action

PAGE = "accounts:members"


@requires(Permission.MANAGE_MEMBERS, attempt=Action.MEMBER_INVITED)
@recently_authenticated()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: HttpRequest, member: Member) -> HttpResponse:
    form = InviteForm(request.POST or None, inviter=Role(member.role))
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            sent = invitations.invite(account=member.account, **form.cleaned_data, by=member, now=timezone.now())
        except PeopleError as refusal:
            form.add_error(None, str(refusal))
            status = 409
        else:
            messages.success(request, _("An invitation is on its way to %(email)s.") % {"email": sent.email})
            return redirect("accounts:members", member.account.slug)
    return render(request, "accounts/invite.html", {"member": member, "form": form}, status=status)


@requires(Permission.MANAGE_MEMBERS, attempt=Action.MEMBER_INVITATION_RESENT, come_back_to=PAGE)
@only_posted(otherwise=PAGE)
@recently_authenticated(come_back_to=PAGE)
@never_cache
def send_again(request: HttpRequest, member: Member, invitation_id: int) -> HttpResponse:
    invitation = get_object_or_404(member.account.invitations, pk=invitation_id)
    try:
        invitations.send_again(invitation=invitation, by=member, now=timezone.now())
    except PeopleError as refusal:
        messages.error(request, str(refusal))
    else:
        said = _("A new link is on its way to %(email)s. The old one works no longer.") % {"email": invitation.email}
        messages.success(request, said)
    return redirect("accounts:members", member.account.slug)


@requires(Permission.MANAGE_MEMBERS, attempt=Action.MEMBER_INVITATION_WITHDRAWN, come_back_to=PAGE)
@only_posted(otherwise=PAGE)
@recently_authenticated(come_back_to=PAGE)
@never_cache
def withdraw(request: HttpRequest, member: Member, invitation_id: int) -> HttpResponse:
    invitation = get_object_or_404(member.account.invitations, pk=invitation_id)
    try:
        invitations.withdraw(invitation=invitation, by=member, now=timezone.now())
    except PeopleError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("The invitation to %(email)s is withdrawn.") % {"email": invitation.email})
    return redirect("accounts:members", member.account.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters("password")
def accept(request: HttpRequest, token: str) -> HttpResponse:
    """Opening the link changes nothing; sending the form gives the place."""
    invitation = invitations.found_by(token)
    if invitation is None:
        raise Http404
    why = invitations.why_void(invitation, now=timezone.now())
    if why:
        return render(request, "accounts/invitation_void.html", {"invitation": invitation, "refusal": why}, status=410)
    if isinstance(request.user, User):
        return _for_who_is_signed_in(request, invitation, request.user)
    if User.objects.with_address(invitation.email).exists():
        return render(request, "accounts/invitation.html", {"invitation": invitation, "must_sign_in": True})
    return _for_a_new_person(request, invitation)


def _for_who_is_signed_in(request: HttpRequest, invitation: Invitation, user: User) -> HttpResponse:
    context = {"invitation": invitation}
    if user.email.casefold() != invitation.email.casefold():
        return render(request, "accounts/invitation_not_for_you.html", context, status=403)
    if request.method == "POST":
        try:
            member = invitations.accept(invitation=invitation, user=user, now=timezone.now())
        except PeopleError as refusal:
            return render(request, "accounts/invitation_void.html", {**context, "refusal": refusal}, status=409)
        messages.success(request, _("Welcome to %(account)s.") % {"account": member.account})
        return redirect("accounts:account", member.account.slug)
    return render(request, "accounts/invitation.html", context)


def _for_a_new_person(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    form = NewPersonForm(request.POST or None, email=invitation.email)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            member = invitations.accept_as_new_person(
                invitation=invitation, **form.cleaned_data, language=get_language(), now=timezone.now()
            )
        except PeopleError as refusal:
            form.add_error(None, str(refusal))
            status = 409
        else:
            login = Login(user=member.user, redirect_url=reverse("accounts:account", args=[member.account.slug]))
            signed_in: HttpResponse = perform_password_login(request, {"email": member.user.email}, login)
            return signed_in
    return render(request, "accounts/invitation.html", {"invitation": invitation, "form": form}, status=status)
