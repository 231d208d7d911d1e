"""Other libraries for business hours, each behind the same two questions; one that is not installed is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from importlib import import_module
from importlib.metadata import version
from itertools import pairwise
from typing import Any

Add = Callable[[datetime, timedelta], datetime]
Between = Callable[[datetime, datetime], timedelta]


@dataclass(frozen=True, slots=True)
class Office:
    """A calendar that every library can express: the same hours on the same days of the week, and holidays."""

    name: str
    zone: str
    windows: tuple[tuple[time, time], ...]  # in order
    days: tuple[int, ...]  # Monday is 0
    holidays: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class Peer:
    """A library that answers for one calendar."""

    name: str
    add: Add
    between: Between | None  # None: it has no such question


def peers(office: Office, tell: Callable[[str], None]) -> Iterator[Peer]:
    """Every library that is installed, set up with the calendar; what is missing is told."""
    for package, make in (("workclock", _workclock), ("pandas", _pandas), ("businesstimedelta", _businesstimedelta)):
        try:
            import_module(package)
        except ImportError:
            tell(f"{package} is not installed, and left out: pip install -r requirements-bench.lock")
            continue
        add, between = make(office)
        yield Peer(f"{package} {version(package)}", add, between)


def _breaks(office: Office) -> Sequence[tuple[time, time]]:
    return [(earlier[1], later[0]) for earlier, later in pairwise(office.windows)]


def _workclock(office: Office) -> tuple[Add, Between]:
    clock: Any = import_module("workclock")
    days = list(office.days)
    begin, end = office.windows[0][0], office.windows[-1][1]
    rules = [clock.WorkDay(begin, end, days=days), *(clock.Break(*each, days=days) for each in _breaks(office))]
    schedule = clock.Schedule([*rules, clock.Holidays(office.holidays)], time_zone=office.zone)
    return schedule.add, schedule.between


def _businesstimedelta(office: Office) -> tuple[Add, Between]:
    library: Any = import_module("businesstimedelta")
    zone = import_module("pytz").timezone(office.zone)
    days = list(office.days)
    begin, end = office.windows[0][0], office.windows[-1][1]
    rules = library.Rules(
        [
            library.WorkDayRule(start_time=begin, end_time=end, working_days=days, tz=zone),
            *(library.LunchTimeRule(*each, working_days=days, tz=zone) for each in _breaks(office)),
            library.HolidayRule(office.holidays, tz=zone),
        ]
    )

    def add(start: datetime, span: timedelta) -> datetime:
        found: datetime = library.BusinessTimeDelta(rules, timedelta=span) + start
        return found

    def between(start: datetime, end: datetime) -> timedelta:
        found: timedelta = rules.difference(start, end).timedelta
        return found

    return add, between


def _pandas(office: Office) -> tuple[Add, None]:
    pandas: Any = import_module("pandas")
    offset = pandas.offsets.CustomBusinessHour(
        start=[start.strftime("%H:%M") for start, _ in office.windows],
        end=[end.strftime("%H:%M") for _, end in office.windows],
        weekmask="".join("1" if day in office.days else "0" for day in range(7)),
        holidays=list(office.holidays),
    )
    hour = timedelta(hours=1)

    def add(start: datetime, span: timedelta) -> datetime:
        # It counts whole hours on the wall of whatever zone it is given, so it is given the calendar's.
        local = pandas.Timestamp(start).tz_convert(office.zone)
        found: datetime = (local + offset * (span // hour)).to_pydatetime()
        return found

    return add, None
