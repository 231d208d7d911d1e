"""Calendars that inherit from others, and those in which nothing would ever run."""

from __future__ import annotations

from collections.abc import Set
from datetime import date

import pytest

from services.timer.calendar_file import parse_window
from services.timer.calendars import load_calendars
from services.timer.opening_times import Day, HoursSpec
from services.timer.policy_file import load
from shared.errors import BadDocument
from shared.events import parse_instant
from shared.public_holidays import Region

NOW = parse_instant("2026-11-22T00:00:00Z")
OFFICE = """
calendars:
  office:
    time_zone: Europe/Madrid
    hours: {mon-thu: ["09:00-14:00", "15:00-18:00"], fri: "09:00-15:00"}
    holidays: [{country: ES, subdivision: MD}, 2026-05-20]
    exceptions: {2026-12-24: "09:00-13:00", 2026-12-31: []}
"""
POLICY = "policies: [{name: p, applies_to: {}, calendar: office, targets: {resolution: 4h}}]\n"


def heir(options: str) -> HoursSpec:
    """The calendar that says *options* itself and inherits the rest from `office`, in another file."""
    return load_calendars({"a": f"calendars: {{heir: {{extends: office, {options}}}}}", "b": OFFICE})["heir"].spec


def day(*windows: str) -> Day:
    return tuple(map(parse_window, windows))


PARENT = load_calendars({"b": OFFICE})["office"].spec


class TestInheriting:
    def test_what_is_not_said_is_inherited(self) -> None:
        assert heir("") == PARENT

    def test_a_time_zone_replaces_the_inherited_one_and_nothing_else(self) -> None:
        found = heir("time_zone: Atlantic/Canary")
        assert found.time_zone == "Atlantic/Canary"
        assert found == HoursSpec("Atlantic/Canary", PARENT.week, PARENT.holidays, PARENT.regions, PARENT.exceptions)

    def test_hours_are_replaced_day_by_day(self) -> None:
        found = heir("hours: {wed-thu: '10:00-12:00', fri: [], sun: '22:00-06:00'}")
        mon, tue, *_, sat, _ = PARENT.week
        ten = day("10:00-12:00")
        assert found.week == (mon, tue, ten, ten, (), sat, day("22:00-06:00"))

    @pytest.mark.parametrize(
        ("holidays", "dates", "regions"),
        [
            # One more, be it a date or a place.
            ("2026-06-01", {date(2026, 5, 20), date(2026, 6, 1)}, {Region("ES", "MD")}),
            ("{country: PT}", {date(2026, 5, 20)}, {Region("ES", "MD"), Region("PT")}),
            # None at all.
            ("[]", set(), set()),
        ],
    )
    def test_holidays_are_added_and_an_empty_list_means_none(
        self, holidays: str, dates: Set[date], regions: Set[Region]
    ) -> None:
        found = heir(f"holidays: {holidays}")
        assert (found.holidays, found.regions) == (dates, regions)

    @pytest.mark.parametrize(
        ("options", "at", "is_open"),
        [
            # One more date, and the inherited ones stay.
            ("exceptions: {2026-11-07: '09:00-10:00'}", "2026-11-07T08:30:00Z", True),
            ("exceptions: {2026-11-07: '09:00-10:00'}", "2026-12-24T13:30:00Z", False),
            # The same date: the nearer one holds.
            ("exceptions: {2026-12-24: '16:00-17:00'}", "2026-12-24T09:00:00Z", False),
            ("exceptions: {2026-12-24: '16:00-17:00'}", "2026-12-24T15:30:00Z", True),
            # An exception opens an inherited holiday, of a place or a date.
            ("exceptions: {2026-12-25: '09:00-13:00'}", "2026-12-25T09:00:00Z", True),
            ("exceptions: {2026-05-20: '09:00-13:00'}", "2026-05-20T09:00:00Z", True),
            # A holiday of its own closes a date on which an inherited exception opens,
            ("holidays: 2026-12-24", "2026-12-24T09:00:00Z", False),
            # but a place's holiday is not said of the date, so the exception stays.
            ("holidays: {country: SE}", "2026-12-24T09:00:00Z", True),
            # Without holidays, exceptions stay.
            ("holidays: []", "2026-12-25T09:00:00Z", True),
            ("holidays: []", "2026-12-31T09:00:00Z", False),
        ],
    )
    def test_of_a_date_the_nearer_calendar_says_what_holds(self, options: str, at: str, is_open: bool) -> None:
        found = load_calendars({"f": f"{OFFICE}  heir: {{extends: office, {options}}}\n"})["heir"]
        assert found.is_open(parse_instant(at)) is is_open

    def test_a_calendar_can_be_an_heir_of_an_heir_in_any_order_of_files(self) -> None:
        first = (
            "calendars:\n  c: {extends: b, holidays: 2026-06-02}\n  a: {time_zone: UTC, hours: {mon: '09:00-17:00'}}"
        )
        second = "calendars:\n  b: {extends: a, hours: {tue: '08:00-09:00'}}"
        found = load_calendars({"1": first, "2": second})
        assert found["c"].spec == HoursSpec(
            "UTC", (day("09:00-17:00"), day("08:00-09:00"), *[()] * 5), frozenset({date(2026, 6, 2)})
        )
        assert list(found) == ["c", "a", "b"]

    def test_a_long_line_of_heirs_is_followed_to_its_end(self) -> None:
        heirs = "".join(f"  c{n}: {{extends: c{n - 1}}}\n" for n in range(2000, 0, -1))
        found = load_calendars({"f": f"calendars:\n{heirs}  c0: {{time_zone: UTC, hours: {{mon: '09:00-17:00'}}}}\n"})
        assert found["c2000"] == found["c0"]

    def test_a_policy_may_use_an_heir(self) -> None:
        text = f"{OFFICE}  heir: {{extends: office, hours: {{sat: '09:00-12:00'}}}}\n{POLICY.replace('office', 'heir')}"
        assert load({"f": text}).calendars["heir"].is_open(parse_instant("2026-11-21T10:00:00Z"))


