"""Business hours: a calendar compiled to UTC intervals, in which adding and measuring time are bisections.

A calendar is compiled a year at a time, as far as questions reach, and never beyond the years from FIRST to LAST,
outside of which it counts as closed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

from services.timer.opening_times import DAY, FIRST_YEAR, LAST_YEAR, HoursSpec
from shared.errors import PlazoError
from shared.events import Instant, Span, instant, moment, rfc3339

FIRST: Final[Instant] = instant(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))
LAST: Final[Instant] = instant(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))  # the first instant that is not reached
FAR: Final[Span] = 400 * DAY  # open time further away than this does not exist


class NoOpenTime(PlazoError):
    """The calendar has no such instant: it does not open within 400 days, or it never closes."""


class BusinessHours:
    """Questions to one calendar. Equal to another one with the same content. Not for several threads at once.

    Compiled for `[_since, _until)`, whole years: the open intervals, and for each the business time from an anchor to
    its opening. Answers do not depend on how far it is compiled.
    """

    def __init__(self, spec: HoursSpec) -> None:
        self.spec = spec
        self._since: Instant = 0
        self._until: Instant = 0
        self._opens: list[Instant] = []
        self._closes: list[Instant] = []
        self._totals: list[Span] = []
        self._first_total: Span = 0  # business time from the anchor to _since; negative before the anchor
        self._last_total: Span = 0  # the same to _until

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, BusinessHours) and self.spec == other.spec)

    def __hash__(self) -> int:
        return hash((self.spec.time_zone, self.spec.week))

    def add(self, start: Instant, span: Span) -> Instant:
        """The earliest instant by which *span* of business time has passed since *start*; *start* itself for 0.

        A span used up at closing time ends at closing time. A negative span is subtracted.

        Raises:
            NoOpenTime: on the way there lie 400 days without open time.
        """
        if span <= 0:
            return self.subtract(start, -span) if span else start
        goal = self._worked(start) + span
        while goal > self._last_total:
            self._extend_forward(start)
        place = bisect_left(self._totals, goal) - 1
        end = self._opens[place] + goal - self._totals[place]
        if end - start > FAR:
            self._refuse_long_closure(start, end)
        return end

    def subtract(self, end: Instant, span: Span) -> Instant:
        """The latest instant from which on *span* of business time passes until *end*; *end* itself for 0.

        Raises:
            NoOpenTime: on the way there lie 400 days without open time.
        """
        if span <= 0:
            return self.add(end, -span) if span else end
        goal = self._worked(end) - span
        while goal < self._first_total:
            self._extend_backward(end)
        place = bisect_right(self._totals, goal) - 1
        start = self._opens[place] + goal - self._totals[place]
        if end - start > FAR:
            self._refuse_long_closure(start, end)
        return start

    def between(self, start: Instant, end: Instant) -> Span:
        """The business time from *start* to *end*; negative when *end* is the earlier one."""
        return self._worked(end) - self._worked(start)

    def is_open(self, at: Instant) -> bool:
        """Whether *at* lies in open time; the instant of closing does not."""
        place = self._place(at)
        return place >= 0 and at < self._closes[place]

    def next_open(self, at: Instant) -> Instant:
        """The first open instant at or after *at*.

        Raises:
            NoOpenTime: there is none within 400 days.
        """
        place = self._place(at)
        if place >= 0 and at < self._closes[place]:
            return at
        while place + 1 == len(self._opens):
            self._extend_forward(at)
        if self._opens[place + 1] - at > FAR:
            raise _never_opens(at)
        return self._opens[place + 1]

    def next_close(self, at: Instant) -> Instant:
        """The end of the open stretch that holds or follows *at*; windows that touch are one stretch.

        Raises:
            NoOpenTime: nothing opens within 400 days, or what is open then never closes.
        """
        place = self._place(self.next_open(at))
        while self._closes[place] == self._until:
            if self._until >= LAST or self._until > max(at, _midnight(self.spec.last_date)) + FAR:
                raise NoOpenTime(f"the calendar never closes after {_shown(at)}")
            self._append_year()
        return self._closes[place]

    def opened(self, start: Instant, end: Instant) -> list[tuple[Instant, Instant]]:
        """The open time in `[start, end)` as (open, close) in order; windows that touch are one."""
        if start >= end:
            return []
        first, last = max(self._place(start), 0), self._place(end)
        first = max(self._place(start), 0)  # the years before the present ones may just have been added
        pairs = zip(self._opens[first : last + 1], self._closes[first : last + 1], strict=True)
        return [(max(open_, start), min(close, end)) for open_, close in pairs if open_ < end and close > start]

    def _worked(self, at: Instant) -> Span:
        # The business time from the anchor to *at*.
        if not self._since <= at < self._until:
            self._reach(at)
        place = bisect_right(self._opens, at) - 1
        if place < 0:
            return self._first_total
        close = self._closes[place]
        return self._totals[place] + (at if at < close else close) - self._opens[place]

    def _place(self, at: Instant) -> int:
        # The place of the last interval that opens at or before *at*; -1 where there is none.
        if not self._since <= at < self._until:
            self._reach(at)
        return bisect_right(self._opens, at) - 1

    def _reach(self, at: Instant) -> None:
        at = min(max(at, FIRST), LAST - 1)
        if self._since == self._until:
            self._since = self._until = _year(moment(at).year)
        while self._until <= at:
            self._append_year()
        while at < self._since:
            self._prepend_year()

    def _append_year(self) -> None:
        until = _year(moment(self._until).year + 1)
        for opened, closed in self.spec.intervals(self._until, until):
            if self._closes and self._closes[-1] == opened:
                self._closes[-1] = closed
            else:
                self._opens.append(opened)
                self._closes.append(closed)
                self._totals.append(self._last_total)
            self._last_total += closed - opened
        self._until = until

    def _prepend_year(self) -> None:
        since = _year(moment(self._since).year - 1)
        found = self.spec.intervals(since, self._since)
        if found and self._opens and found[-1][1] == self._opens[0]:
            # One stretch over the turn of the year: the earlier part takes the place of the later one.
            found[-1][1] = self._closes[0]
            self._first_total = self._totals[0] + self._closes[0] - self._opens[0]
            del self._opens[0], self._closes[0], self._totals[0]
        totals = []
        for opened, closed in reversed(found):
            self._first_total -= closed - opened
            totals.append(self._first_total)
        self._opens[:0] = [opened for opened, _ in found]
        self._closes[:0] = [closed for _, closed in found]
        self._totals[:0] = reversed(totals)
        self._since = since

    def _extend_forward(self, start: Instant) -> None:
        closed = max(start, self._closes[-1]) if self._closes else start
        if self._until >= LAST or self._until - closed > FAR:
            raise _never_opens(closed)
        self._append_year()

    def _extend_backward(self, end: Instant) -> None:
        opened = min(end, self._opens[0]) if self._opens else end
        if self._since <= FIRST or opened - self._since > FAR:
            raise NoOpenTime(f"no open time within 400 days before {_shown(opened)}")
        self._prepend_year()

    def _refuse_long_closure(self, start: Instant, end: Instant) -> None:
        crossed = slice(bisect_right(self._closes, start), bisect_left(self._opens, end))
        ends = [start, *self._closes[crossed]]
        for closed, opened in zip(ends, [*self._opens[crossed], end], strict=True):
            if opened - closed > FAR:
                raise _never_opens(closed)


def _midnight(day: date) -> Instant:
    return instant(datetime(day.year, day.month, day.day, tzinfo=UTC))


@lru_cache(maxsize=512)
def _year(year: int) -> Instant:
    return instant(datetime(year, 1, 1, tzinfo=UTC))


def _never_opens(after: Instant) -> NoOpenTime:
    return NoOpenTime(f"no open time within 400 days after {_shown(after)}")


def _shown(at: Instant) -> str:
    return rfc3339(min(max(at, FIRST), LAST))
