"""Compiled hours: a calendar as sorted UTC intervals with running totals, a year at a time, as far as questions reach.

Nothing is compiled beyond the years from FIRST to LAST, outside of which every calendar counts as closed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Generic, NamedTuple, TypeVar

from services.timer.opening_times import DAY, FIRST_YEAR, LAST_YEAR, HoursSpec
from shared.events import Instant, Span, instant, moment

FIRST: Final[Instant] = instant(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))
LAST: Final[Instant] = instant(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))  # the first instant that is not reached
FAR: Final[Span] = 400 * DAY  # open time further away than this does not exist
Time = TypeVar("Time", int, timedelta)


class Table(NamedTuple, Generic[Time]):
    """What is compiled, arranged so that a question is one or two bisections and a few additions.

    Times since the epoch, and business times since an anchor, in microseconds or as timedeltas. An interval stands at
    the same index in `closes`, `shifts` and `ends`; the index is what `bisect_right` finds in `opens` for a time in it
    or in the closed time after it. It is also what the bisections find in `totals` for a business time that is reached
    in it. Before index 2 stand the time before what is compiled, and its closed beginning.
    """

    opens: list[Time]
    closes: list[Time]
    shifts: list[Time]  # time = business time + shift, within the interval
    ends: list[Time]  # business time at the close
    totals: list[Time]  # business time at the opening, and last the one at the end of what is compiled
    size: int  # the first index that is beyond what is compiled
    wide: bool  # whether any closed stretch in it is longer than FAR


class CompiledHours:
    """The open intervals of a calendar in `[since, until)`, whole years; and for each the business time so far.

    Business time counts from an anchor, the beginning of the first year that was asked for.
    """

    def __init__(self, spec: HoursSpec) -> None:
        self.spec = spec
        self.since: Instant = 0
        self.until: Instant = 0
        self.opens: list[Instant] = []
        self.closes: list[Instant] = []
        self.totals: list[Span] = []  # from the anchor to each opening
        self.first_total: Span = 0  # to since; negative before the anchor
        self.last_total: Span = 0  # to until

    def reach(self, at: Instant) -> None:
        """Compile as far as *at*, or to the end of the years."""
        at = min(max(at, FIRST), LAST - 1)
        if self.since == self.until:
            self.since = self.until = _year(moment(at).year)
        while self.until <= at:
            self.append_year()
        while at < self.since:
            self.prepend_year()

    def append_year(self) -> None:
        """Compile one more year behind."""
        until = _year(moment(self.until).year + 1)
        for opened, closed in self.spec.intervals(self.until, until):
            if self.closes and self.closes[-1] == opened:
                self.closes[-1] = closed
            else:
                self.opens.append(opened)
                self.closes.append(closed)
                self.totals.append(self.last_total)
            self.last_total += closed - opened
        self.until = until

    def prepend_year(self) -> None:
        """Compile one more year before."""
        since = _year(moment(self.since).year - 1)
        found = self.spec.intervals(since, self.since)
        if found and self.opens and found[-1][1] == self.opens[0]:
            # One stretch over the turn of the year: the earlier part takes the place of the later one.
            found[-1][1] = self.closes[0]
            self.first_total = self.totals[0] + self.closes[0] - self.opens[0]
            del self.opens[0], self.closes[0], self.totals[0]
        totals = []
        for opened, closed in reversed(found):
            self.first_total -= closed - opened
            totals.append(self.first_total)
        self.opens[:0] = [opened for opened, _ in found]
        self.closes[:0] = [closed for _, closed in found]
        self.totals[:0] = reversed(totals)
        self.since = since

    def table(self, of: Callable[[int], Time]) -> Table[Time]:
        """What is compiled, with every time made by *of*, which keeps order and sums."""
        shifts: list[int] = [opened - total for opened, total in zip(self.opens, self.totals, strict=True)]
        ends: list[int] = [closed - shift for closed, shift in zip(self.closes, shifts, strict=True)]
        gaps = zip([self.since, *self.closes], [*self.opens, self.until], strict=True)
        return Table(
            [of(at) for at in (self.since, *self.opens, self.until)],
            [of(at) for at in (FIRST, self.since, *self.closes)],
            [of(shift) for shift in (0, 0, *shifts)],
            [of(end) for end in (self.first_total, self.first_total, *ends)],
            [of(total) for total in (self.first_total - 1, *self.totals, self.last_total)],
            len(self.opens) + 2,
            any(opened - closed > FAR for closed, opened in gaps),
        )


@lru_cache(maxsize=512)
def _year(year: int) -> Instant:
    return instant(datetime(year, 1, 1, tzinfo=UTC))
