"""For whoever watches the web process: does it live, is it ready, what does it count."""

from functools import cache

from django.db import Error as StoreError
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from accounts import mail_metrics as mails
from apikeys.account_api import metrics as calls
from apikeys.gate import direct
from apikeys.gate.pages import NOT_SHARED
from auditlog import origin

FORWARDING_HEADERS = ("HTTP_FORWARDED", "HTTP_X_REAL_IP")
FORWARDING_PREFIX = "HTTP_X_FORWARDED_"


@require_safe
@never_cache
def livez(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 -- Django passes it
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 -- Django passes it
    """200, or 503 with the part that is not ready and why: `{"status", "parts": {"database": "ok", …}}`.

    That limits are not shared is said, and no reason to send nobody here: each process keeps to its share.
    """
    parts = _parts()
    ready = all(state == "ok" for state in parts.values())
    parts["limits"] = "ok" if direct.limits_are_shared() else NOT_SHARED
    return JsonResponse({"status": "ok" if ready else "unavailable", "parts": parts}, status=200 if ready else 503)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text format; for loopback and METRICS_ALLOW, and never through a proxy."""
    if not _may_read_metrics(request):
        return HttpResponseForbidden("Metrics are for loopback and METRICS_ALLOW.\n", content_type="text/plain")
    everything = b"".join(generate_latest(registry) for registry in (REGISTRY, calls.registry, mails.registry))
    return HttpResponse(everything, content_type=CONTENT_TYPE_LATEST)


def _parts() -> dict[str, str]:
    try:
        applied = MigrationRecorder(connection).applied_migrations()
    except StoreError as failure:
        why = f"cannot be asked ({type(failure).__name__})"  # the text of it may name hosts and users
        return {"database": why, "migrations": "unknown while the database cannot be asked"}
    missing = len(_known_migrations() - applied.keys())
    return {"database": "ok", "migrations": f"{missing} not applied; run ./portal manage migrate" if missing else "ok"}


@cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).disk_migrations)


def _may_read_metrics(request: HttpRequest) -> bool:
    if any(name in FORWARDING_HEADERS or name.startswith(FORWARDING_PREFIX) for name in request.META):
        return False
    return origin.may_read_metrics(request.META.get("REMOTE_ADDR"))
