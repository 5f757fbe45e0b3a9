"""Every call of the API comes in here: checked as the gate checks, answered, and written into the call log."""

import time
from typing import cast

import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.utils.encoding import escape_uri_path
from django.views.decorators.csrf import csrf_exempt

from accounts.models import Account
from apikeys.account_api import metrics, refusals, scopes
from apikeys.account_api.endpoints import AcceptedCall, AcceptedRequest
from apikeys.account_api.hidden import received_query
from apikeys.gate import direct
from auditlog import origin

ROUTES = "apikeys.account_api.routes"
COME_ONCE = frozenset({"authorization", "x-api-key"})  # the server joins repeated headers with commas; these it may not

logger = structlog.get_logger(__name__)


@csrf_exempt  # a call carries its credential itself; cookies count for nothing here
def door(request: HttpRequest) -> HttpResponse:
    started = time.perf_counter_ns()
    asked = as_asked(request)
    decision = direct.decide(asked, rule=scopes.rule)
    metrics.decisions.labels(decision.credential.kind if decision.credential else "", decision.reason).inc()
    structlog.contextvars.bind_contextvars(request_id=str(decision.request_id))
    response = _answer(request, decision) if decision.accepted else _refuse(decision)
    for name, value in decision.headers:
        response.headers[name] = value
    response.headers["X-Request-Id"] = str(decision.request_id)
    response.headers["Cache-Control"] = "no-store"  # shared caches know nothing of keys in X-API-Key or the query
    duration_us = (time.perf_counter_ns() - started) // 1000
    direct.finish(decision, asked, status=response.status_code, duration_us=duration_us)
    return response


def as_asked(request: HttpRequest) -> direct.ApiRequest:
    """The request as the check wants it: with the query as received, and repeated credentials told apart."""
    path, query = escape_uri_path(request.path_info), received_query.get()
    headers = [
        (name.lower(), one.strip())
        for name, value in request.headers.items()
        for one in (value.split(",") if name.lower() in COME_ONCE else [value])
    ]
    return direct.ApiRequest(
        method=request.method or "",
        target=f"{path}?{query}" if query else path,
        headers=headers,
        address=origin.current.get().address,
    )


def _refuse(decision: direct.Decision) -> HttpResponse:
    return HttpResponse(decision.body, status=decision.status, content_type=refusals.CONTENT_TYPE)


def _answer(request: HttpRequest, decision: direct.Decision) -> HttpResponse:
    """What the endpoint says, in the API's own error shape where it fails."""
    try:
        return _endpoint_answer(request, decision)
    except Resolver404:
        return refusals.unknown_path(decision.request_id)
    except (OperationalError, InterfaceError):
        logger.exception("store_unavailable")
        return refusals.unavailable(decision.request_id)
    except Exception:  # a client that speaks JSON gets JSON, and the call its line in the log, whatever breaks
        logger.exception("call_failed")
        return refusals.failed(decision.request_id)


def _endpoint_answer(request: HttpRequest, decision: direct.Decision) -> HttpResponse:
    endpoint = resolve(request.path_info, ROUTES)
    method = request.method
    accepted = cast("AcceptedRequest", request)
    accepted.call = AcceptedCall(
        account=Account.objects.get(pk=cast("int", decision.account_id)),  # accepted: it has one
        usage=decision.usage,
        daily_limit=decision.daily_limit,
        at=timezone.now(),
    )
    if method == "HEAD":
        request.method = "GET"  # the server leaves the body away (RFC 9110, 9.3.2)
    response: HttpResponse = endpoint.func(accepted, *endpoint.args, **endpoint.kwargs)
    if isinstance(response, HttpResponseNotAllowed):
        return _method_not_served(request, response, decision)
    if method != "OPTIONS" and request.META.get("QUERY_STRING"):
        return refusals.invalid("This endpoint takes no query parameters.", decision.request_id)
    return response


def _method_not_served(request: HttpRequest, refused: HttpResponse, decision: direct.Decision) -> HttpResponse:
    allow = ", ".join([*refused.headers["Allow"].split(", "), "HEAD", "OPTIONS"])
    if request.method == "OPTIONS":
        return HttpResponse(status=204, content_type=refusals.CONTENT_TYPE, headers={"Allow": allow})
    return refusals.method_not_allowed(allow, decision.request_id)
