"""Word of mail providers about what became of a mail: it came back, was reported as unwanted, or arrived.

Anymail's webhooks read each provider's words; this is the door to them, and from them to `accounts.bounces`. It opens
for the provider in use alone, and only where WEBHOOK_SECRET is set: who knows it may say what arrived and what did not.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import structlog
from anymail.exceptions import AnymailConfigurationError
from anymail.signals import EventType, tracking
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from accounts import bounces
from accounts.models import BouncedAddress

KINDS = {
    EventType.BOUNCED: BouncedAddress.Kind.BOUNCED,
    EventType.REJECTED: BouncedAddress.Kind.BOUNCED,  # by the provider, which remembers what came back
    EventType.COMPLAINED: BouncedAddress.Kind.COMPLAINED,
}
# What anymail's readers raise for what none of the provider's events looks like.
NO_EVENT = (ValueError, LookupError, TypeError, AttributeError, RecursionError)

_log = structlog.get_logger(__name__)


def connect() -> None:
    tracking.connect(_hear)


@csrf_exempt
def webhook(request: HttpRequest, provider: str) -> HttpResponse:
    view = _views().get(provider) if provider == _provider() and settings.ANYMAIL.get("WEBHOOK_SECRET") else None
    if view is None:
        raise Http404
    try:
        return view(request)
    except AnymailConfigurationError:
        _log.exception("webhook_not_configured", provider=provider)
        raise Http404 from None
    except NO_EVENT:
        _log.warning("webhook_not_understood", provider=provider)
        return HttpResponse("This is no event of the provider.\n", status=400, content_type="text/plain")


def _provider() -> str:
    """As anymail spells it in the name of its backend, such as "postmark"; "" without one."""
    package, _sep, rest = settings.EMAIL_BACKEND.partition("anymail.backends.")
    return "" if package else rest.partition(".")[0]


@cache
def _views() -> dict[str, Callable[[HttpRequest], HttpResponse]]:
    """Anymail's own views of events, by provider. Imported late: they bring every provider's code along."""
    from anymail.urls import urlpatterns  # noqa: PLC0415 -- see above

    views = {str(one.pattern): one.callback for one in urlpatterns}
    return {route.partition("/")[0]: view for route, view in views.items() if "inbound" not in route}


def _hear(*, event: Any, **_others: Any) -> None:
    """Anymail's signal."""
    now = timezone.now()
    at = min(event.timestamp or now, now)
    if event.recipient and event.event_type in KINDS:
        why = event.mta_response or event.description or ""
        bounces.note(email=event.recipient, kind=KINDS[event.event_type], why=why, now=at)
    elif event.recipient and event.event_type == EventType.DELIVERED:
        bounces.note_delivery(email=event.recipient, at=at, now=now)
