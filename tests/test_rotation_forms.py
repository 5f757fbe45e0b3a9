"""For when a rotation is planned: by the reader's clocks, which skip an hour in spring and show one twice in autumn."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from apikeys.rotation_forms import PlanForm

SPRING = datetime(2026, 3, 20, 12, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 20, 12, tzinfo=UTC)


def filled_in(at: str, *, zone: str = "Europe/Berlin", now: datetime, **more: str) -> PlanForm:
    with timezone.override(ZoneInfo(zone)):
        form = PlanForm({"generation": "1", "at": at, **more}, now=now)
        form.is_valid()
        form.as_p()  # what the page shows of it can be written
        return form


@pytest.mark.parametrize(
    ("zone", "at", "now", "instant"),
    [
        ("Europe/Berlin", "2026-03-29T01:59", SPRING, "2026-03-29T00:59:00+00:00"),
        ("Europe/Berlin", "2026-03-29T03:00", SPRING, "2026-03-29T01:00:00+00:00"),
        ("Europe/Berlin", "2026-10-25T01:59", AUTUMN, "2026-10-24T23:59:00+00:00"),
        ("Europe/Berlin", "2026-10-25T03:00", AUTUMN, "2026-10-25T02:00:00+00:00"),
        ("America/New_York", "2026-03-22T02:00", SPRING, "2026-03-22T06:00:00+00:00"),
        ("Asia/Kathmandu", "2026-03-22T02:00", SPRING, "2026-03-21T20:15:00+00:00"),
        ("UTC", "2026-03-29T02:30", SPRING, "2026-03-29T02:30:00+00:00"),
        ("Pacific/Kiritimati", "2026-03-21T02:03", SPRING, "2026-03-20T12:03:00+00:00"),
        ("Europe/Berlin", "2026-03-22T02:00:59", SPRING, "2026-03-22T01:00:00+00:00"),
    ],
)
def test_a_time_is_read_by_the_readers_clocks(zone: str, at: str, now: datetime, instant: str) -> None:
    form = filled_in(at, zone=zone, now=now)

    assert form.errors == {}
    assert form.cleaned_data["planned_for"] == datetime.fromisoformat(instant)


@pytest.mark.parametrize("at", ["2026-03-29T02:00", "2026-03-29T02:30", "2026-03-29T02:59"])
def test_a_time_that_the_clocks_skip_is_refused_with_one_that_they_show(at: str) -> None:
    form = filled_in(at, now=SPRING)

    (error,) = form.errors["at"]
    assert "The clocks skip 2:" in error
    assert f"such as 3:{at[-2:]}:00 AM" in error


@pytest.mark.parametrize("at", ["2026-10-25T02:00", "2026-10-25T02:30", "2026-10-25T02:59"])
def test_of_a_time_that_the_clocks_show_twice_the_form_asks_which(at: str) -> None:
    asked = filled_in(at, now=AUTUMN)
    first, second = (filled_in(at, now=AUTUMN, which=which) for which in ("first", "second"))

    assert "twice on that day" in asked.errors["which"][0]
    assert not asked["which"].is_hidden
    shown = str(asked["which"])
    assert "The first, at UTC+02:00" in shown
    assert "The second, at UTC+01:00" in shown
    assert first.errors == second.errors == {}
    early, late = first.cleaned_data["planned_for"], second.cleaned_data["planned_for"]
    assert (late - early).total_seconds() == 3600
    assert early == datetime.fromisoformat(f"{at}+02:00")


def test_half_an_hour_is_shown_twice_on_lord_howe() -> None:
    form = filled_in("2026-04-05T01:45", zone="Australia/Lord_Howe", now=SPRING, which="second")

    assert form.cleaned_data["planned_for"] == datetime.fromisoformat("2026-04-05T01:45+10:30")


def test_which_of_the_two_says_nothing_where_there_is_one() -> None:
    form = filled_in("2026-10-25T04:00", now=AUTUMN, which="second")

    assert form.cleaned_data["planned_for"] == datetime(2026, 10, 25, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "at",
    ["", "soon", "2026-03-29", "2026-03-29T02", "2026-13-01T02:00", "2026-03-22T25:00", "2026-03-22T02:00+01:00",
     "2026-03-22T02:00Z", "2026-W12-7T02:00", "9" * 500, "2026-03-22T02:00\0"],
)  # fmt: skip
def test_what_is_no_time_is_refused(at: str) -> None:
    form = filled_in(at, now=SPRING)

    assert "at" in form.errors


@pytest.mark.parametrize("at", ["0001-01-01T00:00", "9999-12-31T23:59", "2026-03-20T13:00", "2026-04-19T14:01"])
def test_a_time_that_is_not_ahead_or_beyond_30_days_is_refused(at: str) -> None:
    form = filled_in(at, now=SPRING)

    assert form.errors["at"] == ["Choose a time that lies ahead, within 30 days."]


@pytest.mark.parametrize(
    ("now", "offered"),
    [
        ("2026-03-20T12:00", "2026-03-22T02:00"),  # a Friday
        ("2026-03-21T22:59", "2026-03-22T02:00"),
        ("2026-03-21T23:00", "2026-03-29T02:00"),  # Sunday has begun in Berlin
        ("2026-03-23T12:00", "2026-03-29T02:00"),
    ],
)
def test_the_next_sunday_at_two_is_offered(now: str, offered: str) -> None:
    with timezone.override(ZoneInfo("Europe/Berlin")):
        form = PlanForm(now=datetime.fromisoformat(f"{now}+00:00"))

        assert f'value="{offered}"' in str(form["at"])
