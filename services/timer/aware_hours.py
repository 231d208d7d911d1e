"""Business hours in datetimes: the questions of `BusinessHours` with aware datetimes and timedeltas in and out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from services.timer.business_hours import BusinessHours
from shared.events import EPOCH, SECOND, Instant, Span, instant

_NOTHING: Final = timedelta()
_ZONES: Final = 1_000  # fixed offsets are often made anew with every datetime


class AwareHours:
    """Questions to one calendar in datetimes of any zone; answers are in the zone of the question.

    Exact to the microsecond, as `BusinessHours` is. A fold is honoured; a local time that does not exist is taken with
    the offset before the gap, as everywhere in Python. Not for several threads at once.

    A question costs about a microsecond, half of which goes into the zone. So instants are timedeltas since the epoch
    here: to make integers of them and of spans, and datetimes of integers, would cost as much again.
    """

    def __init__(self, hours: BusinessHours) -> None:
        self.hours = hours
        self._table = hours.compiled.table(_timedelta)
        # zone -> (the epoch in its local time, without its offset; how it makes local time of UTC)
        self._zones: dict[tzinfo | None, tuple[datetime, Callable[[datetime], datetime]]] = {}

    def add(self, start: datetime, span: timedelta) -> datetime:
        """The earliest instant by which *span* of business time has passed since *start*, as `BusinessHours.add`.

        Raises:
            NoOpenTime: on the way there lie 400 days without open time.
            ValueError: *start* has no zone.
        """
        opens, closes, shifts, ends, totals, size, wide = self._table
        try:
            epoch, fromutc = self._zones[start.tzinfo]
        except (KeyError, TypeError):  # a zone that is met for the first time, or of a kind that cannot be kept
            return self._slowly(self.hours.add, start, span)
        since = start - epoch - start.utcoffset()  # type: ignore[operator]  # a zone that is kept always has an offset
        place = bisect_right(opens, since)
        if 0 < place < size and span > _NOTHING:
            goal = (since - shifts[place] if since < closes[place] else ends[place]) + span
            place = bisect_left(totals, goal)
            if place < size and not wide:
                return fromutc(epoch + (goal + shifts[place]))
        return self._slowly(self.hours.add, start, span)

    def subtract(self, end: datetime, span: timedelta) -> datetime:
        """The latest instant from which on *span* of business time passes until *end*, as `BusinessHours.subtract`.

        Raises:
            NoOpenTime: on the way there lie 400 days without open time.
            ValueError: *end* has no zone.
        """
        opens, closes, shifts, ends, totals, size, wide = self._table
        try:
            epoch, fromutc = self._zones[end.tzinfo]
        except (KeyError, TypeError):  # as above
            return self._slowly(self.hours.subtract, end, span)
        since = end - epoch - end.utcoffset()  # type: ignore[operator]  # as above
        place = bisect_right(opens, since)
        if 0 < place < size and span > _NOTHING:
            goal = (since - shifts[place] if since < closes[place] else ends[place]) - span
            place = bisect_right(totals, goal)
            if place > 1 and not wide:
                return fromutc(epoch + (goal + shifts[place]))
        return self._slowly(self.hours.subtract, end, span)

    def between(self, start: datetime, end: datetime) -> timedelta:
        """The business time from *start* to *end*; negative when *end* is the earlier one.

        Raises:
            ValueError: one of them has no zone.
        """
        opens, closes, shifts, ends, _, size, _ = self._table
        try:
            epoch, other = self._zones[start.tzinfo][0], self._zones[end.tzinfo][0]
        except (KeyError, TypeError):  # as above
            return self._measured(start, end)
        since, until = start - epoch - start.utcoffset(), end - other - end.utcoffset()  # type: ignore[operator]  # as above
        first, last = bisect_right(opens, since), bisect_right(opens, until)
        if 0 < first < size and 0 < last < size:
            worked = until - shifts[last] if until < closes[last] else ends[last]
            return worked - (since - shifts[first] if since < closes[first] else ends[first])
        return self._measured(start, end)

    def is_open(self, at: datetime) -> bool:
        """Whether *at* lies in open time; the instant of closing does not.

        Raises:
            ValueError: *at* has no zone.
        """
        return self.hours.is_open(_instant(at))

    def next_open(self, at: datetime) -> datetime:
        """The first open instant at or after *at*.

        Raises:
            NoOpenTime: there is none within 400 days.
            ValueError: *at* has no zone.
        """
        return _local(self.hours.next_open(_instant(at)), at)

    def next_close(self, at: datetime) -> datetime:
        """The end of the open stretch that holds or follows *at*.

        Raises:
            NoOpenTime: nothing opens within 400 days, or what is open then never closes.
            ValueError: *at* has no zone.
        """
        return _local(self.hours.next_close(_instant(at)), at)

    def _slowly(self, ask: Callable[[Instant, Span], Instant], at: datetime, span: timedelta) -> datetime:
        found = ask(_instant(at), _span(span))
        self._keep(at)
        return _local(found, at)

    def _measured(self, start: datetime, end: datetime) -> timedelta:
        found = self.hours.between(_instant(start), _instant(end))
        self._keep(start)
        self._keep(end)
        return _timedelta(found)

    def _keep(self, at: datetime) -> None:
        # What the next question of this kind is answered from at once.
        compiled, opens = self.hours.compiled, self._table.opens
        if (opens[0], opens[-1]) != (_timedelta(compiled.since), _timedelta(compiled.until)):
            self._table = compiled.table(_timedelta)
        zone = at.tzinfo
        # Only of these kinds is an equal zone the same zone at every instant.
        if zone is not None and type(zone) in (ZoneInfo, timezone) and zone not in self._zones:
            if len(self._zones) >= _ZONES:
                self._zones.clear()
            self._zones[zone] = (EPOCH.replace(tzinfo=zone), zone.fromutc)


def _instant(at: datetime) -> Instant:
    if at.utcoffset() is None:
        raise ValueError(f"expected a datetime with a zone, got {at.isoformat()}")
    return instant(at)


def _local(at: Instant, like: datetime) -> datetime:
    return (EPOCH + _timedelta(at)).astimezone(like.tzinfo)


def _span(span: timedelta) -> Span:
    return (span.days * 86_400 + span.seconds) * SECOND + span.microseconds


def _timedelta(span: Span) -> timedelta:
    return timedelta(0, span // SECOND, span % SECOND)
