"""The calendars of a policy file: what a user may write, checked, and turned into business hours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
    model_validator,
)

from services.timer.business_hours import BusinessHours
from services.timer.opening_times import (
    FIRST_YEAR,
    LAST_YEAR,
    HoursSpec,
    Region,
    Window,
    public_holidays,
    time_zones,
)
from shared.documents import parse

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


def _known_zone(name: str) -> str:
    if name not in time_zones():
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
    def _known(self) -> RegionModel:
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


class CalendarModel(BaseModel):
    """The open hours in which clocks run."""

    model_config = ConfigDict(extra="forbid")

    time_zone: Annotated[str, AfterValidator(_known_zone)] = Field(description="IANA time zone, like Europe/Madrid")
    hours: Annotated[dict[DayRange, Windows], AfterValidator(_each_day_once)] = Field(
        description="days or ranges of days (mon, mon-thu) to windows (09:00-14:00)"
    )
    holidays: Annotated[
        list[Holiday], BeforeValidator(one_or_list, json_schema_input_type=RegionModel | list[Holiday])
    ] = Field([], description="public holidays of a country, or a list of dates and countries; closed all day")
    exceptions: dict[Date, Windows] = Field({}, description="dates to the windows that replace the day's hours")

    def spec(self) -> HoursSpec:
        """The calendar that it defines."""
        week = {day: tuple(sorted(windows)) for days, windows in self.hours.items() for day in parse_days(days)}
        regions = [region for region in self.holidays if isinstance(region, RegionModel)]
        return HoursSpec(
            time_zone=self.time_zone,
            week=tuple(week.get(day, ()) for day in range(7)),
            holidays=frozenset(day for day in self.holidays if isinstance(day, date)),
            regions=frozenset(Region(region.country, region.subdivision) for region in regions),
            exceptions={day: tuple(sorted(windows)) for day, windows in self.exceptions.items()},
        )


class CalendarFile(BaseModel):
    """The calendars of a file; its other sections are another reader's."""

    calendars: dict[str, CalendarModel]


def load_calendars(text: str, file: str) -> dict[str, BusinessHours]:
    """name -> the calendar's hours, of the `calendars` section of a policy file's text.

    A calendar that never opens is allowed here: it answers, and the answer is that nothing exists.

    Raises:
        BadDocument: with every problem, each with file, line, field and what was expected.
    """
    found = parse(text, CalendarFile, file).calendars
    return {name: BusinessHours(calendar.spec()) for name, calendar in found.items()}


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
