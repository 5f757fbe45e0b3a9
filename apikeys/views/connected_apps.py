"""The apps that an account has connected, and disconnecting one."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.guards import recently_authenticated, requires
from accounts.models import Member
from accounts.permissions import Permission
from apikeys.operations import connections
from auditlog.actions import Action

PAGE = "apikeys:connected-apps"


@requires(Permission.SEE_CONNECTED_APPS)
@never_cache
@require_safe
def page(request: HttpRequest, member: Member) -> HttpResponse:
    connected = member.account.connections.active().select_related("app", "connected_by__user").order_by("app__name")
    return render(request, "apikeys/connected_apps/page.html", {"member": member, "connected": connected})


@requires(Permission.MANAGE_CONNECTED_APPS, attempt=Action.CONNECTED_APP_DISCONNECTED)
@recently_authenticated()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def disconnect(request: HttpRequest, member: Member, connection_id: UUID) -> HttpResponse:
    its = member.account.connections.select_related("account", "app", "connected_by__user")
    connection = get_object_or_404(its, pk=connection_id)
    if request.method == "POST":
        try:
            # Commits, then waits until no gate can still let the app through (G1).
            connections.disconnect(connection=connection, by=member, now=timezone.now())
        except connections.NotConnectedError as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, _("%(app)s is disconnected.") % {"app": connection})
        return redirect(PAGE, member.account.slug)
    if not connection.is_active:
        messages.info(request, _("%(app)s is not connected any more.") % {"app": connection})
        return redirect(PAGE, member.account.slug)
    context = {"member": member, "connection": connection}
    return render(request, "apikeys/connected_apps/disconnect.html", context)
