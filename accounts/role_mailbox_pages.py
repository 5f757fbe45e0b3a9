"""The mailbox that gets an account's reminders too: naming it, removing it, and the page that its link opens."""

from allauth.decorators import rate_limit
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import role_mailboxes
from accounts.forms import RoleMailboxForm
from accounts.guards import only_posted, recently_authenticated, requires
from accounts.models import Member, User
from accounts.operations import PeopleError
from accounts.permissions import Permission
from auditlog.actions import Action

PAGE = "accounts:members-role-mailbox"


@requires(Permission.MANAGE_ROLE_MAILBOX, attempt=Action.ACCOUNT_MAILBOX_NAMED)
@recently_authenticated()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@rate_limit(action="name_mailbox")
def page(request: HttpRequest, member: Member) -> HttpResponse:
    form = RoleMailboxForm(request.POST or None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            mailbox = role_mailboxes.name(account=member.account, **form.cleaned_data, by=member, now=timezone.now())
        except PeopleError as refusal:
            form.add_error(None, str(refusal))
            status = 409
        else:
            said = _("A link is on its way to %(email)s. Reminders go there once somebody has confirmed it.")
            messages.success(request, said % {"email": mailbox.email})
            return redirect(PAGE, member.account.slug)
    return _page(request, member, form, status=status)


def _page(request: HttpRequest, member: Member, form: RoleMailboxForm, *, status: int) -> HttpResponse:
    mailboxes = member.account.role_mailboxes.select_related("named_by__user").order_by("named_at")
    now = timezone.now()
    known = [(one, "" if one.confirmed_at else role_mailboxes.why_void(one, now=now)) for one in mailboxes]
    context = {"member": member, "form": form, "mailboxes": known}
    return render(request, "accounts/role_mailbox.html", context, status=status)


@requires(Permission.MANAGE_ROLE_MAILBOX, attempt=Action.ACCOUNT_MAILBOX_REMOVED, come_back_to=PAGE)
@only_posted(otherwise=PAGE)
@recently_authenticated(come_back_to=PAGE)
@never_cache
def remove(request: HttpRequest, member: Member, mailbox_id: int) -> HttpResponse:
    mailbox = get_object_or_404(member.account.role_mailboxes, pk=mailbox_id)
    try:
        role_mailboxes.remove(mailbox=mailbox, by=member, now=timezone.now())
    except PeopleError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("%(email)s is removed: no reminder goes there.") % {"email": mailbox.email})
    return redirect(PAGE, member.account.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Opening the link changes nothing; sending the form does. Whoever reads the mailbox may: they need not sign in."""
    now = timezone.now()
    mailbox = role_mailboxes.found_by(token, now=now)
    if mailbox is None:
        return render(request, "accounts/role_mailbox_void.html", status=410)
    if request.method == "POST":
        user = request.user if isinstance(request.user, User) else None
        try:
            role_mailboxes.confirm(mailbox=mailbox, user=user, now=now)
        except PeopleError:
            return render(request, "accounts/role_mailbox_void.html", status=409)
        return render(request, "accounts/role_mailbox_confirmed.html", {"mailbox": mailbox})
    return render(request, "accounts/role_mailbox_confirm.html", {"mailbox": mailbox})
