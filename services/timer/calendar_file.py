"""The calendars of a policy file: what a user may write, checked field by field."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Final, Protocol, runtime_checkable

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from services.timer.calendar_data import NO_DATA, CalendarData
from services.timer.opening_times import (
    FIRST_YEAR,
    LAST_YEAR,
    Day,
    HoursSpec,
    Window,
    time_zones,
)
from shared.public_holidays import Region, public_holidays

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = "(?:" + "|".join(DAYS) + ")"
_TIME: Final = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?"
_WINDOW_PATTERN: Final = f"^{_TIME} ?- ?{_TIME}$"
_RANGE_PATTERN: Final = f"^({_DAY})(?:-({_DAY}))?$"
_DATE_PATTERN: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def parse_window(text: object) -> Window:
    """The window that a text like `09:00-14:00` or `22:00-06:00` names; an end not after its start is of the next day.

    Raises:
        ValueError: *text* is no such text.
    """
    found = re.fullmatch(_WINDOW_PATTERN, text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"expected hours like 09:00-14:00, got {text!r}")
    parts = [int(part or 0) for part in found.groups()]
    start, end = _seconds(parts[:3]), _seconds(parts[3:])
    if start is None or start == 86_400 or end is None:
        raise ValueError(f"expected times of day from 00:00 to 24:00, got {text!r}")
    return Window(start, end if end > start else end + 86_400)


def parse_days(text: str) -> list[int]:
    """The days that `fri` or `mon-thu` names, Monday being 0; a range may run over the end of the week.

    Raises:
        ValueError: *text* is no such text.
    """
    found = re.fullmatch(_RANGE_PATTERN, text)
    if found is None:
        raise ValueError(f"expected a day like fri or a range like mon-thu, got {text!r}")
    first, last = DAYS.index(found[1]), DAYS.index(found[2] or found[1])
    return [(first + i) % 7 for i in range((last - first) % 7 + 1)]


def parse_date(text: object) -> date:
    """The date that a text like `2026-12-24` names.

    Raises:
        ValueError: *text* is no such text, or a date that no calendar reaches.
    """
    if isinstance(text, str) and re.fullmatch(_DATE_PATTERN, text):
        try:
            day = date.fromisoformat(text)
        except ValueError as exc:
            raise ValueError(f"expected a date that exists, got {text}") from exc
        if FIRST_YEAR <= day.year <= LAST_YEAR:
            return day
    raise ValueError(f"expected a date like 2026-12-24 in the years {FIRST_YEAR} to {LAST_YEAR}, got {text!r}")


def _seconds(parts: list[int]) -> int | None:
    hours, minutes, seconds = parts
    total = hours * 3600 + minutes * 60 + seconds
    return total if minutes < 60 and seconds < 60 and total <= 86_400 else None


@runtime_checkable
class WithData(Protocol):
    """A context of validation that knows of zones and holidays beside the installed packages."""

    data: CalendarData | None


def _kept(info: ValidationInfo) -> CalendarData:
    # What a version was made with is known, though a later release of a package may have dropped the name.
    return (info.context.data if isinstance(info.context, WithData) else None) or NO_DATA


def _known_zone(name: str, info: ValidationInfo) -> str:
    if name not in time_zones() and name not in _kept(info).zones:
        raise ValueError(f"expected the name of a time zone like Europe/Madrid, got {name!r}")
    return name


def _a_range(text: str) -> str:
    parse_days(text)
    return text


def _apart(windows: list[Window]) -> list[Window]:
    for earlier, later in pairwise(sorted(windows)):
        if earlier.end > later.start:
            raise ValueError(f"expected windows that do not overlap, got {_shown(earlier)} and {_shown(later)}")
    return windows


def _each_day_once(hours: dict[str, list[Window]]) -> dict[str, list[Window]]:
    named: dict[int, str] = {}
    for text in hours:
        for day in parse_days(text):
            if day in named:
                raise ValueError(f"expected each day once, got {DAYS[day]} in {named[day]} and in {text}")
            named[day] = text
    return hours


def _shown(window: Window) -> str:
    return "-".join(f"{at // 3600:02}:{at // 60 % 60:02}" for at in (window.start, window.end % 86_400 or 86_400))


def _extends(value: Any) -> bool:
    return isinstance(value, dict) and "extends" in value


def _by_weekday(hours: dict[str, list[Window]]) -> dict[int, Day]:
    return {day: tuple(sorted(windows)) for days, windows in hours.items() for day in parse_days(days)}


def one_or_list(value: Any) -> Any:
    """*value* as a list; a single value stands for a list of one."""
    return value if isinstance(value, list) else [value]


Date = Annotated[date, PlainValidator(parse_date), WithJsonSchema({"type": "string", "format": "date"})]
WindowText = Annotated[
    Window, PlainValidator(parse_window), WithJsonSchema({"type": "string", "pattern": _WINDOW_PATTERN})
]
Windows = Annotated[
    list[WindowText],
    AfterValidator(_apart),
    BeforeValidator(one_or_list, json_schema_input_type=WindowText | list[WindowText]),
]
DayRange = Annotated[str, AfterValidator(_a_range), WithJsonSchema({"type": "string", "pattern": _RANGE_PATTERN})]


class RegionModel(BaseModel):
    """The public holidays of a country, or of one of its subdivisions."""

    model_config = ConfigDict(extra="forbid")

    country: str = Field(description="ISO 3166-1 code of the country, like ES")
    subdivision: str | None = Field(None, description="ISO 3166-2 code of the subdivision without the country, like MD")

    @model_validator(mode="after")
    def _known(self, info: ValidationInfo) -> RegionModel:
        if _kept(info).has_region(self.country, self.subdivision):
            return self
        for region in (Region(self.country), Region(self.country, self.subdivision)):
            try:
                public_holidays(region, 2026)
            except NotImplementedError as exc:
                raise ValueError(f"expected a country and subdivision like ES and MD: {exc}") from exc
        return self


Holiday = Annotated[
    Annotated[Date, Tag("date")] | Annotated[RegionModel, Tag("region")],
    Discriminator(lambda value: "region" if isinstance(value, dict | RegionModel) else "date"),
]


ZoneName = Annotated[str, AfterValidator(_known_zone)]
Hours = Annotated[dict[DayRange, Windows], AfterValidator(_each_day_once)]
Holidays = Annotated[list[Holiday], BeforeValidator(one_or_list, json_schema_input_type=RegionModel | list[Holiday])]
_ZONE_SAYS: Final = "IANA time zone, like Europe/Madrid"
_HOURS_SAY: Final = "days or ranges of days (mon, mon-thu) to windows (09:00-14:00)"


class _Days(BaseModel):
    """The days that are not as their week has them."""

    model_config = ConfigDict(extra="forbid")

    holidays: Holidays | None = Field(
        None, description="public holidays of a country, or a list of dates and countries; closed all day"
    )
    exceptions: dict[Date, Windows] = Field({}, description="dates to the windows that replace the day's hours")

    @property
    def dates(self) -> frozenset[date]:
        """The holidays that are dates."""
        return frozenset(day for day in self.holidays or () if isinstance(day, date))

    @property
    def regions(self) -> frozenset[Region]:
        """The places whose public holidays count."""
        regions = [region for region in self.holidays or () if isinstance(region, RegionModel)]
        return frozenset(Region(region.country, region.subdivision) for region in regions)

    @property
    def replaced(self) -> dict[date, Day]:
        """The hours of the days that have some of their own."""
        return {day: tuple(sorted(windows)) for day, windows in self.exceptions.items()}


class CalendarModel(_Days):
    """The open hours in which clocks run."""

    time_zone: ZoneName = Field(description=_ZONE_SAYS)
    hours: Hours = Field(description=_HOURS_SAY)

    def spec(self) -> HoursSpec:
        """The calendar that it defines."""
        week = _by_weekday(self.hours)
        days = tuple(week.get(day, ()) for day in range(7))
        return HoursSpec(self.time_zone, days, self.dates, self.regions, self.replaced)


class HeirModel(_Days):
    """A calendar that is like another one, but for what it says itself."""

    extends: str = Field(description="the name of the calendar that it is like, of this or of another file")
    time_zone: ZoneName | None = Field(None, description=f"{_ZONE_SAYS}; inherited unless given")
    hours: Hours = Field({}, description=f"{_HOURS_SAY}; days that are not named are inherited")

    def spec(self, parent: HoursSpec) -> HoursSpec:
        """The calendar that it defines, as an heir of *parent*.

        Holidays and exceptions are added to the inherited ones, but an empty list of holidays means that there are
        none. What it says of a date itself, be it a holiday or an exception, takes the place of an inherited exception.
        """
        week = _by_weekday(self.hours)
        none = self.holidays == []
        exceptions = {day: windows for day, windows in parent.exceptions.items() if day not in self.dates}
        return HoursSpec(
            time_zone=self.time_zone or parent.time_zone,
            week=tuple(week.get(day, inherited) for day, inherited in enumerate(parent.week)),
            holidays=frozenset() if none else parent.holidays | self.dates,
            regions=frozenset() if none else parent.regions | self.regions,
            exceptions=exceptions | self.replaced,
        )


AnyCalendar = Annotated[
    Annotated[CalendarModel, Tag("whole")] | Annotated[HeirModel, Tag("heir")],
    Discriminator(lambda value: "heir" if isinstance(value, HeirModel) or _extends(value) else "whole"),
]


def canonical(spec: HoursSpec) -> dict[str, Any]:
    """The calendar as plain data that is equal where calendars are, whatever way they were written."""
    return {
        "time_zone": spec.time_zone,
        "week": [_plain(day) for day in spec.week],
        "holidays": sorted(map(str, spec.holidays)),
        "regions": sorted(f"{region.country}/{region.subdivision or ''}" for region in spec.regions),
        "exceptions": {str(day): _plain(windows) for day, windows in spec.exceptions.items()},
    }


def _plain(windows: Iterable[Window]) -> list[tuple[int, int]]:
    return [(window.start, window.end) for window in windows]