@pytest.mark.parametrize(
    ("calendars", "expected"),
    [
        # A name that is nowhere.
        ("  a: {extends: offic}", ["f:2: calendars.a.extends: expected the name of a calendar (a), got 'offic'"]),
        # Its own heir.
        ("  a: {extends: a}", ["f:2: calendars.a.extends: expected a calendar that is not its own heir, got a > a"]),
        # A circle, and one that leads into it: only those in it are wrong.
        (
            "  a: {extends: b}\n  b: {extends: c}\n  c: {extends: b}",
            [
                "f:3: calendars.b.extends: expected a calendar that is not its own heir, got b > c > b",
                "f:4: calendars.c.extends: expected a calendar that is not its own heir, got c > b > c",
            ],
        ),
        # What is no name.
        ("  a: {extends: 5}", ["f:2: calendars.a.extends: expected a text, got 5"]),
        # Whoever inherits from one that has mistakes is not to blame.
        (
            "  a: {extends: b}\n  b: {time_zone: Mars, hours: {}}",
            ["f:3: calendars.b.time_zone: expected the name of a"],
        ),
        # Whoever inherits needs nothing of its own; everybody else does.
        (
            "  a: {holidays: 2026-01-01}",
            ["f:2: calendars.a.time_zone: is required", "f:2: calendars.a.hours: is required"],
        ),
        # The checks of a calendar hold for an heir too.
        (
            "  a: {extends: b, hourz: {}}\n  b: {time_zone: UTC, hours: {}}",
            ["f:2: calendars.a.hourz: is not known here"],
        ),
    ],
)
def test_a_mistake_about_heirs_is_named(calendars: str, expected: list[str]) -> None:
    with pytest.raises(BadDocument) as caught:
        load_calendars({"f": f"calendars:\n{calendars}\n"})
    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == len(expected)
    assert all(problem.startswith(start) for problem, start in zip(found, expected, strict=True)), found


def test_mistakes_about_heirs_are_told_with_all_others_of_all_files() -> None:
    with pytest.raises(BadDocument) as caught:
        load({"1": "calendars: {a: {extends: b}, b: {extends: nobody}}", "2": "policies: [{name: p}]", "3": "x: ["})
    assert [problem.file for problem in caught.value.problems] == ["1", "2", "2", "2", "3"]
    assert "b.extends" in str(caught.value.problems[0])


def test_a_set_without_calendars_answers_nothing() -> None:
    with pytest.raises(BadDocument, match="f:1: calendars: expected at least one calendar"):
        load_calendars({"f": POLICY})


def files(calendar: str) -> dict[str, str]:
    """A policy whose only calendar says *calendar*."""
    return {"f": f"{POLICY}calendars:\n  office: {calendar}\n"}


class TestNoOpenTime:
    @pytest.mark.parametrize(
        "calendar",
        [
            # No hours, whenever one asks.
            "{time_zone: UTC, hours: {mon: []}}",
            # All that is open lies behind.
            "{time_zone: UTC, hours: {}, exceptions: {2026-11-21: '09:00-17:00'}}",
            # What is open lies too far ahead.
            "{time_zone: UTC, hours: {}, exceptions: {2027-12-28: '09:00-17:00'}}",
        ],
    )
    def test_a_calendar_without_open_time_in_400_days_is_refused(self, calendar: str) -> None:
        with pytest.raises(BadDocument, match=r"f:3: calendars\.office: expected some open hours"):
            load(files(calendar), now=NOW)

    @pytest.mark.parametrize(
        "calendar",
        [
            # It is open for a last hour.
            "{time_zone: UTC, hours: {}, exceptions: {2026-11-22: '00:00-01:00'}}",
            # It opens after 400 days, to the hour.
            "{time_zone: UTC, hours: {}, exceptions: {2027-12-27: '00:00-01:00'}}",
        ],
    )
    def test_one_that_opens_within_them_is_taken(self, calendar: str) -> None:
        assert load(files(calendar), now=NOW).calendars["office"].spec.exceptions

    def test_a_version_of_long_ago_is_taken_as_it_was(self) -> None:
        past = files("{time_zone: UTC, hours: {}, exceptions: {2016-11-21: '09:00-17:00'}}")
        assert load(past).calendars["office"].is_open(parse_instant("2016-11-21T09:00:00Z"))

    def test_an_heir_that_closes_every_inherited_day_is_refused(self) -> None:
        closed = "  heir: {extends: office, hours: {mon-sun: []}, exceptions: {2026-12-24: []}}"
        with pytest.raises(BadDocument, match=r"f:8: calendars\.heir: expected some open hours"):
            load({"f": f"{OFFICE}{closed}\n{POLICY}"})
