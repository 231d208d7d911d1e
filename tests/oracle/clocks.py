"""One clock, measured from its start again each time that somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.oracle.hours import Hours
from tests.oracle.policies import Attributes, Policies, Terms, matches

# The metrics that `pause_when` does not reach.
NEVER_PAUSED: Final = {"pickup", "answer", "handling"}


@dataclass
class Timeline:
    """What is recorded of an item: its attributes from each instant on."""

    moments: list[tuple[int, Attributes]] = field(default_factory=list)

    def spans(self, start: int, end: int) -> Iterator[tuple[int, int, Attributes]]:
        """(from, until, attributes) between two instants; a span may be empty, the last one ends at *end*."""
        ends = [at for at, _ in self.moments[1:]] + [end]
        for (at, attributes), until in zip(self.moments, ends, strict=True):
            if until >= start and at <= end:
                yield max(at, start), min(until, end), attributes


@dataclass(frozen=True)
class Reading:
    """A clock at an instant: business time that counted, that did not, and when it is due if nothing changes."""

    elapsed: int
    paused: int
    due_at: int | None
    is_paused: bool


@dataclass
class Course:
    """One open cycle: since when, what of it was warned of already, and while its item was over.

    A clock of the same metric that starts by the same event has the same id, and a warning is never repeated.
    """

    since: int
    warned: set[str] = field(default_factory=set)
    stood_still: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Clock:
    """A clock of a metric in a slot, from its start; `ended` is None while it is open.

    `told` is what a reader hears of it, in order: (what, when, which warning).
    """

    metric: str
    slot: str
    cycle: int
    course: Course
    terms: Terms
    breached_at: int | None = None
    breach_due_at: int | None = None
    stopped_at: int | None = None
    reading: Reading | None = None
    ended: str | None = None
    told: list[tuple[str, int, str | None]] = field(default_factory=list)

    @property
    def started_at(self) -> int:
        """The start of its cycle."""
        return self.course.since


class Meter:
    """Measures clocks over an item's timeline."""

    def __init__(self, policies: Policies, timeline: Timeline) -> None:
        self._policies = policies
        self._timeline = timeline

    def read(self, clock: Clock, terms: Terms, at: int) -> Reading:
        """The clock at *at*, as if *terms* had held since its start.

        The due time of a clock that stands still is the one it would have if it were resumed now. Excluded business
        time is paused, and yet no pause: the due time is known.
        """
        gross = self._policies.gross(terms.calendar)
        elapsed = business = 0
        is_paused, since, hours = False, at, gross
        for begin, end, is_paused, hours in self._spans(clock, terms, at):
            business += gross.between(begin, end)
            elapsed += 0 if is_paused else hours.between(begin, end)
            since = begin
        left = terms.target - elapsed
        if is_paused or left < 0:
            due_at = hours.add(at, max(left, 0))
        else:
            due_at = hours.add(since, left + hours.between(since, at))
        return Reading(elapsed, business - elapsed, due_at, is_paused)

    def reaches(self, clock: Clock, terms: Terms, span: int, until: int) -> int | None:
        """The instant strictly before *until* at which *span* is used up by *terms*; None where it is not.

        What is used up exactly when a pause begins is used up when the clock goes on.
        """
        left = span
        for begin, end, is_paused, hours in self._spans(clock, terms, until):
            if is_paused:
                continue
            used_up = hours.add(begin, left)
            if used_up is not None and used_up < end:
                return used_up
            left -= hours.between(begin, end)
        return None

    def _spans(self, clock: Clock, terms: Terms, until: int) -> Iterator[tuple[int, int, bool, Hours]]:
        """(from, until, paused, hours): paused by the terms, or stood still while the item was over."""
        for begin, end, attributes in self._timeline.spans(clock.started_at, until):
            by_terms = pauses(clock.metric, terms, attributes)
            for a, b, still in _cut(begin, end, clock.course.stood_still):
                yield a, b, by_terms or still, self._policies.hours(terms.calendar, attributes)


def pauses(metric: str, terms: Terms, attributes: Attributes) -> bool:
    """Whether clocks of a metric stand still by these terms."""
    return metric not in NEVER_PAUSED and bool(terms.pause_when) and matches(terms.pause_when, attributes)


def _cut(begin: int, end: int, still: list[tuple[int, int]]) -> Iterator[tuple[int, int, bool]]:
    """A span in pieces, each wholly inside or outside the spans of standing still."""
    if begin == end:
        yield begin, end, any(a <= begin < b for a, b in still)
        return
    at = begin
    for a, b in ((max(a, begin), min(b, end)) for a, b in still if a < end and b > begin and a < b):
        if at < a:
            yield at, a, False
        yield a, b, True
        at = b
    if at < end:
        yield at, end, False
