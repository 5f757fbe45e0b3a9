"""How a secret leaves on a click: as JSON to the page's script; without script as a page that leaves by itself."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.guards import wants_page
from accounts.models import Member
from apikeys.operations.api_keys import IssuedKey

HIDE_AFTER_SECONDS = 60


def answer(
    request: HttpRequest, member: Member, issued: IssuedKey, *, back_to: str, prepared: bool = False
) -> HttpResponse:
    """The secret, after its entry was committed.

    :param back_to: the URL name of the page that has the button.
    :param prepared: whether it does not count yet.
    """
    if not wants_page(request):
        return JsonResponse({"secret": issued.secret, "hide_after": HIDE_AFTER_SECONDS})
    back = reverse(back_to, args=[member.account.slug])
    context = {"member": member, "secret": issued.secret, "seconds": HIDE_AFTER_SECONDS, "back": back}
    response = render(request, "apikeys/api_key/secret.html", context | {"key": issued.key, "prepared": prepared})
    response["Refresh"] = f"{HIDE_AFTER_SECONDS};url={back}"
    return response


def refusal(request: HttpRequest, member: Member, reason: str, *, back_to: str) -> HttpResponse:
    if not wants_page(request):
        return JsonResponse({"message": reason}, status=409)
    messages.error(request, reason)
    return redirect(back_to, member.account.slug)
