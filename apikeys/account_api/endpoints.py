"""The account API's endpoints. They run behind the door, for calls that the check has accepted."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from ninja import NinjaAPI

from accounts.models import Account
from apikeys.account_api import local_time
from apikeys.account_api.shapes import DailyLimit, Details, Me, Usage, UsageResults

VERSIONS = ("v3", "2026-03", "2026-09")  # spellings of one and the same
SAME_AS = "x-same-as"  # in the document: the path that this one is another spelling of
DATA_HOSTING_LOCATION = "self-hosted"
ACCOUNT_DETAILS = "oauth"  # the scope that apps need for these and for usage
SCOPES: dict[str, str] = {}  # by path: what an app needs there


@dataclass(frozen=True, slots=True)
class AcceptedCall:
    account: Account
    usage: int  # calls of the account's present day, this one included
    daily_limit: int
    at: datetime


class AcceptedRequest(HttpRequest):
    call: AcceptedCall


api = NinjaAPI(
    title="Account API",
    version="3",
    urls_namespace="account_api",
    docs_url=None,
    openapi_url=None,
)


def me(request: AcceptedRequest) -> Me:
    """Whose key this is: the account's number, time zone and currency."""
    account = request.call.account
    offset = local_time.utc_offset(account.zone, request.call.at)
    return Me(
        portal_id=account.number,
        time_zone=account.time_zone,
        currency=account.currency,
        utc_offset_milliseconds=local_time.as_milliseconds(offset),
        utc_offset=local_time.as_text(offset),
    )


def daily_limit(request: AcceptedRequest) -> list[DailyLimit]:
    """Calls made today and how many a day may have; times in milliseconds since 1970."""
    call = request.call
    return [
        DailyLimit(
            name="api-calls-daily",
            usage_limit=call.daily_limit,
            current_usage=call.usage,
            collected_at=local_time.epoch_milliseconds(call.at),
            fetch_status="SUCCESS",
            resets_at=local_time.epoch_milliseconds(local_time.next_midnight(call.account.zone, call.at)),
        )
    ]


def details(request: AcceptedRequest) -> Details:
    """The account: number, type, time zone, currencies."""
    account = request.call.account
    offset = local_time.utc_offset(account.zone, request.call.at)
    return Details(
        portal_id=account.number,
        account_type="STANDARD",
        time_zone=account.time_zone,
        company_currency=account.currency,
        additional_currencies=[],
        utc_offset=local_time.as_text(offset),
        utc_offset_milliseconds=local_time.as_milliseconds(offset),
        ui_domain=urlsplit(settings.SITE_ORIGIN).hostname or "",
        data_hosting_location=DATA_HOSTING_LOCATION,
    )


def daily_usage(request: AcceptedRequest) -> UsageResults:
    """Calls made today and how many a day may have; times in ISO 8601."""
    call = request.call
    usage = Usage(
        name="api-calls-daily",
        usage_limit=call.daily_limit,
        current_usage=call.usage,
        collected_at=call.at,
        fetch_status="SUCCESS",
        resets_at=local_time.next_midnight(call.account.zone, call.at),
    )
    return UsageResults(results=[usage])


def _serve(path: str, view: Callable[..., Any], *, operation_id: str, summary: str, answers: Any) -> None:
    api.get(path, operation_id=operation_id, summary=summary, response=answers, by_alias=True)(view)
    SCOPES[path] = ACCOUNT_DETAILS


def _serve_dated(path: str, view: Callable[..., Any], *, operation_id: str, summary: str, answers: Any) -> None:
    """Serve below /account-info/ in every spelling of the version; the first is the one that the others name."""
    first, *others = [f"/account-info/{version}{path}" for version in VERSIONS]
    _serve(first, view, operation_id=operation_id, summary=summary, answers=answers)
    for number, other in enumerate(others, start=2):
        api.get(
            other,
            operation_id=f"{operation_id}_{number}",
            summary=summary,
            response=answers,
            by_alias=True,
            openapi_extra={SAME_AS: first},
        )(view)
        SCOPES[other] = SCOPES[first]


_serve("/integrations/v1/me", me, operation_id="me", summary="Whose key is this?", answers=Me)
_serve(
    "/integrations/v1/limit/daily",
    daily_limit,
    operation_id="daily_limit",
    summary="Today's calls, for older clients",
    answers=list[DailyLimit],
)
_serve_dated("/details", details, operation_id="details", summary="Account details", answers=Details)
_serve_dated("/api-usage/daily", daily_usage, operation_id="daily_usage", summary="Today's calls", answers=UsageResults)
