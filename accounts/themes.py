"""Light or dark: the reader's choice in a cookie, so that it needs no script; without one, the system's preference."""

from django.db.models import TextChoices
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

COOKIE = "theme"
COOKIE_AGE = 365 * 86400


class Theme(TextChoices):
    SYSTEM = "system", _("System")
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


def chosen_theme(request: HttpRequest) -> Theme:
    choice = request.COOKIES.get(COOKIE, Theme.SYSTEM)
    return Theme(choice) if choice in Theme.values else Theme.SYSTEM
