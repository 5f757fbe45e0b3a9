"""What operators do with groups of accounts in the admin."""

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import operations
from accounts.forms import GroupForm, SlugsForm
from accounts.models import Account, AccountGroup
from accounts.operator_pages import operation_page, operator_of, operators_alone

PAGE = "admin:accounts_accountgroup_change"


@operators_alone
def create(request: HttpRequest) -> HttpResponse:
    form = GroupForm(request.POST or None)
    if form.is_valid():
        try:
            group = operations.create_group(by=operator_of(request), now=timezone.now(), **form.cleaned_data)
        except ValidationError as refusal:
            form.add_error(None, refusal)
        else:
            messages.success(request, _("The group is made. Put accounts into it."))
            return redirect(PAGE, group.pk)
    says = _("What is announced for a group counts for its accounts, in place of what is announced for all.")
    title, button = _("Make a group of accounts"), _("Make the group")
    return operation_page(request, AccountGroup(), form, title=title, button=button, says=says)


@operators_alone
def add_accounts(request: HttpRequest, pk: int) -> HttpResponse:
    group = get_object_or_404(AccountGroup, pk=pk)
    says = _("An account is in one group at most: whichever it was in before, it leaves.")
    return _move(request, group, group, title=_("Put accounts into %(group)s"), button=_("Put in"), says=says)


@operators_alone
def remove_accounts(request: HttpRequest, pk: int) -> HttpResponse:
    group = get_object_or_404(AccountGroup, pk=pk)
    says = _("What is announced for all accounts counts for them from now on.")
    return _move(request, group, None, title=_("Take accounts out of %(group)s"), button=_("Take out"), says=says)


def _move(
    request: HttpRequest, group: AccountGroup, into: AccountGroup | None, *, title: str, button: str, says: str
) -> HttpResponse:
    form = SlugsForm(request.POST or None)
    if form.is_valid():
        accounts: list[Account] = form.cleaned_data["accounts"]
        strangers = [] if into else [one for one in accounts if operations.group_of(one) != group]
        if strangers:
            form.add_error("accounts", _("Not in this group: %(names)s.") % {"names": ", ".join(map(str, strangers))})
        else:
            # Commits, then waits until no gate can still judge by the old group (G1).
            moved = operations.move_accounts(accounts=accounts, group=into, by=operator_of(request), now=timezone.now())
            words = ngettext("%(moved)s account moved.", "%(moved)s accounts moved.", moved)
            messages.success(request, words % {"moved": moved})
            return redirect(PAGE, group.pk)
    return operation_page(request, group, form, title=title, button=button, says=says)


@operators_alone
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    group = get_object_or_404(AccountGroup, pk=pk)
    form = forms.Form(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            operations.delete_group(group=group, by=operator_of(request), now=timezone.now())
        except operations.GroupError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("The group is deleted."))
            return redirect("admin:accounts_accountgroup_changelist")
    says = _("Only a group that holds no account, and for which nothing was ever announced, can be deleted.")
    return operation_page(request, group, form, title=_("Delete %(group)s"), button=_("Delete"), says=says)
