"""A version of the policies answers the same for ever, whatever packages are installed."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from services.timer.calendar_data import NO_DATA, CalendarData, decode, encode, installed_data
from services.timer.lease_store import StoredVersion
from services.timer.opening_times import KEPT_YEARS, HoursSpec, Window, zone_rules
from services.timer.policies import ALWAYS
from services.timer.policy_file import load
from services.timer.policy_set import PolicySet
from shared.errors import BadDocument
from shared.events import parse_instant
from shared.public_holidays import Region
from shared.version import HOLIDAYS, TZDATA
from tests.unit.test_policies import Desk

TEXT = """
calendars:
  madrid: {time_zone: Europe/Madrid, hours: {mon-fri: "09:00-17:00"}, holidays: {country: ES, subdivision: MD}}
  plain: {time_zone: UTC, hours: {mon-fri: "09:00-17:00"}}
policies: [{name: p, applies_to: {}, calendar: madrid, targets: {resolution: 4h}}]
"""
FILES = {"f": TEXT}
OPENING = parse_instant("2026-01-05T08:00:00Z")  # a Monday, 09:00 in Madrid
# As if Spain had moved to the hours of Japan, and Madrid had no holiday but one.
DOCTORED = CalendarData(
    "tzdata 2031a, holidays 1.0",
    {"Europe/Madrid": zone_rules("Asia/Tokyo"), "UTC": zone_rules("UTC")},
    {"ES/MD": (date(2026, 1, 6),)},
)


def opens(policies: PolicySet, calendar: str = "madrid") -> str:
    """When the calendar opens first after the turn of the year, in hours of UTC."""
    opening = policies.calendars[calendar].next_open(OPENING - 12 * 3_600_000_000)
    return f"{(opening - OPENING) / 3_600_000_000:+}"


class TestKept:
    def test_a_set_keeps_what_its_calendars_use_and_nothing_else(self) -> None:
        found = load(FILES).calendar_data
        assert found.name == f"tzdata {TZDATA}, holidays {HOLIDAYS}"
        assert found.zones == {"Europe/Madrid": zone_rules("Europe/Madrid"), "UTC": zone_rules("UTC")}
        assert found.public_holidays.keys() == {"ES/MD"}
        days = found.public_holidays["ES/MD"]
        assert date(2026, 5, 2) in days  # Madrid's own
        assert {day.year for day in days} <= set(KEPT_YEARS)
        assert list(days) == sorted(days)

    def test_it_comes_back_from_the_database_as_it_was(self) -> None:
        for data in (load(FILES).calendar_data, DOCTORED, NO_DATA):
            assert decode(encode(data)) == data

    def test_kept_data_answers_as_the_packages_do_that_it_was_taken_from(self) -> None:
        spec = HoursSpec(
            "Europe/Madrid", ((Window(0, 86_400),),) * 7, regions=frozenset({Region("ES", "MD"), Region("PT")})
        )
        kept = installed_data([spec]).given_to(spec)
        since, until = parse_instant("1998-01-01T00:00:00Z"), parse_instant("2052-01-01T00:00:00Z")
        assert kept.intervals(since, until) == spec.intervals(since, until)

    def test_years_that_the_library_knows_less_of_are_taken_as_they_are(self) -> None:
        spec = HoursSpec("Asia/Kolkata", ((),) * 7, regions=frozenset({Region("IN")}))
        assert date(2049, 8, 15) in installed_data([spec]).public_holidays["IN"]


class TestDoctored:
    def test_calendars_are_computed_with_the_data_that_is_given(self) -> None:
        assert opens(load(FILES)) == "+0.0"
        assert opens(load(FILES, data=DOCTORED)) == "-8.0"
        assert opens(load(FILES, data=DOCTORED), "plain") == "+1.0"

    def test_holidays_of_kept_years_are_the_kept_ones_and_the_library_knows_the_others(self) -> None:
        madrid = load(FILES, data=DOCTORED).calendars["madrid"]
        assert not madrid.is_open(parse_instant("2026-01-06T02:00:00Z"))
        assert madrid.is_open(parse_instant("2026-12-25T02:00:00Z"))
        assert not madrid.is_open(parse_instant("2051-12-25T02:00:00Z"))

    def test_hours_by_other_rules_are_other_hours(self) -> None:
        now, then = load(FILES), load(FILES, data=DOCTORED)
        assert now.calendars["madrid"] != then.calendars["madrid"]
        assert now.calendars["plain"] == then.calendars["plain"]

    def test_what_was_known_then_is_known_for_ever(self) -> None:
        text = TEXT.replace("Europe/Madrid", "Europe/Atlantis").replace("MD", "XX")
        data = CalendarData("then", {"Europe/Atlantis": zone_rules("UTC"), "UTC": zone_rules("UTC")}, {"ES/XX": ()})
        assert opens(load({"f": text}, data=data)) == "+1.0"
        with pytest.raises(BadDocument) as caught:
            load({"f": text})
        assert len(caught.value.problems) == 2


class TestVersion:
    def test_other_rules_or_holidays_make_another_version(self) -> None:
        rules = CalendarData("t", {**DOCTORED.zones}, {"ES/MD": load(FILES).calendar_data.public_holidays["ES/MD"]})
        holidays = CalendarData("t", load(FILES).calendar_data.zones, {**DOCTORED.public_holidays})
        versions = {load(FILES, data=data).version for data in (None, DOCTORED, rules, holidays)}
        assert len(versions) == 4

    def test_an_upgrade_that_moves_none_of_its_calendars_makes_none(self) -> None:
        data = load(FILES).calendar_data
        upgraded = CalendarData("tzdata 2099z, holidays 9.9", data.zones, data.public_holidays)
        assert load(FILES, data=upgraded).version == load(FILES).version


class TestStored:
    async def test_a_version_answers_as_it_did_when_it_was_registered(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path)
        desk.file.write_text(TEXT)
        before = load({"policies.yaml": TEXT}, data=DOCTORED)
        desk.versions.stored.append(StoredVersion(before.version, ALWAYS, {"policies.yaml": TEXT}, encode(DOCTORED)))
        await desk.policies.start()  # with the packages of today
        rulebook = desk.policies.rulebook()
        assert [version.version for _, version in rulebook.versions] == [before.version, load(FILES).version]
        assert opens(rulebook.version(before.version)) == "-8.0"
        assert rulebook.version(before.version).calendar_data == DOCTORED
        assert opens(rulebook.at(desk.time() + 60_000_000)) == "+0.0"

    async def test_what_is_registered_is_kept_with_its_data(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path)
        desk.file.write_text(TEXT)
        await desk.policies.start()
        (stored,) = desk.versions.stored
        assert decode(stored.calendar_data or "") == load(FILES).calendar_data

    async def test_a_version_without_data_is_computed_with_the_installed_packages(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path)
        desk.file.write_text(TEXT)
        desk.versions.stored.append(StoredVersion("old", ALWAYS, {"policies.yaml": TEXT}, None))
        await desk.policies.start()
        assert opens(desk.policies.rulebook().version("old")) == "+0.0"
