"""When a receiver may be disturbed, across changes of the clock."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.notifier.quiet_hours import QuietHours, Week, WeeklyHours
from shared.events import SECOND, Instant, instant, moment, parse_instant, rfc3339

MINUTE: Final = 60 * SECOND
OFFICE: Final = {"zone": "Europe/Madrid", "open": {"mon-fri": "08:00-20:00"}}
# A night in which the clock is changed, in the middle of the days that are walked.
NIGHTS: Final = [
    ("Europe/Madrid", "2026-03-29"),  # an hour is skipped
    ("Europe/Madrid", "2026-10-25"),  # an hour comes twice
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),  # half an hour comes twice
    ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Santiago", "2026-09-06"),  # midnight itself is skipped
    ("Asia/Kolkata", "2026-05-06"),  # nothing is changed
]
DAYS_WALKED: Final = 4  # before and after that night


def quiet(**changes: Any) -> QuietHours:
    return QuietHours.model_validate({**OFFICE, **changes})


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-01-05T07:00:00Z", None),  # Monday 08:00: the first instant
        ("2026-01-05T06:59:59Z", "2026-01-05T07:00:00Z"),
        ("2026-01-05T18:59:59Z", None),  # the last second before 20:00
        ("2026-01-05T19:00:00Z", "2026-01-06T07:00:00Z"),  # 20:00 itself is closed
        ("2026-01-09T19:00:00Z", "2026-01-12T07:00:00Z"),  # Friday evening waits for Monday
        ("2026-03-28T12:00:00Z", "2026-03-30T06:00:00Z"),  # summer time begins meanwhile
        ("2026-10-24T12:00:00Z", "2026-10-26T07:00:00Z"),  # and ends
    ],
)
def test_what_comes_outside_the_hours_waits_until_they_open(at: str, opens: str | None) -> None:
    until = quiet().until("high", parse_instant(at))
    assert (None if until is None else rfc3339(until)) == opens


@pytest.mark.parametrize(
    ("changes", "at", "opens"),
    [
        ({"closed": ["2026-01-06"]}, "2026-01-05T19:00:00Z", "2026-01-07T07:00:00Z"),  # a day of its own
        ({"holidays": {"country": "ES"}}, "2026-01-05T19:00:00Z", "2026-01-07T07:00:00Z"),  # Epiphany
        ({"holidays": {"country": "ES"}}, "2026-01-06T10:00:00Z", "2026-01-07T07:00:00Z"),  # in the middle of it
        # The day of Madrid is no holiday elsewhere.
        ({"holidays": {"country": "ES", "subdivision": "MD"}}, "2028-05-01T19:00:00Z", "2028-05-03T06:00:00Z"),
        ({"holidays": {"country": "ES"}}, "2028-05-01T19:00:00Z", "2028-05-02T06:00:00Z"),
        # Longer than is looked at together.
        ({"closed": [f"2026-02-{day:02}" for day in range(1, 29)]}, "2026-01-30T19:00:00Z", "2026-03-02T07:00:00Z"),
    ],
)
def test_closed_days_and_public_holidays_have_no_hours(changes: dict[str, Any], at: str, opens: str) -> None:
    until = quiet(**changes).until("high", parse_instant(at))
    assert until is not None
    assert rfc3339(until) == opens


def test_hours_that_never_open_hold_nothing() -> None:
    days = [(date(2026, 1, 1) + timedelta(days=number)).isoformat() for number in range(500)]
    assert quiet(closed=days).until("high", parse_instant("2026-01-05T10:00:00Z")) is None


@pytest.mark.parametrize("place", [{"country": "XX"}, {"country": "ES", "subdivision": "XX"}])
def test_the_holidays_of_a_place_that_is_not_known_are_refused(place: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected a country, and perhaps a subdivision"):
        quiet(holidays=place)


@pytest.mark.parametrize(
    ("breaks_through", "severity", "waits"),
    [
        (["critical"], "critical", False),
        (["critical"], "high", True),
        (["critical", "high"], "high", False),
        ([], "critical", True),  # nothing breaks through
    ],
)
def test_a_severity_that_breaks_through_does_not_wait(breaks_through: list[str], severity: Any, waits: bool) -> None:
    at = parse_instant("2026-01-05T23:00:00Z")
    assert (quiet(breaks_through=breaks_through).until(severity, at) is not None) is waits


def test_a_critical_breach_breaks_through_unless_the_file_says_otherwise() -> None:
    assert quiet().breaks_through == {"critical"}


@pytest.mark.parametrize(
    ("open_", "closed_at"),
    [
        ({"fri-mon": "09:00-17:00"}, "2026-01-06T12:00:00Z"),  # days that run over the end of the week: Tuesday
        ({"mon-sun": ["09:00-12:00", "15:00-18:00"]}, "2026-01-06T13:00:00Z"),  # between two windows
        ({"mon-sun": "22:00-06:00"}, "2026-01-06T12:00:00Z"),  # a night shift
        ({"tue": "13:30-24:00"}, "2026-01-06T12:00:00Z"),  # until midnight
    ],
)
def test_hours_are_written_as_people_say_them(open_: dict[str, Any], closed_at: str) -> None:
    assert quiet(open=open_).until("low", parse_instant(closed_at)) is not None


def test_a_night_shift_belongs_to_the_day_on_which_it_starts() -> None:
    night = quiet(open={"fri": "22:00-06:00"})
    assert night.until("low", parse_instant("2026-01-10T04:59:00Z")) is None  # Saturday 05:59
    assert night.until("low", parse_instant("2026-01-10T05:00:00Z")) is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"zone": "Europe/Atlantis"}, "expected a time zone like Europe/Madrid"),
        ({"open": {}}, "expected some hours"),
        ({"open": {"monday": "08:00-20:00"}}, "expected days like mon or mon-fri"),
        ({"open": {"mon": "8-20"}}, "expected hours like 08:00-20:00"),
        ({"open": {"mon": "08:60-20:00"}}, "expected hours like 08:00-20:00"),
        ({"open": {"mon": "25:00-26:00"}}, "expected hours between 00:00 and 24:00"),
        ({"open": {"mon": "08:00-08:00"}}, "that are not empty"),
        ({"open": "08:00-20:00"}, "expected days and their hours"),
        ({"breaks_through": ["urgent"]}, "critical"),
    ],
)
def test_hours_that_cannot_be_meant_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        quiet(**changes)


@lru_cache
def _walked(zone: str, night: str) -> list[tuple[Instant, datetime]]:
    # Every minute of the days around a night, and what the clock on the wall shows in it.
    around = instant(datetime.fromisoformat(night).replace(tzinfo=ZoneInfo("UTC")))
    minutes = range(-DAYS_WALKED * 1440, DAYS_WALKED * 1440)
    instants = [around + minute * MINUTE for minute in minutes]
    return [(at, moment(at).astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for at in instants]


@lru_cache
def _shown_first(zone: str, night: str) -> dict[datetime, Instant]:
    # When the clock on the wall shows a minute for the first time; what it skips is shown as much later as it skips.
    found: dict[datetime, Instant] = {}
    before: datetime | None = None
    for at, shown in _walked(zone, night):
        skipped = shown - before - timedelta(minutes=1) if before else timedelta(0)
        while before is not None and skipped > timedelta(0) and before + timedelta(minutes=1) < shown:
            before += timedelta(minutes=1)
            found.setdefault(before, at + (before - (shown - skipped)) // timedelta(minutes=1) * MINUTE)
        found.setdefault(shown, at)
        before = shown
    return found


def _open_minutes(zone: str, night: str, week: Week) -> set[Instant]:
    first = _shown_first(zone, night)
    found: set[Instant] = set()
    for midnight in {shown.replace(hour=0, minute=0) for shown in first}:
        for start, end in week[midnight.weekday()]:
            opens, closes = (first.get(midnight + timedelta(minutes=each)) for each in (start, end))
            if opens is not None and closes is not None:
                found.update(range(opens, closes, MINUTE))
    return found


_WINDOWS = st.builds(
    lambda start, length: (start, min(start + length, 2 * 1440 - 1)),
    st.integers(0, 1439) | st.integers(0, 300),  # often in the night, where clocks are changed
    st.integers(1, 1440) | st.integers(1, 90),
)
_WEEKS = st.lists(st.lists(_WINDOWS, max_size=2).map(tuple), min_size=7, max_size=7).map(tuple)


@given(place=st.sampled_from(NIGHTS), week=_WEEKS.filter(any), offset=st.integers(-1440, 1440))
def test_the_next_opening_is_the_one_that_a_walk_through_the_minutes_finds(
    place: tuple[str, str], week: Week, offset: int
) -> None:
    zone, night = place
    at = _walked(zone, night)[DAYS_WALKED * 1440 + offset][0]
    last = _walked(zone, night)[-1440][0]  # windows that begin after it may end beyond the walk
    walked = min((each for each in _open_minutes(zone, night, week) if at <= each < last), default=None)
    opens = WeeklyHours(zone, week).next_open(at)
    assert opens == walked if walked is not None else opens >= last
