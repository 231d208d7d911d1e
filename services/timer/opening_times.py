"""Opening times: a calendar as its user defines it, and the UTC intervals in which that makes it open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from importlib import resources
from io import BytesIO
from typing import Final
from zoneinfo import ZoneInfo

from shared.events import SECOND, Instant, Span
from shared.public_holidays import Region, public_holidays

FIRST_YEAR: Final = 1900  # no calendar reaches further back, so that no question can cost more than three centuries
LAST_YEAR: Final = 2199
KEPT_YEARS: Final = range(2000, 2050)  # whose public holidays a version of the policies keeps
_DAY_S: Final = 86_400
DAY: Final[Span] = _DAY_S * SECOND
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # a local time, to which a zone is given later
_EPOCH_DAY: Final = _EPOCH.toordinal()


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Open hours of a local day, in seconds since its midnight by the clock on the wall."""

    start: int  # 0 <= start < 86,400
    end: int  # start < end <= start + 86,400; beyond 86,400 it runs into the next day


Day = tuple[Window, ...]


@dataclass(frozen=True)
class HoursSpec:
    """A calendar as its user defines it. Equal ones open and close alike."""

    time_zone: str  # a name of the IANA time zone database
    week: tuple[Day, ...]  # seven days, Monday first
    holidays: frozenset[date] = frozenset()
    regions: frozenset[Region] = frozenset()
    exceptions: Mapping[date, Day] = field(default_factory=dict)  # replace the hours of a day, holiday or not
    # What it is computed with: of what is not given, the installed packages know.
    zone_rules: bytes | None = None  # TZif
    public_holidays: Mapping[Region, frozenset[date]] = field(default_factory=dict)  # all of KEPT_YEARS

    @cached_property
    def ever_opens(self) -> bool:
        """Whether there is any open time at all."""
        return any(self.week) or any(self.exceptions.values())

    @cached_property
    def last_date(self) -> date:
        """The last date that is named; after it the weeks repeat, but for the holidays of regions."""
        return max((*self.holidays, *self.exceptions), default=date(FIRST_YEAR, 1, 1))

    def windows(self, day: date) -> Day:
        """The windows that belong to a local day, those that run into the next one among them."""
        if day in self.exceptions:
            return self.exceptions[day]
        closed = day in self.holidays or any(self._is_public_holiday(day, region) for region in self.regions)
        return () if closed else self.week[day.weekday()]

    def intervals(self, since: Instant, until: Instant) -> list[list[Instant]]:
        """The open time in `[since, until)` as [open, close) pairs in order that neither touch nor overlap."""
        # A margin for windows over midnight, for offsets from UTC, and for zones that skip a day.
        days = range((since - 3 * DAY) // DAY, (until + 3 * DAY) // DAY)
        zone = time_zone(self.time_zone, self.zone_rules)
        merged: list[list[Instant]] = []
        for opened, closed in sorted(pair for day in days for pair in self._opened(day, zone)):
            start, end = max(opened, since), min(closed, until)
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            elif start < end:
                merged.append([start, end])
        return merged

    def _is_public_holiday(self, day: date, region: Region) -> bool:
        kept = self.public_holidays.get(region) if day.year in KEPT_YEARS else None
        return day in (public_holidays(region, day.year) if kept is None else kept)

    def midnight(self, day: date) -> Instant:
        """The instant at which a date begins in the zone: the first of two, and after the gap where there is none."""
        return _utc(day.toordinal() - _EPOCH_DAY, 0, time_zone(self.time_zone, self.zone_rules))

    def _opened(self, day: int, zone: ZoneInfo) -> Iterator[tuple[Instant, Instant]]:
        for window in self.windows(date.fromordinal(_EPOCH_DAY + day)):
            opened, closed = _utc(day, window.start, zone), _utc(day, window.end, zone)
            if opened < closed:  # the gap of a DST change can empty a window
                yield opened, closed


@lru_cache(maxsize=1024)
def time_zone(name: str, rules: bytes | None = None) -> ZoneInfo:
    """The time zone of that name, with these rules (TZif), else with the installed ones.

    Raises:
        KeyError: there is no such zone.
    """
    return ZoneInfo.from_file(BytesIO(zone_rules(name) if rules is None else rules), key=name)


@lru_cache(maxsize=1024)
def zone_rules(name: str) -> bytes:
    """The rules (TZif) of the zone of that name, from the tzdata package, so that every machine has the same.

    Raises:
        KeyError: there is no such zone.
    """
    if name not in time_zones():
        raise KeyError(name)
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


@lru_cache
def time_zones() -> frozenset[str]:
    """The names of all time zones."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())


def _utc(day: int, seconds: int, zone: ZoneInfo) -> Instant:
    # Of an ambiguous local time the first occurrence, and one that does not exist moves forward by the gap: both are
    # what the offset gives that holds with fold=0.
    local = day * _DAY_S + seconds
    offset = (_EPOCH + timedelta(seconds=local)).replace(tzinfo=zone).utcoffset() or timedelta()
    return (local - offset.days * _DAY_S - offset.seconds) * SECOND
