"""The page of the account API key, and the four things that super admins do there."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.guards import only_posted, recently_authenticated, requires
from accounts.models import Member
from accounts.permissions import Permission
from accounts.sealing import UnsealError
from apikeys.forms import DeactivateForm, PreviousForm, RotateForm
from apikeys.operations import api_keys
from apikeys.views import key_pages, plan_pages, showing
from auditlog.actions import Action
from auditlog.polling import polled

PAGE = "apikeys:api-key"  # also where those addresses lead that take only POST


@requires(Permission.SEE_ACCOUNT)
@never_cache
@require_safe
def page(request: HttpRequest, member: Member) -> HttpResponse:
    now = timezone.now()
    context = key_pages.of_key(member, now=now)
    if context["key"] is not None:
        context |= plan_pages.around_the_key(member, context["key"], now=now)
    return render(request, "apikeys/api_key/page.html", context)


@requires(Permission.MANAGE_API_KEY, come_back_to=PAGE)
@only_posted(otherwise=PAGE)
def dismiss_first_steps(request: HttpRequest, member: Member) -> HttpResponse:  # noqa: ARG001 -- what a view is given
    member.dismiss_first_steps(at=timezone.now())
    return redirect("apikeys:api-key", member.account.slug)


@requires(Permission.MANAGE_API_KEY, attempt=Action.API_KEY_CREATED, come_back_to=PAGE)
@only_posted(otherwise=PAGE)
@recently_authenticated(come_back_to=PAGE)
def create(request: HttpRequest, member: Member) -> HttpResponse:
    try:
        api_keys.create_api_key(account=member.account, by=member, now=timezone.now())
    except (api_keys.KeyExistsError, api_keys.CreationEndedError) as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("The API key is created. Show or copy it below."))
    return redirect(PAGE, member.account.slug)


@never_cache
@requires(Permission.MANAGE_API_KEY, attempt=Action.API_KEY_VIEWED, come_back_to=PAGE)
@only_posted(otherwise=PAGE)
@recently_authenticated(come_back_to=PAGE)
def show(request: HttpRequest, member: Member) -> HttpResponse:
    """The secret, on a click: as JSON to the page's script; without script as a page that leaves by itself."""
    try:
        issued = api_keys.show_api_key(account=member.account, by=member, now=timezone.now())
    except (api_keys.RefusedError, UnsealError) as refusal:
        return _not_shown(request, member, refusal)
    return showing.answer(request, member, issued, back_to=PAGE)


def _not_shown(request: HttpRequest, member: Member, refusal: Exception) -> HttpResponse:
    if isinstance(refusal, UnsealError):
        reason = _("The secret cannot be opened here. Tell the operators of this portal, or rotate the key.")
    elif isinstance(refusal, api_keys.NoKeyError):
        reason = _("This account has no active API key any more. Reload the page.")
    else:
        reason = str(refusal)
    return showing.refusal(request, member, reason, back_to=PAGE)


@requires(Permission.MANAGE_API_KEY, attempt=Action.API_KEY_ROTATED)
@recently_authenticated()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def rotate(request: HttpRequest, member: Member) -> HttpResponse:
    now = timezone.now()
    key = member.account.api_keys.active().first()
    form = RotateForm(request.POST or None, initial={"generation": key.generation} if key else None)
    if form.is_valid():
        try:
            # Commits, then waits until no gate can still accept the old secret (G1).
            api_keys.rotate_api_key(account=member.account, by=member, now=now, **form.cleaned_data)
        except api_keys.KeyNotCurrentError as refusal:
            return _too_late(request, member, refusal)
        return redirect("apikeys:api-key-previous", member.account.slug)
    if key is None:
        return _no_key(request, member)
    context = key_pages.before_the_end(member, key, form=form, now=now)
    return render(request, "apikeys/api_key/rotate.html", context, status=400 if form.errors else 200)


@requires(Permission.MANAGE_API_KEY, attempt=Action.API_KEY_DEACTIVATED)
@recently_authenticated()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def deactivate(request: HttpRequest, member: Member) -> HttpResponse:
    now = timezone.now()
    key = member.account.api_keys.active().first()
    initial = {"generation": key.generation} if key else None
    form = DeactivateForm(request.POST or None, initial=initial, account_name=member.account.name)
    if form.is_valid():
        try:
            generation = form.cleaned_data["generation"]
            api_keys.deactivate_api_key(account=member.account, generation=generation, by=member, now=now)
        except api_keys.KeyNotCurrentError as refusal:
            return _too_late(request, member, refusal)
        return redirect("apikeys:api-key-previous", member.account.slug)
    if key is None:
        return _no_key(request, member)
    context = key_pages.before_the_end(member, key, form=form, now=now)
    return render(request, "apikeys/api_key/deactivate.html", context, status=400 if form.errors else 200)


def _no_key(request: HttpRequest, member: Member) -> HttpResponse:
    messages.info(request, _("This account has no active API key."))
    return redirect(PAGE, member.account.slug)


def _too_late(request: HttpRequest, member: Member, refusal: api_keys.KeyNotCurrentError) -> HttpResponse:
    """Somebody else was first: nothing was changed, and the reader is told who it was."""
    return render(request, "apikeys/api_key/too_late.html", {"member": member, "refusal": refusal}, status=409)


@polled
@requires(Permission.SEE_CALLS)
@never_cache
@require_safe
def previous(request: HttpRequest, member: Member) -> HttpResponse:
    """The key that was rotated away or deactivated last: that it is refused, and who still presents it.

    With `?generation=`, as the page fetches itself anew: that one, whatever ended since.
    """
    asked = PreviousForm(request.GET)
    if not asked.is_valid():
        raise Http404
    generation = asked.cleaned_data["generation"]
    ended = member.account.api_keys.ended().select_related("deactivated_by__user")
    key = get_object_or_404(ended, generation=generation) if generation else ended.first()
    if key is None:
        return redirect(PAGE, member.account.slug)
    template = (
        "apikeys/api_key/_still_presenting.html" if "HX-Request" in request.headers else "apikeys/api_key/previous.html"
    )
    return render(request, template, key_pages.after_the_end(member, key, now=timezone.now()))
