"""Business hours by marking every second of a day as open or closed, and counting them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

import holidays

from tests.oracle.zones import DAY_S, when

SECOND: Final = 1_000_000
FAR_S: Final = 400 * DAY_S
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_STEPS: Final = (DAY_S, 3600, 60, 1)
_FIRST: Final = date(1970, 1, 1)


def time_of_day(text: str) -> int:
    """Seconds after midnight of `HH:MM`, `HH:MM:SS` or `24:00`."""
    parts = [int(part) for part in text.split(":")]
    return parts[0] * 3600 + parts[1] * 60 + (parts[2] if len(parts) == 3 else 0)


def window(text: str) -> tuple[int, int]:
    """`09:00-14:00` as seconds after midnight; an end that is not after the start lies on the next day."""
    start, end = (time_of_day(part) for part in text.split("-"))
    return start, end if end > start else end + DAY_S


def days_of(key: str) -> Iterator[str]:
    """The days that a key of `hours` names: `fri` is one day, `mon-thu` four."""
    first, _, last = key.partition("-")
    at = _DAYS.index(first)
    yield _DAYS[at]
    while last and _DAYS[at % 7] != last:
        at += 1
        yield _DAYS[at % 7]


def is_holiday(entry: Any, day: date) -> bool:
    """Whether *day* is one: by a date, by a region of the `holidays` library, or by any entry of a list."""
    if entry is None:
        return False
    if isinstance(entry, list):
        return any(is_holiday(each, day) for each in entry)
    if isinstance(entry, Mapping):
        return day in holidays.country_holidays(entry["country"], subdiv=entry.get("subdivision"), years=day.year)
    return str(entry) == day.isoformat()


@lru_cache(maxsize=1000)
def _marked(windows: tuple[tuple[int, int], ...], excluded: tuple[tuple[int, int], ...]) -> bytes:
    """A day's seconds, 1 where any window is open and nothing excludes it. Most days are like others: marked once."""
    marks = bytearray(DAY_S)
    for begin, until in windows:
        marks[begin:until] = b"\x01" * (until - begin)
    for begin, until in excluded:
        marks[begin:until] = bytes(until - begin)
    return bytes(marks)


def _strides(second: int) -> list[int]:
    """A day, an hour or a minute where one begins or ends at *second*, and always one second."""
    return [step for step in _STEPS if second % step == 0]


