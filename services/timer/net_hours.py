"""The hours of a calendar without the spans that are excluded from them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from services.timer.business_hours import BusinessHours
from shared.events import Instant, Span


class Closure(NamedTuple):
    """A span in which clocks stand still whatever their calendar says: `[start, end)`."""

    start: Instant
    end: Instant
    name: str  # of the exclusion that makes it
    reason: str


class NetHours:
    """Business hours from which closures are cut out. Its answers are those of a calendar that is closed in them."""

    __slots__ = ("_closures", "_ends", "_starts", "gross")

    def __init__(self, gross: BusinessHours, closures: tuple[Closure, ...]) -> None:
        """Hours without *closures*, which neither overlap nor are empty, the earliest first."""
        self.gross = gross
        self._closures = closures
        self._starts = [closure.start for closure in closures]
        self._ends = [closure.end for closure in closures]

    def closures(self, start: Instant, end: Instant) -> Iterator[Closure]:
        """The closures in `[start, end)`, cut to it, the earliest first."""
        for closure in self._closures[bisect_right(self._ends, start) : bisect_left(self._starts, end)]:
            yield closure._replace(start=max(closure.start, start), end=min(closure.end, end))

    def add(self, start: Instant, span: Span) -> Instant:
        """The earliest instant by which *span* of time that counts has passed since *start*; *start* itself for 0.

        A span used up where a closure begins ends there. A negative span is subtracted.

        Raises:
            NoOpenTime: as `BusinessHours.add`; the 400 days count from the end of the last closure on the way.
        """
        if span < 0:
            return self._subtract(start, -span)
        at, left = start, span
        for closure in self._closures[bisect_right(self._ends, start) :]:
            passed = self.gross.between(at, max(closure.start, at))
            if left <= passed:
                break
            at, left = closure.end, left - passed
        return self.gross.add(at, left)

    def between(self, start: Instant, end: Instant) -> Span:
        """The time that counts from *start* to *end*; negative when *end* is the earlier one."""
        if end < start:
            return -self.between(end, start)
        return self.gross.between(start, end) - self.excluded(start, end)

    def excluded(self, start: Instant, end: Instant) -> Span:
        """The business time from *start* to *end*, not before it, that does not count."""
        return sum(self.gross.between(closure.start, closure.end) for closure in self.closures(start, end))

    def _subtract(self, end: Instant, span: Span) -> Instant:
        at, left = end, span
        for closure in reversed(self._closures[: bisect_left(self._starts, end)]):
            passed = self.gross.between(min(closure.end, at), at)
            if left <= passed:
                break
            at, left = closure.start, left - passed
        return self.gross.subtract(at, left)


Hours = BusinessHours | NetHours


def gross_of(hours: Hours) -> BusinessHours:
    """The hours as the calendar has them, with what is excluded."""
    return hours.gross if isinstance(hours, NetHours) else hours
