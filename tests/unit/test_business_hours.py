"""The laws of business hours, and what they answer where there is nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer.business_hours import BusinessHours, NoOpenTime
from services.timer.calendar_file import DAYS, parse_window
from services.timer.compiled_hours import FAR, FIRST, LAST
from services.timer.opening_times import DAY, HoursSpec, Window
from shared.events import SECOND, Instant, Span, instant, parse_instant, rfc3339
from shared.public_holidays import Region
from tests.strategies import calendars, instants, spans

HOUR = 3600 * SECOND
LAW = settings(max_examples=50, deadline=None)  # a first question compiles a year, slowly on a busy machine
BRIEF = settings(max_examples=20, deadline=None)
ALWAYS = HoursSpec("UTC", ((Window(0, 86_400),),) * 7)


def hours(zone: str, week: Mapping[str, str], **others: object) -> BusinessHours:
    """A calendar from day -> windows, like `{"mon": "09:00-12:00 13:00-17:00"}`; `all` is every day."""
    days = [tuple(parse_window(text) for text in week.get(day, week.get("all", "")).split()) for day in DAYS]
    return BusinessHours(HoursSpec(zone, tuple(days), **others))  # type: ignore[arg-type]  # the tests name real fields


OFFICE = dict.fromkeys(DAYS[:5], "09:00-12:00 13:00-17:00")


class TestLaws:
    @LAW
    @given(calendars(), instants(), instants(), instants())
    def test_time_between_adds_up(self, spec: HoursSpec, a: Instant, b: Instant, c: Instant) -> None:
        asked = BusinessHours(spec)
        assert asked.between(a, b) + asked.between(b, c) == asked.between(a, c)
        assert asked.between(b, a) == -asked.between(a, b)

    @LAW
    @given(calendars(), instants(), spans())
    def test_adding_gives_the_earliest_instant(self, spec: HoursSpec, start: Instant, span: int) -> None:
        asked = BusinessHours(spec)
        end = asked.add(start, span)
        assert asked.between(start, end) == span
        assert span == 0 or asked.between(start, end - 1) == span - 1

    @LAW
    @given(calendars(), instants(), spans())
    def test_subtracting_gives_the_latest_instant(self, spec: HoursSpec, end: Instant, span: int) -> None:
        asked = BusinessHours(spec)
        start = asked.subtract(end, span)
        assert asked.between(start, end) == span
        assert span == 0 or asked.between(start + 1, end) == span - 1

    @LAW
    @given(calendars(), instants(), instants())
    def test_adding_what_lies_between_comes_back_to_an_open_instant(
        self, spec: HoursSpec, a: Instant, b: Instant
    ) -> None:
        asked = BusinessHours(spec)
        start, end = sorted((a, b))
        if asked.is_open(end) and asked.is_open(end - 1):
            assert asked.add(start, asked.between(start, end)) == end

    @LAW
    @given(calendars(), instants())
    def test_the_next_opening_is_the_first_open_instant(self, spec: HoursSpec, at: Instant) -> None:
        asked = BusinessHours(spec)
        opening = asked.next_open(at)
        assert opening >= at
        assert asked.is_open(opening)
        assert asked.between(at, opening) == 0

    @LAW
    @given(calendars(), instants())
    def test_the_next_close_ends_a_stretch_without_a_gap(self, spec: HoursSpec, at: Instant) -> None:
        asked = BusinessHours(spec)
        try:
            close = asked.next_close(at)
        except NoOpenTime:
            return
        opening = asked.next_open(at)
        assert asked.between(opening, close) == close - opening
        assert not asked.is_open(close)

    @LAW
    @given(calendars(), instants(), spans(), st.lists(st.integers(2021, 2031), max_size=2))
    def test_how_far_it_is_compiled_changes_no_answer(
        self, spec: HoursSpec, at: Instant, span: int, years: list[int]
    ) -> None:
        fresh, asked = BusinessHours(spec), BusinessHours(spec)
        for year in years:
            asked.is_open(instant(datetime(year, 6, 1, tzinfo=UTC)))
        assert asked.add(at, span) == fresh.add(at, span)
        assert asked.subtract(at, span) == fresh.subtract(at, span)
        assert asked.next_open(at) == fresh.next_open(at)
        assert asked.between(at, at + 9 * span) == fresh.between(at, at + 9 * span)

    @BRIEF
    @given(calendars(), instants())
    def test_it_agrees_with_a_walk_through_the_minutes(self, spec: HoursSpec, at: Instant) -> None:
        minute = 60 * SECOND
        start = at - at % minute
        minutes = [start + n * minute for n in range(4 * 1440)]
        opened = opened_near(spec, start)
        walked = [any(a <= each < b for a, b in opened) for each in minutes]
        asked = BusinessHours(spec)
        assert [asked.is_open(each) for each in minutes] == walked
        assert asked.between(start, start + 4 * DAY) == sum(walked) * minute


def opened_near(spec: HoursSpec, at: Instant) -> list[tuple[Instant, Instant]]:
    """The windows of the days around *at*, unmerged, each boundary looked up on its own."""
    zone = ZoneInfo(spec.time_zone)
    first = datetime.fromtimestamp(at // SECOND, UTC).date() - timedelta(days=4)
    pairs = []
    for day in (first + timedelta(days=n) for n in range(12)):
        own = spec.exceptions.get(day, () if day in spec.holidays else spec.week[day.weekday()])
        for window in own:
            midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
            opened, closed = (midnight + timedelta(seconds=each) for each in (window.start, window.end))
            pairs.append((instant(opened.astimezone(UTC)), instant(closed.astimezone(UTC))))
    return [(opened, closed) for opened, closed in pairs if opened < closed]


NIGHT = {"fri": "22:00-06:00"}


@pytest.mark.parametrize(
    ("calendar", "question", "at", "expected"),
    [
        # A window over midnight belongs to the day on which it starts.
        (hours("UTC", NIGHT), "next_close", "2026-01-02T23:00:00Z", "2026-01-03T06:00:00Z"),
        # So a holiday on the day after does not cut it,
        (
            hours("UTC", NIGHT, holidays={date(2026, 1, 3)}),
            "next_close",
            "2026-01-02T23:00:00Z",
            "2026-01-03T06:00:00Z",
        ),
        # and one on its own day takes all of it.
        (hours("UTC", NIGHT, holidays={date(2026, 1, 2)}), "next_open", "2026-01-02T23:00:00Z", "2026-01-09T22:00:00Z"),
        # An exception opens a holiday.
        (
            hours("UTC", OFFICE, holidays={date(2026, 1, 5)}, exceptions={date(2026, 1, 5): (Window(36_000, 39_600),)}),
            "next_open",
            "2026-01-05T00:00:00Z",
            "2026-01-05T10:00:00Z",
        ),
        # An exception without windows closes a day.
        (
            hours("UTC", OFFICE, exceptions={date(2026, 1, 5): ()}),
            "next_open",
            "2026-01-05T00:00:00Z",
            "2026-01-06T09:00:00Z",
        ),
        # A public holiday of a region: Madrid's own 2nd of May.
        (
            hours("UTC", {"all": "09:00-17:00"}, regions={Region("ES", "MD")}),
            "next_open",
            "2028-05-01T00:00:00Z",
            "2028-05-03T09:00:00Z",
        ),
        # The instant of closing is closed, that of opening open.
        (hours("UTC", OFFICE), "next_open", "2026-01-05T12:00:00Z", "2026-01-05T13:00:00Z"),
        (hours("UTC", OFFICE), "next_open", "2026-01-05T13:00:00Z", "2026-01-05T13:00:00Z"),
        # In closed time the next close is the end of the stretch that follows.
        (hours("UTC", OFFICE), "next_close", "2026-01-05T12:00:00Z", "2026-01-05T17:00:00Z"),
        # Windows that touch at midnight are one stretch.
        (
            hours("UTC", {"mon": "20:00-24:00", "tue": "00:00-03:00"}),
            "next_close",
            "2026-01-05T21:00:00Z",
            "2026-01-06T03:00:00Z",
        ),
        # So are those of one day, over the turn of the year, up to which it is compiled.
        (
            hours("UTC", {"all": "00:00-12:00 12:00-24:00"}, exceptions={date(2027, 2, 1): ()}),
            "next_close",
            "2026-11-01T00:00:00Z",
            "2027-02-01T00:00:00Z",
        ),
        # A whole day over midnight.
        (hours("UTC", {"mon": "09:00-09:00"}), "next_close", "2026-01-05T10:00:00Z", "2026-01-06T09:00:00Z"),
        # A close that an exception brings only in years.
        (
            BusinessHours(HoursSpec("UTC", ALWAYS.week, exceptions={date(2031, 5, 1): ()})),
            "next_close",
            "2026-01-05T10:00:00Z",
            "2031-05-01T00:00:00Z",
        ),
    ],
)
def test_the_next_opening_and_close(calendar: BusinessHours, question: str, at: str, expected: str) -> None:
    assert rfc3339(getattr(calendar, question)(parse_instant(at))) == expected


class TestAdding:
    def test_a_span_used_up_at_closing_time_ends_there(self) -> None:
        start = parse_instant("2026-01-05T09:00:00Z")
        assert rfc3339(hours("UTC", OFFICE).add(start, 3 * HOUR)) == "2026-01-05T12:00:00Z"

    def test_nothing_added_is_the_start_also_in_closed_time(self) -> None:
        sunday = parse_instant("2026-01-04T00:00:00Z")
        assert hours("UTC", OFFICE).add(sunday, 0) == sunday
        assert hours("UTC", OFFICE).subtract(sunday, 0) == sunday

    def test_a_negative_span_goes_the_other_way(self) -> None:
        asked, start = hours("UTC", OFFICE), parse_instant("2026-01-05T10:00:00Z")
        assert asked.add(start, -HOUR) == asked.subtract(start, HOUR)
        assert asked.subtract(start, -HOUR) == asked.add(start, HOUR)

    def test_a_span_used_up_at_opening_time_is_subtracted_to_the_opening(self) -> None:
        end = parse_instant("2026-01-05T14:00:00Z")
        assert rfc3339(hours("UTC", OFFICE).subtract(end, HOUR)) == "2026-01-05T13:00:00Z"

    def test_it_reaches_over_many_years(self) -> None:
        start = parse_instant("2026-01-05T09:00:00Z")
        assert rfc3339(hours("UTC", {"mon": "09:00-10:00"}).add(start, 522 * HOUR)) == "2035-12-31T10:00:00Z"


class TestNothingThere:
    NEVER = BusinessHours(HoursSpec("UTC", ((),) * 7))
    FAR_APART = hours("UTC", {}, exceptions={date(y, 1, 5): (Window(0, 3600),) for y in (2026, 2028)})

    @pytest.mark.parametrize("question", ["next_open", "next_close"])
    def test_a_calendar_without_hours_never_opens(self, question: str) -> None:
        with pytest.raises(NoOpenTime, match="no open time within 400 days after 2026-01-05T00:00:00Z"):
            getattr(self.NEVER, question)(parse_instant("2026-01-05T00:00:00Z"))

    def test_nothing_can_be_added_or_subtracted_without_hours(self) -> None:
        at = parse_instant("2026-01-05T00:00:00Z")
        with pytest.raises(NoOpenTime):
            self.NEVER.add(at, 1)
        with pytest.raises(NoOpenTime):
            self.NEVER.subtract(at, 1)
        assert self.NEVER.between(at, at + FAR) == 0

    def test_400_closed_days_on_the_way_end_the_search(self) -> None:
        start = parse_instant("2026-01-05T00:00:00Z")
        assert self.FAR_APART.add(start, HOUR) == start + HOUR
        with pytest.raises(NoOpenTime, match="after 2026-01-05T01:00:00Z"):
            self.FAR_APART.add(start, HOUR + 1)
        with pytest.raises(NoOpenTime):
            self.FAR_APART.subtract(parse_instant("2028-01-05T00:30:00Z"), HOUR)

    def test_also_when_what_lies_behind_is_compiled_already(self) -> None:
        asked = BusinessHours(self.FAR_APART.spec)
        assert asked.is_open(parse_instant("2028-01-05T00:30:00Z"))
        with pytest.raises(NoOpenTime):
            asked.add(parse_instant("2026-01-05T00:00:00Z"), HOUR + 1)
        with pytest.raises(NoOpenTime):
            asked.next_open(parse_instant("2026-01-06T00:00:00Z"))
        assert rfc3339(asked.next_open(parse_instant("2027-06-01T00:00:00Z"))) == "2028-01-05T00:00:00Z"

    def test_a_calendar_that_is_always_open_never_closes(self) -> None:
        with pytest.raises(NoOpenTime, match="never closes"):
            BusinessHours(ALWAYS).next_close(parse_instant("2026-01-05T00:00:00Z"))

    def test_nor_does_it_where_dst_changes(self) -> None:
        with pytest.raises(NoOpenTime, match="never closes"):
            hours("Africa/Cairo", {"all": "00:00-24:00"}).next_close(parse_instant("2026-01-05T00:00:00Z"))

    def test_outside_of_its_centuries_it_is_closed(self) -> None:
        asked = BusinessHours(ALWAYS)
        assert not asked.is_open(FIRST - 1)
        assert not asked.is_open(LAST)
        assert asked.between(-(10**18), 10**18) == LAST - FIRST


@settings(max_examples=200, deadline=None)
@given(calendars(), st.lists(st.tuples(instants(), st.lists(spans(), min_size=1, max_size=4)), max_size=4))
def test_spans_asked_for_together_end_where_each_ends_by_itself(
    spec: HoursSpec, questions: list[tuple[Instant, list[Span]]]
) -> None:
    def alone(start: Instant, span: Span) -> Instant | None:
        try:
            return BusinessHours(spec).add(start, span)
        except NoOpenTime:
            return None

    asked = BusinessHours(spec)  # which remembers where the last question was
    for start, some in questions:
        assert asked.reached(start, some) == [alone(start, span) for span in some]


def test_business_hours_with_the_same_content_are_equal() -> None:
    assert hours("UTC", OFFICE) == hours("UTC", dict(OFFICE))
    assert hash(hours("UTC", OFFICE)) == hash(hours("UTC", dict(OFFICE)))
    assert hours("UTC", OFFICE) != hours("Europe/Madrid", OFFICE)
