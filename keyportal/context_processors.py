"""What every page may name."""

from django.conf import settings
from django.http import HttpRequest

from accounts.themes import chosen_theme


def portal(request: HttpRequest) -> dict[str, object]:
    return {
        "single_sign_on": settings.OIDC_NAME,
        "demo": settings.DEMO,
        "mail_is_kept": settings.MAIL_IS_KEPT,
        "site_origin": settings.SITE_ORIGIN,
        "theme": chosen_theme(request),
    }
