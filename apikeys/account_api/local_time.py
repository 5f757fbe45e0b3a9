"""What the account's own clock says."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


def utc_offset(zone: ZoneInfo, now: datetime) -> timedelta:
    return now.astimezone(zone).utcoffset() or timedelta(0)


def as_text(offset: timedelta) -> str:
    """±hh:mm (RFC 3339, 5.6); the sign holds for hours and minutes alike."""
    minutes = abs(offset) // timedelta(minutes=1)
    sign = "-" if offset < timedelta(0) else "+"
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"


def as_milliseconds(offset: timedelta) -> int:
    return offset // timedelta(milliseconds=1)


def epoch_milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def next_midnight(zone: ZoneInfo, now: datetime) -> datetime:
    """The first moment of the account's next day, in UTC; where daylight saving skips midnight, the moment it does."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, tzinfo=zone).astimezone(UTC)
