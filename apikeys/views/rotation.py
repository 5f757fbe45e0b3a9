"""Getting ready to rotate: planning it for a time, having the reminder wait, leaving it to another super admin."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.guards import only_posted, recently_authenticated, requires
from accounts.models import Member
from accounts.permissions import Permission
from accounts.sealing import UnsealError
from apikeys.operations import handovers, rotation_plans, snoozes
from apikeys.operations.attempts import RefusedError
from apikeys.rotation_forms import CancelPlanForm, HandOverForm, PlanForm, SnoozeForm
from apikeys.views import plan_pages, showing
from auditlog.actions import Action

PAGE, PLAN = "apikeys:api-key", "apikeys:api-key-plan"


@requires(Permission.MANAGE_API_KEY, attempt=Action.ROTATION_PLANNED)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def plan(request: HttpRequest, member: Member) -> HttpResponse:
    """The plan that there is; else the form."""
    open_plan = plan_pages.open_plan(member)
    if open_plan is None or request.method == "POST":
        return _make_plan(request, member)
    context = plan_pages.of_plan(member, open_plan, now=timezone.now())
    return render(request, "apikeys/rotation/planned.html", context)


@recently_authenticated()
def _make_plan(request: HttpRequest, member: Member) -> HttpResponse:
    now, key = timezone.now(), member.account.api_keys.active().first()
    form = PlanForm(request.POST or None, initial={"generation": key.generation} if key else None, now=now)
    if form.is_valid():
        planned_for, generation = form.cleaned_data["planned_for"], form.cleaned_data["generation"]
        try:
            rotation_plans.plan_rotation(
                account=member.account, generation=generation, planned_for=planned_for, by=member, now=now
            )
        except rotation_plans.BadTimeError as refusal:
            form.add_error("at", str(refusal))
        except RefusedError as refusal:
            messages.error(request, str(refusal))
            return redirect(PAGE, member.account.slug)
        else:
            messages.success(request, _("The rotation is planned. Everybody concerned gets a mail."))
            return redirect(PLAN, member.account.slug)
    if key is None:
        messages.info(request, _("This account has no active API key."))
        return redirect(PAGE, member.account.slug)
    context = plan_pages.before_planning(member, key, form=form, now=now)
    return render(request, "apikeys/rotation/plan.html", context, status=400 if form.errors else 200)


@never_cache
@requires(Permission.MANAGE_API_KEY, attempt=Action.PREPARED_KEY_VIEWED, come_back_to=PLAN)
@only_posted(otherwise=PLAN)
@recently_authenticated(come_back_to=PLAN)
def show_prepared(request: HttpRequest, member: Member) -> HttpResponse:
    try:
        issued = rotation_plans.show_prepared_key(account=member.account, by=member, now=timezone.now())
    except UnsealError:
        reason = _("The secret cannot be opened here. Tell the operators of this portal, or cancel the plan.")
        return showing.refusal(request, member, reason, back_to=PLAN)
    except RefusedError as refusal:
        return showing.refusal(request, member, str(refusal), back_to=PAGE)
    return showing.answer(request, member, issued, back_to=PLAN, prepared=True)


@requires(Permission.MANAGE_API_KEY, attempt=Action.ROTATION_PLAN_CANCELLED, come_back_to=PLAN)
@only_posted(otherwise=PLAN)
def cancel_plan(request: HttpRequest, member: Member) -> HttpResponse:
    form = CancelPlanForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("This page sent something that does not fit. Open it anew and confirm again."))
        return redirect(PLAN, member.account.slug)
    plan_id = form.cleaned_data["plan"]
    return _done(
        request,
        member,
        lambda: rotation_plans.cancel_plan(account=member.account, plan_id=plan_id, by=member, now=timezone.now()),
        _("The plan is cancelled, and what it prepared is destroyed. The key stays as it is."),
    )


@requires(Permission.MANAGE_API_KEY, attempt=Action.REMINDER_SNOOZED)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def snooze(request: HttpRequest, member: Member) -> HttpResponse:
    def do(generation: int, days: int, reason: str) -> object:
        now = timezone.now()
        return snoozes.snooze(
            account=member.account, generation=generation, days=days, reason=reason, by=member, now=now
        )

    done = _("The reminder is snoozed. The other super admins are told.")
    return _form_page(request, member, SnoozeForm, do, template="apikeys/rotation/snooze.html", done=done)


@requires(Permission.MANAGE_API_KEY, attempt=Action.REMINDER_SNOOZE_ENDED, come_back_to=PAGE)
@only_posted(otherwise=PAGE)
def end_snooze(request: HttpRequest, member: Member) -> HttpResponse:
    return _done(
        request,
        member,
        lambda: snoozes.end_snooze(account=member.account, by=member, now=timezone.now()),
        _("The snooze has ended. If the reminder is due, it comes within the hour."),
    )


@requires(Permission.MANAGE_API_KEY, attempt=Action.ROTATION_HANDED_OVER)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def hand_over(request: HttpRequest, member: Member) -> HttpResponse:
    def do(generation: int, to: Member) -> object:
        now = timezone.now()
        return handovers.hand_over(account=member.account, generation=generation, to=to, by=member, now=now)

    def form_of(*arguments: Any, **keywords: Any) -> HandOverForm:
        return HandOverForm(*arguments, by=member, **keywords)

    done = _("The rotation is handed over. They get a mail.")
    return _form_page(request, member, form_of, do, template="apikeys/rotation/hand_over.html", done=done)


@requires(Permission.MANAGE_API_KEY, attempt=Action.ROTATION_HANDOVER_ENDED, come_back_to=PAGE)
@only_posted(otherwise=PAGE)
def end_handover(request: HttpRequest, member: Member) -> HttpResponse:
    return _done(
        request,
        member,
        lambda: handovers.end_handover(account=member.account, by=member, now=timezone.now()),
        _("The rotation is in nobody’s hands in particular."),
    )


def _form_page(
    request: HttpRequest,
    member: Member,
    form_of: Callable[..., forms.Form],
    do: Callable[..., object],
    *,
    template: str,
    done: str,
) -> HttpResponse:
    """A form about the active key; filled in well, it leads back to the key's page."""
    key = member.account.api_keys.active().first()
    if key is None:
        messages.info(request, _("This account has no active API key."))
        return redirect(PAGE, member.account.slug)
    form = form_of(request.POST or None, initial={"generation": key.generation})
    if form.is_valid():
        return _done(request, member, lambda: do(**form.cleaned_data), done)
    context = {"member": member, "key": key, "form": form}
    return render(request, template, context, status=400 if form.errors else 200)


def _done(request: HttpRequest, member: Member, do: Callable[[], object], done: str) -> HttpResponse:
    """Do it, and say on the key's page that it is done, or why not."""
    try:
        do()
    except RefusedError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, done)
    return redirect(PAGE, member.account.slug)
