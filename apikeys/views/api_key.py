"""The page of the account API key, and the four things that super admins do there."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.guards import recently_authenticated, requires
from accounts.models import Member
from accounts.permissions import Permission
from apikeys import secrets
from apikeys.forms import DeactivateForm, RotateForm
from apikeys.operations import api_keys
from apikeys.views import key_pages
from auditlog.actions import Action
from auditlog.polling import polled

HIDE_AFTER_SECONDS = 60


@requires(Permission.SEE_ACCOUNT)
@never_cache
@require_GET
def page(request: HttpRequest, member: Member) -> HttpResponse:
    return render(request, "apikeys/api_key/page.html", key_pages.of_key(member, now=timezone.now()))


@require_POST
@requires(Permission.MANAGE_API_KEY)
def dismiss_first_steps(request: HttpRequest, member: Member) -> HttpResponse:  # noqa: ARG001 -- what a view is given
    member.dismiss_first_steps(at=timezone.now())
    return redirect("apikeys:api-key", member.account.slug)


@require_POST
@requires(Permission.MANAGE_API_KEY, attempt=Action.API_KEY_CREATED)
@recently_authenticated(come_back_to="apikeys:api-key")
def create(request: HttpRequest, member: Member) -> HttpResponse:
    try:
        api_keys.create_api_key(account=member.account, by=member, now=timezone.now())
    except api_keys.KeyExistsError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("The API key is created. Show or copy it below."))
    return redirect("apikeys:api-key", member.account.slug)


@require_POST
@requires(Permission.MANAGE_API_KEY, attempt=Action.API_KEY_VIEWED)
@recently_authenticated(come_back_to="apikeys:api-key")
@never_cache
def show(request: HttpRequest, member: Member) -> HttpResponse:
    """The secret, on a click: as JSON to the page's script; without script as a page that leaves by itself."""
    try:
        issued = api_keys.show_api_key(account=member.account, by=member, now=timezone.now())
    except (api_keys.NoKeyError, secrets.UnsealError) as refusal:
        return _not_shown(request, member, refusal)
    if not request.accepts("text/html"):
        return JsonResponse({"secret": issued.secret, "hide_after": HIDE_AFTER_SECONDS})
    context = {"member": member, "key": issued.key, "secret": issued.secret, "seconds": HIDE_AFTER_SECONDS}
    response = render(request, "apikeys/api_key/secret.html", context)
    response["Refresh"] = f"{HIDE_AFTER_SECONDS};url={reverse('apikeys:api-key', args=[member.account.slug])}"
    return response


def _not_shown(request: HttpRequest, member: Member, refusal: Exception) -> HttpResponse:
    if isinstance(refusal, secrets.UnsealError):
        reason = _("The secret cannot be opened here. Tell the people who run the portal, or rotate the key.")
    else:
        reason = _("This account has no active API key any more. Reload the page.")
    if not request.accepts("text/html"):
        return JsonResponse({"message": reason}, status=409)
    messages.error(request, reason)
    return redirect("apikeys:api-key", member.account.slug)


@requires(Permission.MANAGE_API_KEY, attempt=Action.API_KEY_ROTATED)
@recently_authenticated()
@never_cache
@require_http_methods(["GET", "POST"])
def rotate(request: HttpRequest, member: Member) -> HttpResponse:
    now = timezone.now()
    key = member.account.api_keys.active().first()
    if key is None:
        return _no_key(request, member)
    form = RotateForm(request.POST or None, initial={"generation": key.generation})
    if form.is_valid():
        try:
            # Commits, then waits until no gate can still accept the old secret (G1).
            api_keys.rotate_api_key(account=member.account, by=member, now=now, **form.cleaned_data)
        except api_keys.KeyNotCurrentError as refusal:
            return _too_late(request, member, refusal)
        return redirect("apikeys:api-key-previous", member.account.slug)
    context = key_pages.before_the_end(member, key, form=form, now=now)
    return render(request, "apikeys/api_key/rotate.html", context, status=400 if form.errors else 200)


@requires(Permission.MANAGE_API_KEY, attempt=Action.API_KEY_DEACTIVATED)
@recently_authenticated()
@never_cache
@require_http_methods(["GET", "POST"])
def deactivate(request: HttpRequest, member: Member) -> HttpResponse:
    now = timezone.now()
    key = member.account.api_keys.active().first()
    if key is None:
        return _no_key(request, member)
    initial = {"generation": key.generation}
    form = DeactivateForm(request.POST or None, initial=initial, account_name=member.account.name)
    if form.is_valid():
        try:
            generation = form.cleaned_data["generation"]
            api_keys.deactivate_api_key(account=member.account, generation=generation, by=member, now=now)
        except api_keys.KeyNotCurrentError as refusal:
            return _too_late(request, member, refusal)
        return redirect("apikeys:api-key-previous", member.account.slug)
    context = key_pages.before_the_end(member, key, form=form, now=now)
    return render(request, "apikeys/api_key/deactivate.html", context, status=400 if form.errors else 200)


def _no_key(request: HttpRequest, member: Member) -> HttpResponse:
    messages.info(request, _("This account has no active API key."))
    return redirect("apikeys:api-key", member.account.slug)


def _too_late(request: HttpRequest, member: Member, refusal: api_keys.KeyNotCurrentError) -> HttpResponse:
    """Somebody else was first: nothing was changed, and the reader is told who it was."""
    return render(request, "apikeys/api_key/too_late.html", {"member": member, "refusal": refusal}, status=409)


@polled
@requires(Permission.SEE_CALLS)
@never_cache
@require_GET
def previous(request: HttpRequest, member: Member) -> HttpResponse:
    """The key that was rotated away or deactivated last: that it is refused, and who still presents it."""
    ended = member.account.api_keys.ended().select_related("deactivated_by__user")
    key = ended.first()
    if key is None:
        return redirect("apikeys:api-key", member.account.slug)
    template = (
        "apikeys/api_key/_still_presenting.html" if "HX-Request" in request.headers else "apikeys/api_key/previous.html"
    )
    return render(request, template, key_pages.after_the_end(member, key, now=timezone.now()))
