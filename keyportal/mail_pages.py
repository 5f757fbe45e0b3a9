"""The mails that an installation without a mail server keeps as files: for operators, and for all of a demonstration.

An operator can read no secret in the portal, so links that open a door by themselves are shown without what opens it;
who runs the server finds the whole message among the files.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import wraps
from pathlib import Path

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from keyportal.logs import without_tokens

SHOWN = 100
NAME = re.compile(r"[0-9TZ.]+-[0-9a-f]{8}")

View = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True)
class KeptMail:
    """One message as its recipient reads it."""

    name: str  # of its file, without the ending
    at: datetime
    to: str
    subject: str
    text: str


def _readers(view: View) -> View:
    """Let in operators; in a demonstration everybody who is signed in."""
    for_operators = admin.site.admin_view(view)

    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: str) -> HttpResponse:
        if not settings.MAIL_IS_KEPT:
            raise Http404
        return login_required(view)(request, **kwargs) if settings.DEMO else for_operators(request, **kwargs)

    return never_cache(require_safe(guarded))


@_readers
def mails(request: HttpRequest) -> HttpResponse:
    """The newest mails, newest first: their files' names begin with the time."""
    names = sorted((file.stem for file in settings.MAIL_DIR.glob("*.eml")), reverse=True)
    kept = [_read(name) for name in names[:SHOWN]]
    context = {"mails": [one for one in kept if one], "limit": SHOWN, "has_more": len(names) > SHOWN}
    return render(request, "mail/mails.html", context)


@_readers
def mail(request: HttpRequest, name: str) -> HttpResponse:
    found = _read(name) if NAME.fullmatch(name) else None
    if found is None:
        raise Http404
    return render(request, "mail/mail.html", {"mail": found})


def _read(name: str) -> KeptMail | None:
    """None if it is gone, which it may be at any moment."""
    try:
        raw = (Path(settings.MAIL_DIR) / f"{name}.eml").read_bytes()
    except FileNotFoundError:
        return None
    message = message_from_bytes(raw, _class=EmailMessage, policy=policy.default)
    body = message.get_body(("plain",))
    text = body.get_content() if body else ""
    at = message["Date"].datetime
    return KeptMail(
        name=name,
        at=at if at.tzinfo else at.replace(tzinfo=UTC),  # "-0000": UTC, from no zone in particular (RFC 5322, 3.3)
        to=str(message["To"]),
        subject=str(message["Subject"]).strip(),
        text=text if settings.DEMO else without_tokens(text),
    )
