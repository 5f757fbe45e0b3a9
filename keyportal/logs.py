"""What the processes write about themselves; never a secret, whatever a caller put where."""

import re
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import structlog
from django_structlog.middlewares import RequestMiddleware

from apikeys import secrets
from auditlog.origin import client_address

if TYPE_CHECKING:
    from django.http import HttpRequest

# What follows opens a door by itself, for whoever reads it in time.
_LINKS = re.compile(
    r"(^|https?://[^/\s]+)/(invitations|role-mailboxes|set-up|auth/password/reset/key|auth/email/change|auth/confirm-email|mail/switch-off)/[^/\s\"<]+"
)


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor, last before rendering: a secret becomes its prefix and an ellipsis."""
    for name, value in event.items():
        event[name] = _masked(value)
    return event


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return secrets.mask(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {secrets.mask(str(name)): _masked(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(one) for one in value]
    return secrets.mask(str(value))


def without_tokens(text: str) -> str:
    """An address, or a text with addresses, whose links open no door any more."""
    return _LINKS.sub(r"\1/\2/…", text)


class RequestLogMiddleware(RequestMiddleware):
    """One line when a request starts and one when it ends: method and path. Queries and links' tokens stay out."""

    @staticmethod
    def format_request(request: "HttpRequest") -> str:
        return f"{request.method} {without_tokens(request.path)}"

    @classmethod
    def bind_ip(cls, request: "HttpRequest") -> None:
        """The caller's address as both logs have it, proxies of ours left out and those of strangers not believed."""
        address = client_address(request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", ""))
        structlog.contextvars.bind_contextvars(ip=address)
