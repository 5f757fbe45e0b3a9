"""Who is in an account: the list, another role, removing somebody, leaving."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import bounces, invitations, operations, role_mailboxes
from accounts.forms import RoleForm
from accounts.guards import recently_authenticated, requires
from accounts.models import Member
from accounts.permissions import Permission
from auditlog.actions import Action


@requires(Permission.SEE_ACCOUNT)
@never_cache
@require_safe
def members(request: HttpRequest, member: Member) -> HttpResponse:
    everybody = member.account.members.active().select_related("user").order_by("user__name", "user__email")
    mailbox = role_mailboxes.confirmed(member.account)
    bounced = bounces.of_addresses([*(one.user.email for one in everybody), *([mailbox] if mailbox else [])])
    context: dict[str, Any] = {
        "member": member,
        "everybody": [(one, bounced.get(one.user.email)) for one in everybody],
        "role_mailbox": mailbox,
        "role_mailbox_waits": role_mailboxes.waiting(member.account),
        "mailbox_bounced": bounced.get(mailbox or ""),
    }
    if member.may(Permission.MANAGE_MEMBERS):
        context["waiting"] = invitations.waiting(member.account, now=timezone.now())
    return render(request, "accounts/members.html", context)


@requires(Permission.MANAGE_MEMBERS, attempt=Action.MEMBER_ROLE_CHANGED)
@recently_authenticated()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def role(request: HttpRequest, member: Member, member_id: int) -> HttpResponse:
    other = _in_the_account(member, member_id)
    form = RoleForm(request.POST or None, initial={"role": other.role})
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            changed = operations.change_role(member=other, **form.cleaned_data, by=member, now=timezone.now())
        except operations.PeopleError as refusal:
            form.add_error(None, str(refusal))
            status = 409
        else:
            now_they_are = {"person": changed, "role": changed.get_role_display()}
            messages.success(request, _("%(person)s now has the role: %(role)s.") % now_they_are)
            return redirect("accounts:members", member.account.slug)
    return render(request, "accounts/member_role.html", {"member": member, "other": other, "form": form}, status=status)


@requires(Permission.MANAGE_MEMBERS, attempt=Action.MEMBER_REMOVED)
@recently_authenticated()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, member: Member, member_id: int) -> HttpResponse:
    other = _in_the_account(member, member_id)
    if other == member:
        return redirect("accounts:members-leave", member.account.slug)
    context = {"member": member, "other": other}
    if request.method == "POST":
        try:
            operations.remove(member=other, by=member, now=timezone.now())
        except operations.PeopleError as refusal:
            return render(request, "accounts/member_remove.html", {**context, "refusal": refusal}, status=409)
        messages.success(request, _("%(person)s was removed from this account.") % {"person": other})
        return redirect("accounts:members", member.account.slug)
    return render(request, "accounts/member_remove.html", context)


@requires(Permission.SEE_ACCOUNT)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def leave(request: HttpRequest, member: Member) -> HttpResponse:
    if request.method == "POST":
        try:
            operations.leave(member=member, now=timezone.now())
        except operations.PeopleError as refusal:
            context = {"member": member, "refusal": refusal}
            return render(request, "accounts/members_leave.html", context, status=409)
        messages.success(request, _("You have left %(account)s.") % {"account": member.account})
        return redirect("accounts:choose")
    return render(request, "accounts/members_leave.html", {"member": member})


def _in_the_account(member: Member, member_id: int) -> Member:
    return get_object_or_404(member.account.members.active().select_related("account", "user"), pk=member_id)
