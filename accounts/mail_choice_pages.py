"""Which mails a person gets: chosen in the profile, or switched off by the link that a mail program posts to."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from accounts import mail_choices, mail_kinds
from accounts.forms import MailChoicesForm
from accounts.guards import person


@login_required
@never_cache
@require_POST
def save(request: HttpRequest) -> HttpResponse:
    form = MailChoicesForm(request.POST, user=person(request))
    if form.is_valid():
        mail_choices.choose(user=person(request), choices=form.cleaned_data, now=timezone.now())
        messages.success(request, _("Saved."))
    else:
        messages.error(request, _("This page sent something that does not fit. Choose again."))
    return redirect("profile")


@csrf_exempt  # a mail program posts, which has no cookie of ours; the signed token stands for the person (RFC 8058)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def switch_off(request: HttpRequest, token: str) -> HttpResponse:
    """Opening the link only asks: programs that look for harm in mails open every link."""
    found = mail_choices.read_token(token)
    if found is None:
        raise Http404
    user, kinds = found
    if request.method == "POST":
        never = dict.fromkeys(kinds, mail_choices.Delivery.NEVER)
        mail_choices.choose(user=user, choices=never, now=timezone.now())
    titles = [mail_kinds.KINDS[kind].title for kind in kinds]
    return render(request, "accounts/mails_switch_off.html", {"titles": titles, "done": request.method == "POST"})
