"""What every page may name."""

from django.conf import settings
from django.http import HttpRequest


def portal(request: HttpRequest) -> dict[str, object]:  # noqa: ARG001 -- Django passes it
    return {"demo": settings.DEMO, "site_origin": settings.SITE_ORIGIN}