def inherited(calendars: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A calendar with what it inherits from the one that it `extends`."""
    own = dict(calendars[name])
    if "extends" not in own:
        return own
    heir = inherited(calendars, own.pop("extends"))
    named = {day: texts for key, texts in own.get("hours", {}).items() for day in days_of(key)}
    hours = {day: texts for key, texts in heir["hours"].items() for day in days_of(key)} | named
    holidays_then, exceptions = heir.get("holidays") or [], heir.get("exceptions") or {}
    if "holidays" in own:
        # One that is given as a date takes the place of an inherited exception of that date; an empty list drops all.
        mine = own["holidays"] if isinstance(own["holidays"], list) else [own["holidays"]]
        exceptions = {day: texts for day, texts in exceptions.items() if day not in mine}
        before = holidays_then if isinstance(holidays_then, list) else [holidays_then]
        holidays_then = [*before, *mine] if mine else []
    return {
        "time_zone": own.get("time_zone", heir["time_zone"]),
        "hours": hours,
        "holidays": holidays_then,
        "exceptions": {**exceptions, **own.get("exceptions", {})},
    }


class Hours:
    """A calendar as a policy file describes it, asked by counting seconds."""

    def __init__(self, document: Mapping[str, Any], excluded: tuple[tuple[int, int], ...] = ()) -> None:
        """Hours of a calendar without the spans (from, until) that are *excluded*, in whole seconds."""
        self._excluded = excluded
        self.zone: str = document["time_zone"]
        self._weekly: dict[str, Sequence[str]] = {
            d: texts for k, texts in document["hours"].items() for d in days_of(k)
        }
        self._holidays = document.get("holidays")
        self._exceptions: dict[str, Sequence[str]] = {
            str(day): texts for day, texts in (document.get("exceptions") or {}).items()
        }
        self._counted: dict[int, int] = {}
        self._known: dict[int, list[tuple[int, int]]] = {}

    def between(self, start: int, end: int) -> int:
        """Business time from *start* to *end*; negative where *end* is earlier."""
        if end < start:
            return -self.between(end, start)
        return self._before(end) - self._before(start) + SECOND * self._count(start // SECOND, end // SECOND)

    def add(self, start: int, span: int) -> int | None:
        """The earliest instant with *span* of business time since *start*; None where there is none."""
        if span == 0:
            return start
        span += self._before(start)
        second, closed_s = start // SECOND, 0
        while closed_s <= FAR_S:
            size = next(step for step in _strides(second) if step == 1 or self._ahead(second, step) < span)
            opened = self._count(second, second + size)
            if opened * SECOND >= span:
                return second * SECOND + span
            span, second, closed_s = span - opened * SECOND, second + size, 0 if opened else closed_s + size
        return None

    def subtract(self, end: int, span: int) -> int | None:
        """The latest instant from which *span* of business time leads to *end*; None where there is none."""
        if span == 0:
            return end
        second, closed_s = -(-end // SECOND), 0
        span += self.between(end, second * SECOND)
        while closed_s <= FAR_S:
            size = next(step for step in _strides(second) if step == 1 or self._ahead(second - step, step) < span)
            opened = self._count(second - size, second)
            if opened * SECOND >= span:
                return second * SECOND - span
            span, second, closed_s = span - opened * SECOND, second - size, 0 if opened else closed_s + size
        return None

    def is_open(self, at: int) -> bool:
        """Whether the second that holds *at* is open."""
        return self._count(at // SECOND, at // SECOND + 1) == 1

    def next_open(self, at: int) -> int | None:
        """The first open instant at or after *at*; None where there is none in 400 days."""
        return at if self.is_open(at) else self._next(at // SECOND, opened=1)

    def next_close(self, at: int) -> int | None:
        """The end of the open stretch that holds or follows *at*; None where nothing opens, or it does not close."""
        opening = self.next_open(at)
        return None if opening is None else self._next(opening // SECOND, opened=0)

    def _next(self, second: int, *, opened: int) -> int | None:
        """The first instant from *second* on where the hours are open (1) or closed (0)."""
        last = second + FAR_S
        while second <= last:
            other = (1 - opened) * SECOND
            size = next(step for step in _strides(second) if step == 1 or self._ahead(second, step) == step * other)
            if size == 1 and self._count(second, second + 1) == opened:
                return second * SECOND
            second += size
        return None

    def _before(self, at: int) -> int:
        """How much of the second that holds *at* has gone by, as business time."""
        return at % SECOND if self.is_open(at) else 0

    def _ahead(self, second: int, step: int) -> int:
        """Business time in the *step* seconds from *second* on."""
        return self._count(second, second + step) * SECOND

    def _count(self, start: int, end: int) -> int:
        """Open seconds from second *start* to second *end*."""
        total = 0
        for day in range(start // DAY_S, -(-end // DAY_S)):
            first, last = max(start - day * DAY_S, 0), min(end - day * DAY_S, DAY_S)
            total += self._whole(day) if last - first == DAY_S else self._marks(day).count(1, first, last)
        return total

    def _whole(self, day: int) -> int:
        """Open seconds of a UTC day, counted once."""
        if day not in self._counted:
            self._counted[day] = self._marks(day).count(1)
        return self._counted[day]

    def _marks(self, day: int) -> bytes:
        """A UTC day as a byte for each second: 1 is open."""
        midnight = day * DAY_S
        excluded = [(max(a // SECOND - midnight, 0), min(b // SECOND - midnight, DAY_S)) for a, b in self._excluded]
        return _marked(self._open_in(day), tuple((a, b) for a, b in excluded if a < b))

    def _open_in(self, day: int) -> tuple[tuple[int, int], ...]:
        """What is open on a UTC day: (from, until) in seconds after its midnight."""
        midnight = day * DAY_S
        windows = [each for local_day in range(day - 3, day + 3) for each in self._opened(local_day)]
        return tuple(
            (max(start - midnight, 0), min(end - midnight, DAY_S))
            for start, end in windows
            if start < midnight + DAY_S and end > midnight
        )

    def _opened(self, local_day: int) -> list[tuple[int, int]]:
        """The windows that start on a local day, laid out once."""
        if local_day not in self._known:
            self._known[local_day] = list(self._windows(local_day))
        return self._known[local_day]

    def _windows(self, local_day: int) -> Iterator[tuple[int, int]]:
        """The windows that start on a local day, in seconds since 1970; one that a gap empties is dropped."""
        for text in self._texts(_FIRST + timedelta(days=local_day)):
            opens, closes = (when(self.zone, local_day * DAY_S + second) for second in window(text))
            if opens < closes:
                yield opens, closes

    def _texts(self, day: date) -> Sequence[str]:
        """An exception replaces the day's hours, holiday or not; a holiday is closed; else the hours of the weekday."""
        ordinary = () if is_holiday(self._holidays, day) else self._weekly.get(_DAYS[day.weekday()], ())
        return self._exceptions.get(day.isoformat(), ordinary)
