"""What every template may use: `{% load portal %}`."""

import unicodedata
from datetime import datetime
from typing import Any

from django import template
from django.forms import BoundField, CheckboxInput, Select
from django.template import Context
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from accounts.models import Member, Notice, User
from accounts.names import JOINERS
from apikeys.models import Sunset
from auditlog import words

register = template.Library()
register.filter("deed", words.deed)
register.filter("browser", words.browser)


@register.simple_tag
def moment(at: datetime | None, never: str = "") -> SafeString | str:
    """How long ago, with the exact instant in the reader's zone on hover."""
    if at is None:
        return never
    distance = timezone.now() - at
    if distance.total_seconds() < 0:
        words = _("in %(time)s") % {"time": timesince(timezone.now(), at, depth=1)}
    elif distance.total_seconds() < 60:  # noqa: PLR2004 -- timesince knows nothing below a minute
        words = _("just now")
    else:
        words = _("%(time)s ago") % {"time": timesince(at, depth=1)}
    return _time(at, words=words, title=_exact(at))


@register.simple_tag
def instant(at: datetime, form: str = "DATETIME_FORMAT") -> SafeString:
    """A time in the reader's zone; with the offset from UTC on hover.

    :param form: one of the names in `keyportal.locale.en.formats`.
    """
    return _time(at, words=formats.date_format(timezone.localtime(at), form), title=_exact(at))


def _time(at: datetime, *, words: str, title: str) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), title, words)


def _exact(at: datetime) -> str:
    """ISO 8601, whatever the language."""
    return timezone.localtime(at).isoformat(sep=" ", timespec="seconds")


@register.filter
def visible(text: object) -> str:
    """Spell out characters that hide or reorder others (U+202E and the like): what was logged is what is seen."""
    return "".join(
        f"\\u{{{ord(char):04X}}}" if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"} else char
        for char in str(text)
    )


@register.filter
def isolated(name: object) -> SafeString:
    """A name among words: one from right to left turns nothing around. Joiners belong to emoji and to Persian."""
    return format_html("<bdi>{}</bdi>", "".join(char if char in JOINERS else visible(char) for char in str(name)))


@register.filter
def identified(member: Member | None) -> SafeString:
    """Who did it, as evidence: with the address, since people name themselves as they like; an operator for None."""
    if member is None:
        return format_html('<span class="pill">{}</span>', _("an operator"))
    if not member.user.name:
        return format_html("{}", member.user.email)
    return format_html('{} <span class="quiet">{}</span>', visible(member.user.name), member.user.email)


@register.filter
def milliseconds(microseconds: int | None) -> str:
    if microseconds is None:
        return ""
    return formats.number_format(microseconds / 1000, decimal_pos=1 if microseconds < 100_000 else 0) + " ms"  # noqa: PLR2004 -- 100 ms


@register.simple_tag
def control(field: BoundField) -> SafeString:
    """A form field's input in the looks of the style sheet; its label says all that a placeholder could."""
    widget = field.field.widget
    if isinstance(widget, CheckboxInput):
        css = "form-check-input"
    else:
        css = "form-select" if isinstance(widget, Select) else "form-control"
    classes = f"{css} is-invalid" if field.errors else css
    return field.as_widget(attrs={"class": classes, "placeholder": False})  # Django leaves out what is False


@register.inclusion_tag("_partials/nav_item.html", takes_context=True)
def nav_item(context: Context, name: str, icon: str, label: str) -> dict[str, Any]:
    """One place in the account's navigation, marked when the reader is there."""
    match = context["request"].resolver_match
    here = match is not None and match.view_name.startswith(name)
    return {"name": name, "icon": icon, "label": label, "here": here, "slug": context["member"].account.slug}


@register.simple_tag
def unread_notices(user: User) -> int:
    return Notice.objects.unread().visible_to(user).count()


@register.inclusion_tag("_partials/sunset.html")
def announced_end(member: Member) -> dict[str, Any]:
    """That calls with the account's key end, or have ended; nothing where none is announced or there is no key."""
    sunset = Sunset.objects.that_ends_the_key_of(member.account)
    has_come = sunset is not None and sunset.days_left(now=timezone.now()) <= 0
    return {"sunset": sunset, "member": member, "has_come": has_come}


@register.simple_tag
def memberships(member: Member) -> list[Member]:
    """The person's places in all accounts, by the account's name."""
    return list(Member.objects.active().filter(user=member.user).select_related("account").order_by("account__name"))
