"""What operators do with announced ends of API keys in the admin."""

import re

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.forms import ReasonForm
from accounts.operator_pages import operation_page, operator_of, operators_alone
from apikeys import forecast
from apikeys.forms import SunsetDatesForm, SunsetForm
from apikeys.models import Sunset
from apikeys.operations import sunsets

PAGE = "admin:apikeys_sunset_change"
SLUG = re.compile(r"[a-z0-9-]{1,50}")


@require_safe
def who_misses_it(request: HttpRequest, pk: int) -> HttpResponse:
    """Read alone: in the admin, so for operators."""
    sunset = get_object_or_404(Sunset.objects.select_related("group"), pk=pk)
    after = request.GET.get("after", "")
    if after and not SLUG.fullmatch(after):
        raise Http404
    context = {
        **admin.site.each_context(request),
        "title": _("Who will miss the date"),
        "opts": Sunset._meta,
        "sunset": sunset,
        "page": forecast.page(sunset, now=timezone.now(), after=after),
    }
    return render(request, "admin/apikeys/sunset/forecast.html", context)


@operators_alone
def announce(request: HttpRequest) -> HttpResponse:
    form = SunsetForm(request.POST or None)
    if form.is_valid():
        try:
            # Commits, then waits until no gate can still judge by what was announced before (G1).
            sunset = sunsets.announce(by=operator_of(request), now=timezone.now(), **form.announced)
        except ValidationError as refusal:
            form.add_error(None, refusal)
        except sunsets.SunsetError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Announced. Answers to calls say so from now on; the mails are on their way."))
            return redirect(PAGE, sunset.pk)
    says = _(
        "Everybody concerned is mailed at once, and again 90, 30, 7 and 1 days before the end of calls. "
        "Dates are in your time zone. An end takes effect by itself."
    )
    title, button = _("Announce an end of API keys"), _("Announce")
    return operation_page(request, Sunset(), form, title=title, button=button, says=says)


@operators_alone
def change(request: HttpRequest, pk: int) -> HttpResponse:
    sunset = get_object_or_404(Sunset, pk=pk)
    form = SunsetDatesForm(request.POST or None, initial=SunsetDatesForm.of(sunset))
    if form.is_valid():
        try:
            sunsets.change(sunset=sunset, by=operator_of(request), now=timezone.now(), **form.announced)
        except ValidationError as refusal:
            form.add_error(None, refusal)
        except sunsets.SunsetError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Changed. It counts for every call from now on."))
            return redirect(PAGE, pk)
    says = _("Everybody concerned is told the new dates. An end in the past takes effect at once.")
    return operation_page(request, sunset, form, title=_("Change: %(sunset)s"), button=_("Change"), says=says)


@operators_alone
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    sunset = get_object_or_404(Sunset, pk=pk)
    form = ReasonForm(request.POST or None)
    if form.is_valid():
        try:
            sunsets.withdraw(sunset=sunset, by=operator_of(request), now=timezone.now(), **form.cleaned_data)
        except sunsets.SunsetError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Withdrawn. Keys count as if nothing had been announced."))
            return redirect(PAGE, pk)
    says = _("Keys that are refused by now pass again. No more mails are sent; those that were are not taken back.")
    return operation_page(request, sunset, form, title=_("Withdraw: %(sunset)s"), button=_("Withdraw"), says=says)
