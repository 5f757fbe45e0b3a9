"""/mail/previews/: every kind of mail as it would go out now, for operators. What it is about is made up.

Links that open a door are cut short as on /mail/: on some stores the next real row takes the number of a made-up one.
"""

import html
import re
from collections.abc import Callable

from csp.constants import NONCE, NONE, SELF
from csp.decorators import csp_replace, csp_update
from django.contrib import admin
from django.core.mail import EmailMultiAlternatives
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from accounts import mail_kinds, mail_previews
from keyportal.logs import without_tokens

View = Callable[..., HttpResponseBase]
DARK = "@media (prefers-color-scheme: dark)"  # before the rules of dark mode, in mail.css
THEMES = {"light": "@media not all", "dark": "@media all"}
STYLE = re.compile(r' style="([^"]*)"')


def _operators(view: View) -> View:
    return never_cache(require_safe(admin.site.admin_view(view)))


@_operators
def previews(request: HttpRequest) -> HttpResponse:
    found = [(kind, title, mail_previews.variations(kind)) for kind, title in mail_kinds.titles().items()]
    return render(request, "mail/previews.html", {"kinds": found})


@_operators
@csp_update({"frame-src": [SELF]})  # type: ignore[arg-type]  # its types know no view with arguments
def preview(request: HttpRequest, kind: str, variation: str) -> HttpResponse:
    mail = _message(kind, variation)
    context = {
        "kind": kind,
        "variation": variation,
        "title": mail_kinds.titles()[kind],
        "subject": mail.subject,
        "to": mail.to[0],
        "text": without_tokens(str(mail.body)),
    }
    return render(request, "mail/preview.html", context)


@_operators
@xframe_options_sameorigin
@csp_replace({"default-src": [NONE], "style-src": [NONCE], "frame-ancestors": [SELF]})  # type: ignore[arg-type]  # as above
def page(request: HttpRequest, kind: str, variation: str) -> HttpResponse:
    """The HTML part, for the frames of `preview`: in a light or dark mail program, or as the reader has it."""
    shown = without_tokens(str(_message(kind, variation).alternatives[0][0]))
    shown = shown.replace(DARK, THEMES.get(request.GET.get("theme", ""), DARK))
    return HttpResponse(_in_a_style_sheet(shown, nonce=str(request.csp_nonce)))  # type: ignore[attr-defined]  # django-csp's


def _message(kind: str, variation: str) -> EmailMultiAlternatives:
    found = mail_previews.messages(kind, variation=variation).get(variation)
    if found is None:
        raise Http404
    return found


def _in_a_style_sheet(page: str, *, nonce: str) -> str:
    """The same look without style attributes, which no policy allows but an unsafe one; rules for dark mode prevail."""
    looks: dict[str, str] = {}
    named = STYLE.sub(lambda found: f' data-look="{looks.setdefault(found[1], str(len(looks)))}"', page)
    rules = "".join(f'[data-look="{name}"]{{{html.unescape(look)}}}' for look, name in looks.items())
    return named.replace("<style>", f'<style nonce="{nonce}">{rules}', 1)
