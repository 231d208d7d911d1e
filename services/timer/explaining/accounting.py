"""How the time of a clock was counted: every span from its start, why the clock stood still in it, what it adds up to.

The stretches come from the fold; the calendar says what of them was open, and the item's attributes why it paused.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final, Literal

from services.timer.business_hours import BusinessHours
from services.timer.clock import Gap
from services.timer.conditions import Conditions
from services.timer.explaining.policy_choice import conditions
from services.timer.stretches import Stretch
from shared.events import Instant, Span

SpanState = Literal["running", "paused", "closed", "excluded"]
_AT: Final = itemgetter(0)
STANDING: Final[tuple[SpanState, ...]] = ("paused", "excluded")  # what of a clock's time counts as paused
Known = tuple[Instant, Mapping[str, Any]]  # since when, the item's attributes from then on


@dataclass(frozen=True, slots=True)
class Counted:
    """A time in which one thing is to be said of a clock."""

    start: Instant
    end: Instant
    state: SpanState  # closed: it would run, and its calendar is not open
    business: Span  # the open time in it: of what runs it counts as elapsed, else as paused
    # Of what is paused: the conditions that hold, or that the item is over. Of what is excluded: by what, and why.
    because: str | None = None


class Account:
    """What is needed to say how a clock's time was counted."""

    def __init__(
        self, hours: BusinessHours, pause_when: Conditions, gaps: Sequence[Gap], known: Sequence[Known]
    ) -> None:
        """Of a clock in *hours* whose item was over in *gaps*, and had the attributes *known*; the oldest first.

        The first attributes that are known count for all time before."""
        self.hours = hours
        self._pause_when = pause_when
        self._gaps = gaps
        self._known = known

    def parts(self, start: Instant, end: Instant) -> Iterator[tuple[Instant, Instant]]:
        """What lies between two instants, parted where the reason for a pause can change."""
        known = self._known[bisect_right(self._known, start, key=_AT) : bisect_left(self._known, end, key=_AT)]
        marks = {at for at, _ in known}.union(*self._gaps)
        return pairwise([start, *sorted(at for at in marks if start < at < end), end])

    def because(self, at: Instant) -> str | None:
        """Why the clock stands still from an instant on; None when nothing that is recorded holds it."""
        place = bisect_right(self._gaps, at, key=_AT) - 1
        if place >= 0 and at < self._gaps[place][1]:
            return "the item is over"
        attributes = self._known[max(bisect_right(self._known, at, key=_AT) - 1, 0)][1]
        held = [str(condition) for condition in conditions(self._pause_when, attributes) if condition.holds]
        return ", ".join(held) or None


def counted(stretches: Sequence[Stretch], end: Instant, account: Account) -> list[Counted]:
    """The spans of a clock from the start of its first stretch to *end*, each beginning where the one before ends."""
    found: list[Counted] = []
    ends = [*(stretch.since for stretch in stretches[1:]), end]
    for stretch, until in zip(stretches, ends, strict=True):
        for span in _spans(stretch, min(until, end), account):
            _append(found, span)
    return found


def total(spans: Sequence[Counted], *states: SpanState) -> Span:
    """The business time of all spans in one of these states."""
    return sum(span.business for span in spans if span.state in states)


def _append(found: list[Counted], span: Counted) -> None:
    last = found[-1] if found else None
    if last is not None and (last.state, last.because) == (span.state, span.because):
        found[-1] = Counted(last.start, span.end, last.state, last.business + span.business, last.because)
    else:
        found.append(span)


def _spans(stretch: Stretch, end: Instant, account: Account) -> Iterator[Counted]:
    start = stretch.since
    if stretch.ran:
        return _ran(start, end, account)
    return _excluded(stretch, end, account) if stretch.exclusion else _paused(start, end, account)


def _excluded(stretch: Stretch, end: Instant, account: Account) -> Iterator[Counted]:
    if stretch.since < end:
        business = account.hours.between(stretch.since, end)
        yield Counted(stretch.since, end, "excluded", business, f"{stretch.exclusion}: {stretch.reason}")


def _ran(start: Instant, end: Instant, account: Account) -> Iterator[Counted]:
    at = start
    for opened, closed in account.hours.opened(start, end):
        if at < opened:
            yield Counted(at, opened, "closed", 0)
        yield Counted(opened, closed, "running", closed - opened)
        at = closed
    if at < end:
        yield Counted(at, end, "closed", 0)


def _paused(start: Instant, end: Instant, account: Account) -> Iterator[Counted]:
    # What holds a clock can change while it stands still: pending, then over, then on hold.
    for since, until in account.parts(start, end):
        if since < until:
            yield Counted(since, until, "paused", account.hours.between(since, until), account.because(since))
