"""Asking for access to the API key, and dismissing that: both are buttons of the key's page."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import access_requests
from accounts.forms import AccessRequestForm
from accounts.guards import only_posted, requires
from accounts.models import AccessRequest, Member
from accounts.permissions import Permission

PAGE = "apikeys:api-key"


@requires(Permission.SEE_ACCOUNT, come_back_to=PAGE)
@only_posted(otherwise=PAGE)
def ask(request: HttpRequest, member: Member) -> HttpResponse:
    form = AccessRequestForm(request.POST)
    if form.is_valid():
        _ask(request, member, form.cleaned_data["reason"])
    else:
        messages.error(
            request, _("Say in up to 200 characters, without the key itself, what you need it for. Nothing was sent.")
        )
    return redirect("apikeys:api-key", member.account.slug)


def _ask(request: HttpRequest, member: Member, reason: str) -> None:
    try:
        access_requests.ask_for_key(member=member, reason=reason, now=timezone.now())
    except access_requests.MayAlreadyError:
        messages.info(request, _("You are a super admin: you need not ask."))
    except access_requests.AskedLatelyError:
        messages.error(request, _("You asked within the last day. You can ask again a day after that."))
    else:
        messages.success(request, _("Asked. Each super admin of this account gets a mail, and reads it in the portal."))


@requires(Permission.MANAGE_API_KEY, come_back_to=PAGE)
@only_posted(otherwise=PAGE)
def dismiss(request: HttpRequest, member: Member, request_id: int) -> HttpResponse:
    theirs = AccessRequest.objects.select_related("member__account", "member__user")
    asked = get_object_or_404(theirs, pk=request_id, member__account=member.account)
    access_requests.dismiss(request=asked, by=member, now=timezone.now())
    messages.success(request, _("Dismissed."))
    return redirect("apikeys:api-key", member.account.slug)
