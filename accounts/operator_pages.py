"""What operators do in the admin: a page with a small form for each operation, changed by POST alone."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts import operations, operators, proofs_by_mail, standing
from accounts.actors import Operator
from accounts.forms import AssignAddressForm, OperatorForm, PlanForm, ReasonForm
from accounts.guards import is_recently_authenticated, proof_address
from accounts.models import Account, User

View = Callable[..., HttpResponse]


def operators_alone(view: View) -> View:
    """Let in operators who proved in the last five minutes who they are."""

    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not is_recently_authenticated(request):
            return redirect(proof_address(request, back=request.get_full_path()))
        return view(request, **kwargs)

    return admin.site.admin_view(require_http_methods(["GET", "HEAD", "POST"])(guarded))


@operators_alone
def plan(request: HttpRequest, pk: int) -> HttpResponse:
    account = get_object_or_404(Account, pk=pk)
    initial = {"burst_limit": account.burst_limit, "daily_limit": account.daily_limit}
    form = PlanForm(request.POST or None, initial=initial)
    if form.is_valid():
        operations.change_plan(account=account, by=operator_of(request), now=timezone.now(), **form.cleaned_data)
        messages.success(request, _("The plan is changed."))
        return redirect("admin:accounts_account_change", pk)
    says = _("The limits count from now on. Calls that were made today stay counted.")
    return operation_page(
        request, account, form, title=_("Plan of %(account)s"), button=_("Change the plan"), says=says
    )


def _state_page(run: operations.ChangesState, *, title: Promise, button: Promise, says: Promise, done: Promise) -> View:
    @operators_alone
    def page(request: HttpRequest, pk: int) -> HttpResponse:
        account = get_object_or_404(Account, pk=pk)
        form = ReasonForm(request.POST or None)
        if form.is_valid():
            try:
                # Commits, then waits until no gate can still judge by the old state (G1).
                run(account=account, by=operator_of(request), now=timezone.now(), **form.cleaned_data)
            except operations.StateError as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, str(done))
                return redirect("admin:accounts_account_change", pk)
        return operation_page(request, account, form, title=str(title), button=str(button), says=str(says))

    return page


suspend = _state_page(
    operations.suspend_account,
    title=gettext_lazy("Suspend %(account)s"),
    button=gettext_lazy("Suspend the account"),
    says=gettext_lazy("Every call of this account is refused at once, until the account is reopened. Nothing is lost."),
    done=gettext_lazy("The account is suspended: every call of it is refused."),
)
close = _state_page(
    operations.close_account,
    title=gettext_lazy("Close %(account)s"),
    button=gettext_lazy("Close the account"),
    says=gettext_lazy("Every call of this account is refused at once. Its logs and people stay; it can be reopened."),
    done=gettext_lazy("The account is closed: every call of it is refused."),
)
reopen = _state_page(
    operations.reopen_account,
    title=gettext_lazy("Reopen %(account)s"),
    button=gettext_lazy("Reopen the account"),
    says=gettext_lazy("The credentials that were active when the account was suspended or closed open the API again."),
    done=gettext_lazy("The account is open: its calls are let through again."),
)


@operators_alone
def add_operator(request: HttpRequest) -> HttpResponse:
    form = OperatorForm(request.POST or None, initial={"email": request.GET.get("email", "")[:254]})
    if form.is_valid():
        try:
            person = operators.add_operator(by=operator_of(request), now=timezone.now(), **form.cleaned_data)
        except (operators.OperatorError, ValidationError) as refusal:
            form.add_error(None, refusal if isinstance(refusal, ValidationError) else str(refusal))
        else:
            messages.success(request, _added(person))
            return redirect("admin:accounts_user_change", person.pk)
    says = _("An operator looks after all accounts in these pages, and can add and remove operators.")
    return operation_page(request, User(), form, title=_("Add an operator"), button=_("Add"), says=says)


def _added(person: User) -> str:
    if person.has_usable_password():
        return _("%(email)s is an operator now.") % {"email": person.email}
    return _("%(email)s is an operator now. They choose a password by “Forgot your password?”.") % {
        "email": person.email
    }


@operators_alone
def remove_operator(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    form = forms.Form(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            operators.remove_operator(email=person.email, by=operator_of(request), now=timezone.now())
        except operators.OperatorError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("%(email)s is no operator any more.") % {"email": person.email})
            return redirect("admin:accounts_user_changelist")
    says = _("From their next request on they cannot open these pages. Their places in accounts stay.")
    return operation_page(
        request, person, form, title=_("Remove the operator %(person)s"), button=_("Remove"), says=says
    )


def _standing_page(
    run: standing.ChangesStanding, *, title: Promise, button: Promise, says: Promise, done: Promise
) -> View:
    @operators_alone
    def page(request: HttpRequest, pk: int) -> HttpResponse:
        person = get_object_or_404(User, pk=pk)
        form = ReasonForm(request.POST or None)
        if form.is_valid():
            try:
                run(user=person, by=operator_of(request), now=timezone.now(), **form.cleaned_data)
            except (operations.PeopleError, operators.OperatorError) as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, str(done))
                return redirect("admin:accounts_user_change", pk)
        return operation_page(request, person, form, title=str(title), button=str(button), says=str(says))

    return page


deactivate = _standing_page(
    standing.deactivate,
    title=gettext_lazy("Switch the sign-in of %(person)s off"),
    button=gettext_lazy("Switch off"),
    says=gettext_lazy("They are signed out everywhere at once, and cannot sign in. Their places in accounts stay."),
    done=gettext_lazy("The sign-in is switched off; every session is ended."),
)
reactivate = _standing_page(
    standing.reactivate,
    title=gettext_lazy("Switch the sign-in of %(person)s on again"),
    button=gettext_lazy("Switch on"),
    says=gettext_lazy("They sign in as before, with the roles that they have in their accounts."),
    done=gettext_lazy("They may sign in again."),
)


@operators_alone
def address(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    form = AssignAddressForm(request.POST or None)
    if form.is_valid():
        try:
            proofs_by_mail.assign_address(user=person, by=operator_of(request), now=timezone.now(), **form.cleaned_data)
        except proofs_by_mail.TakenError as refusal:
            form.add_error("email", str(refusal))
        else:
            messages.success(request, _("The address is changed. A link to confirm it is on its way there."))
            return redirect("admin:accounts_user_change", pk)
    says = _(
        "Make sure who is asking: whoever reads the new address’s mail can choose a password. They are signed out"
        " everywhere, and sign in once they opened the link that is sent there. The old address is told, with the"
        " reason."
    )
    title = _("E-mail address of %(person)s")
    return operation_page(request, person, form, title=title, button=_("Change the address"), says=says)


def operation_page(
    request: HttpRequest, about: Model, form: forms.Form, *, title: str, button: str, says: str
) -> HttpResponse:
    opts = about._meta
    context = {
        **admin.site.each_context(request),
        "title": title % {"account": about, "person": about, "app": about, "group": about, "sunset": about},
        "button": button,
        "says": says,
        "form": form,
        "about": about,
        "opts": opts,
        "back": reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
        if about._state.adding  # noqa: SLF001 -- documented API
        else reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[about.pk]),
    }
    return render(request, "admin/accounts/operation.html", context, status=400 if form.errors else 200)


def operator_of(request: HttpRequest) -> Operator:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return Operator(request.user)
