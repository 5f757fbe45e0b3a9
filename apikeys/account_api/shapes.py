"""What the endpoints answer, field by field; names and types are a contract with clients that exist."""

from datetime import datetime
from typing import Literal

from ninja import Field, Schema
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel


class Shape(Schema):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Me(Shape):
    portal_id: int = Field(description="The account's public number.", examples=[2519445])
    time_zone: str = Field(description="IANA time zone of the account.", examples=["America/New_York"])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    utc_offset_milliseconds: int = Field(description="Now, daylight saving included.", examples=[-18000000])
    utc_offset: str = Field(description="The same as ±hh:mm.", examples=["-05:00"])


class DailyLimit(Shape):
    """Times in milliseconds since 1970-01-01T00:00Z."""

    name: Literal["api-calls-daily"] = Field(examples=["api-calls-daily"])
    usage_limit: int = Field(description="Calls that the account may make in a day.", examples=[250000])
    current_usage: int = Field(description="Calls accepted today, this one included.", examples=[1234])
    collected_at: int = Field(description="When this was counted.", examples=[1772452800000])
    fetch_status: Literal["SUCCESS"] = Field(examples=["SUCCESS"])
    resets_at: int = Field(description="Next midnight in the account's time zone.", examples=[1772514000000])


class Details(Shape):
    portal_id: int = Field(description="The account's public number.", examples=[2519445])
    account_type: Literal["STANDARD"] = Field(examples=["STANDARD"])
    time_zone: str = Field(description="IANA time zone of the account.", examples=["America/New_York"])
    company_currency: str = Field(description="ISO 4217.", examples=["USD"])
    additional_currencies: list[str] = Field(examples=[[]])
    utc_offset: str = Field(description="Now, daylight saving included, as ±hh:mm.", examples=["-05:00"])
    utc_offset_milliseconds: int = Field(description="The same in milliseconds.", examples=[-18000000])
    ui_domain: str = Field(description="Host of the portal's pages.", examples=["portal.example.com"])
    data_hosting_location: str = Field(examples=["self-hosted"])


class Usage(Shape):
    """Times in ISO 8601, UTC."""

    name: Literal["api-calls-daily"] = Field(examples=["api-calls-daily"])
    usage_limit: int = Field(description="Calls that the account may make in a day.", examples=[250000])
    current_usage: int = Field(description="Calls accepted today, this one included.", examples=[1234])
    collected_at: datetime = Field(description="When this was counted.", examples=["2026-03-02T12:00:00.000Z"])
    fetch_status: Literal["SUCCESS"] = Field(examples=["SUCCESS"])
    resets_at: datetime = Field(
        description="Next midnight in the account's time zone.", examples=["2026-03-03T05:00:00.000Z"]
    )


class UsageResults(Shape):
    results: list[Usage]


class Error(Shape):
    """The body of every refusal."""

    status: Literal["error"] = Field(examples=["error"])
    message: str = Field(description="For people.")
    correlation_id: str = Field(description="UUID; the same as X-Request-Id and as in the call log.")
    category: str = Field(description="For programs.")
    links: dict[str, str] = Field(default_factory=dict, description="Where to go on.")
    error_type: Literal["RATE_LIMIT"] | None = Field(default=None, description="With 429.")
    policy_name: Literal["TEN_SECONDLY_ROLLING", "DAILY"] | None = Field(default=None, description="With 429.")
    request_id: str | None = Field(default=None, description="With 429: the same as correlationId.")
