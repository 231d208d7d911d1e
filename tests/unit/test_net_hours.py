"""Business hours from which spans are cut out: the answers of a calendar that is closed in them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer.business_hours import BusinessHours, NoOpenTime
from services.timer.net_hours import Closure, NetHours, gross_of
from services.timer.opening_times import HoursSpec, Window
from shared.events import SECOND, Instant, Span
from tests.histories import MONDAY, at
from tests.strategies import calendars

LAW = settings(max_examples=100, deadline=None)  # a first question to a calendar compiles a year
QUARTER = 900 * SECOND
ALWAYS = BusinessHours(HoursSpec("UTC", ((Window(0, 86_400),),) * 7))


def net(*spans: tuple[str, str], gross: BusinessHours = ALWAYS) -> NetHours:
    return NetHours(gross, tuple(Closure(at(start), at(end), "x", "why") for start, end in spans))


@st.composite
def cut_hours(draw: st.DrawFn) -> NetHours:
    """Any calendar, and up to four closures in the fortnight from MONDAY that are apart from each other."""
    ends = sorted(draw(st.sets(st.integers(0, 14 * 96), max_size=8)))
    pairs = zip(ends[::2], ends[1::2], strict=False)
    closures = [Closure(MONDAY + start * QUARTER, MONDAY + end * QUARTER, "x", "why") for start, end in pairs]
    return NetHours(BusinessHours(draw(calendars())), tuple(closures))


def instants() -> st.SearchStrategy[Instant]:
    return st.integers(-96, 15 * 96).map(lambda quarters: MONDAY + quarters * QUARTER)


class TestAdding:
    @pytest.mark.parametrize(
        ("start", "hours", "expected"),
        [
            # What is used up before a closure ends there, exactly at its start too,
            ("08:00", 2, "10:00"),
            # what is not goes on after it,
            ("08:00", 3, "13:00"),
            ("11:00", 1, "13:00"),
            # over all that are on the way.
            ("08:00", 8, "19:00"),
            # No time at all passes at once, in a closure as elsewhere.
            ("11:00", 0, "11:00"),
            # Backwards the latest instant counts.
            ("13:00", -1, "12:00"),
            ("12:00", -1, "09:00"),
            ("19:00", -8, "08:00"),
        ],
    )
    def test_skips_what_is_excluded(self, start: str, hours: int, expected: str) -> None:
        cut = net(("10:00", "12:00"), ("15:00", "16:00"))
        assert cut.add(at(start), hours * 3600 * SECOND) == at(expected)

    def test_a_long_closure_is_no_calendar_that_never_opens(self) -> None:
        assert net(("10:00", "+500 10:00")).add(at("09:00"), 2 * 3600 * SECOND) == at("+500 11:00")

    def test_a_calendar_that_never_opens_again_has_no_such_instant(self) -> None:
        closed = BusinessHours(HoursSpec("UTC", ((),) * 7))
        with pytest.raises(NoOpenTime):
            net(("10:00", "12:00"), gross=closed).add(at("09:00"), SECOND)

    @LAW
    @given(cut_hours(), instants(), st.integers(1, 200))
    def test_what_was_added_is_between(self, hours: NetHours, start: Instant, quarters: int) -> None:
        span: Span = quarters * QUARTER
        end = hours.add(start, span)
        assert hours.between(start, end) == span
        assert hours.between(start, end - 1) < span  # the earliest such instant

    @LAW
    @given(cut_hours(), instants(), st.integers(1, 200))
    def test_what_was_subtracted_is_between(self, hours: NetHours, end: Instant, quarters: int) -> None:
        start = hours.add(end, -quarters * QUARTER)
        assert hours.between(start, end) == quarters * QUARTER
        assert hours.between(start + 1, end) < quarters * QUARTER  # the latest such instant


class TestMeasuring:
    @LAW
    @given(cut_hours(), instants(), instants())
    def test_every_quarter_counts_that_is_open_and_not_excluded(
        self, hours: NetHours, one: Instant, other: Instant
    ) -> None:
        closures = list(hours.closures(MONDAY, MONDAY + 15 * 96 * QUARTER))
        start, end = min(one, other), max(one, other)
        expected = sum(
            hours.gross.between(quarter, quarter + QUARTER)
            for quarter in range(start, end, QUARTER)
            if not any(closure.start <= quarter < closure.end for closure in closures)
        )
        assert hours.between(start, end) == expected
        assert hours.between(end, start) == -expected
        assert hours.between(start, end) + hours.excluded(start, end) == hours.gross.between(start, end)

    def test_closures_are_cut_to_what_is_asked(self) -> None:
        cut = net(("10:00", "12:00"), ("15:00", "16:00"))
        found = [(closure.start, closure.end) for closure in cut.closures(at("11:00"), at("15:00"))]
        assert found == [(at("11:00"), at("12:00"))]

    def test_the_hours_of_the_calendar_are_still_there(self) -> None:
        assert gross_of(net(("10:00", "12:00"))) is gross_of(ALWAYS) is ALWAYS
