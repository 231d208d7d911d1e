"""When a receiver may be disturbed: weekly hours in its own zone but for holidays, and what breaks through. PURE.

The hours follow the clock on the wall. Where that clock is changed, a boundary that comes twice is its first coming,
one that is skipped moves on by what is skipped, and a window that is skipped whole is dropped: as in calendars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, field_validator, model_validator

from services.notifier.endpoints.values import Strict
from shared.events import DAY, Instant, Severity, instant, moment
from shared.public_holidays import Region, public_holidays

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
AHEAD: Final = 16  # days that are looked at together
LONGEST: Final = 400  # days after which what never opens is taken for open: to be told at night is better than never
_TIMES: Final = re.compile(r"(\d\d):(\d\d) ?- ?(\d\d):(\d\d)")
_WHOLE_DAY: Final = 24 * 60

Window = tuple[int, int]  # [start, end) in minutes since the midnight of the day on which it starts
Week = tuple[tuple[Window, ...], ...]  # seven days, Monday first
Stretch = tuple[Instant, Instant]  # [start, end)


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """Hours that come back every week, by the clock on the wall in a zone; there are some."""

    zone: str  # a name of the IANA time zone database
    week: Week
    closed: frozenset[date] = frozenset()  # days on which no window starts
    region: Region | None = None  # whose public holidays are such days too

    def next_open(self, at: Instant) -> Instant:
        """The first open instant at or after *at*; *at* itself where there is none in LONGEST days."""
        first = at // DAY
        for day in range(first, first + LONGEST, AHEAD):
            for start, end in _stretches(self, day):
                if end > at:
                    return max(start, at)
        return at

    def is_closed(self, day: date) -> bool:
        """Whether no window starts on a day."""
        return day in self.closed or (self.region is not None and day in public_holidays(self.region, day.year))


@lru_cache(maxsize=128)
def _stretches(hours: WeeklyHours, day: int) -> tuple[Stretch, ...]:
    # What is open from a day of UTC's on, in order, for AHEAD days: it takes 100 µs, and a flood asks often.
    # Two days of margin before: a window may run into the next day, and a zone may skip one.
    first = moment(day * DAY).date() - timedelta(days=2)
    found: list[Stretch] = []
    for stretch in sorted(_windows(hours, first, AHEAD + 2)):
        if found and stretch[0] <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stretch[1]))
        else:
            found.append(stretch)
    return tuple(found)


def _windows(hours: WeeklyHours, first: date, days: int) -> Iterator[Stretch]:
    zone = ZoneInfo(hours.zone)
    for number in range(days):
        day = first + timedelta(days=number)
        for window in () if hours.is_closed(day) else hours.week[day.weekday()]:
            start, end = (_instant(day, minutes, zone) for minutes in window)
            if start < end:
                yield start, end


def _instant(day: date, minutes: int, zone: ZoneInfo) -> Instant:
    # `fold` is 0: of a time that comes twice the first, and of one that is skipped the offset before it, which moves
    # it on.
    return instant(datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=minutes))


def _week(value: Any) -> Week:
    if not isinstance(value, Mapping):
        raise ValueError("expected days and their hours, like {mon-fri: 08:00-20:00}")  # noqa: TRY004 # pydantic's
    week: list[list[Window]] = [[] for _ in DAYS]
    for days, hours in value.items():
        windows = [_window(each) for each in (hours if isinstance(hours, list) else [hours])]
        for day in _days(days):
            week[day] += windows
    if not any(week):
        raise ValueError("expected some hours: with none, nothing would ever be told")
    return tuple(tuple(sorted(day)) for day in week)


def _days(text: Any) -> Iterator[int]:
    first, _, last = str(text).partition("-")
    if first not in DAYS or (last or first) not in DAYS:
        raise ValueError(f"expected days like mon or mon-fri, got {text!r:.60}")
    start = DAYS.index(first)
    length = (DAYS.index(last or first) - start) % len(DAYS)
    return ((start + number) % len(DAYS) for number in range(length + 1))


def _window(text: Any) -> Window:
    found = _TIMES.fullmatch(text) if isinstance(text, str) else None
    numbers = [int(each) for each in found.groups()] if found else []
    if not numbers or max(numbers[1::2]) > 59:
        raise ValueError(f"expected hours like 08:00-20:00, got {text!r:.60}")
    start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if start >= _WHOLE_DAY or end > _WHOLE_DAY or start == end:
        raise ValueError(f"expected hours between 00:00 and 24:00 that are not empty, got {text!r:.60}")
    return start, end if end > start else end + _WHOLE_DAY


class Holidays(Strict):
    """The public holidays of a country, or of one of its subdivisions."""

    country: str
    subdivision: str | None = None

    @model_validator(mode="after")
    def _known(self) -> Holidays:
        try:
            public_holidays(self.region, 2026)
        except NotImplementedError as exc:
            place = "-".join(filter(None, (self.country, self.subdivision)))
            raise ValueError(
                f"expected a country, and perhaps a subdivision, like ES and MD, got {place!r:.60}"
            ) from exc
        return self

    @property
    def region(self) -> Region:
        """The place."""
        return Region(self.country, self.subdivision)


class QuietHours(Strict):
    """When a receiver is open; what comes outside these hours waits, but for what breaks through."""

    zone: str
    open: Annotated[Week, BeforeValidator(_week, json_schema_input_type=dict[str, str | list[str]])]
    closed: frozenset[date] = frozenset()
    holidays: Holidays | None = None
    breaks_through: frozenset[Severity] = frozenset({"critical"})

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError(f"expected a time zone like Europe/Madrid, got {zone!r:.60}")
        return zone

    def until(self, severity: Severity, at: Instant) -> Instant | None:
        """When what comes at *at* with *severity* may be told; None where that is at once."""
        if severity in self.breaks_through:
            return None
        region = None if self.holidays is None else self.holidays.region
        opens = WeeklyHours(self.zone, self.open, self.closed, region).next_open(at)
        return opens if opens > at else None
