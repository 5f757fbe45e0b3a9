"""What a mail says, and the message that carries it: text and HTML from one template, in the house's look.

How to add a kind of mail stands in docs/architecture.md, "A new kind of mail".
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from css_inline import CSSInliner
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import ngettext

from accounts import mail_choices, plain_text
from accounts.models import OutgoingMail

_inliner = CSSInliner(keep_at_rules=True, minify_css=True, load_remote_stylesheets=False)  # at-rules: dark mode


@dataclass(frozen=True, slots=True)
class Letter:
    """What one mail says, written in its reader's language and time zone."""

    subject: str
    body: SafeString  # of the elements that `plain_text` knows, from h2 down: the subject is the h1
    language: str
    thread: str  # mails with the same one stand together; "": each by itself

    def to_row(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> "Letter":
        body = mark_safe(row["body"])  # noqa: S308 -- it was when the row was made of it
        return cls(subject=row["subject"], body=body, language=row["language"], thread=row["thread"])


def write(*, subject: str, template: str, context: Mapping[str, Any], thread: str = "") -> Letter:
    """A letter from `mails/<template>.html`, in the language that is active now.

    :param thread: what the mail is about, such as "api-key-7"; mails about the same thing stand together.
    """
    body = render_to_string(f"mails/{template}.html", {**context, "subject": subject})
    # Names come into it. A header holds no line breaks, and what looks like an encoded word is one (RFC 2047).
    line = " ".join(subject.split()).replace("=?", "= ?")
    return Letter(subject=line, body=body, language=translation.get_language() or "en", thread=thread)


def together(several: Sequence[Letter]) -> Letter:
    """One letter with all of them, each under its subject; of one, that one."""
    first, *others = several
    if not others:
        return first
    with translation.override(first.language):
        subject = ngettext(
            "%(first)s, and %(others)s other mail", "%(first)s, and %(others)s other mails", len(others)
        ) % {"first": first.subject, "others": len(others)}
        parts = [(one.subject, _one_level_down(one.body)) for one in several]
        return write(subject=subject, template="digest", context={"parts": parts})


def message_of(mail: OutgoingMail, letter: Letter) -> EmailMultiAlternatives:
    preheader, _, _ = plain_text.of(letter.body).partition("\n")  # what a list of mails shows after the subject
    choices, switch_off = mail_choices.links(mail)
    context = {
        "letter": letter,
        "preheader": preheader,
        "choices": choices,
        "demo": settings.DEMO,
        "origin": settings.SITE_ORIGIN,
    }
    with translation.override(letter.language):
        page = render_to_string("mails/_page.html", context)
    message = EmailMultiAlternatives(letter.subject, plain_text.of(page), to=[mail.to])
    message.extra_headers = _headers(mail, thread=letter.thread, switch_off=switch_off)
    message.attach_alternative(_inliner.inline(page), "text/html")
    return message


def _one_level_down(body: SafeString) -> SafeString:
    return mark_safe(body.replace("<h2>", "<h3>").replace("</h2>", "</h3>"))  # noqa: S308 -- what people wrote has no tags


def _headers(mail: OutgoingMail, *, thread: str, switch_off: str) -> dict[str, str]:
    host = urlsplit(settings.SITE_ORIGIN).hostname
    headers = {
        "Message-ID": f"<{mail.id}@{host}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834
    }
    if thread:  # RFC 5322, 3.6.4: as if all answered one mail, which need not exist
        headers["In-Reply-To"] = headers["References"] = f"<{thread}@{host}>"
    if switch_off:  # RFC 8058: mail programs post to it when their reader has had enough
        headers["List-Unsubscribe"] = f"<{switch_off}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers
