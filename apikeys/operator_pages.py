"""What operators do with connected apps in the admin."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.forms import ReasonForm
from accounts.operator_pages import operation_page, operator_of, operators_alone
from apikeys.forms import ConnectedAppForm
from apikeys.models import ConnectedApp
from apikeys.operations import connected_apps

PAGE = "admin:apikeys_connectedapp_change"


@operators_alone
def register(request: HttpRequest) -> HttpResponse:
    form = ConnectedAppForm(request.POST or None)
    if form.is_valid():
        try:
            app = connected_apps.register(by=operator_of(request), now=timezone.now(), **form.cleaned_data)
        except ValidationError as refusal:
            form.add_error(None, refusal)
        else:
            messages.success(
                request, _("Registered. The app is known by its client id: %(id)s") % {"id": app.client_id}
            )
            return redirect(PAGE, app.pk)
    says = _("The portal makes its client id. Accounts cannot connect apps yet: what is registered waits for that.")
    return operation_page(
        request, ConnectedApp(), form, title=_("Register a connected app"), button=_("Register"), says=says
    )


@operators_alone
def change(request: HttpRequest, pk: int) -> HttpResponse:
    app = get_object_or_404(ConnectedApp, pk=pk)
    form = ConnectedAppForm(request.POST or None, initial=ConnectedAppForm.of(app))
    if form.is_valid():
        try:
            connected_apps.change(app=app, by=operator_of(request), now=timezone.now(), **form.cleaned_data)
        except ValidationError as refusal:
            form.add_error(None, refusal)
        except connected_apps.WithdrawnError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Changed."))
            return redirect(PAGE, pk)
    says = _("The app’s requests are held to this from now on, letter by letter.")
    return operation_page(request, app, form, title=_("Change %(app)s"), button=_("Change"), says=says)


@operators_alone
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    app = get_object_or_404(ConnectedApp, pk=pk)
    form = ReasonForm(request.POST or None)
    if form.is_valid():
        try:
            # Commits, then waits until no gate can still let a connection of it through (G1).
            connected_apps.withdraw(app=app, by=operator_of(request), now=timezone.now(), **form.cleaned_data)
        except (connected_apps.WithdrawnError, connected_apps.BusyError) as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Withdrawn: nobody can connect it any more."))
            return redirect(PAGE, pk)
    says = _(
        "Nobody can connect it any more. Accounts that did: %(count)d; each is disconnected from it at once."
        " This cannot be taken back: registered anew, it gets another client id."
    ) % {"count": app.connections.active().count()}
    return operation_page(request, app, form, title=_("Withdraw %(app)s"), button=_("Withdraw"), says=says)
