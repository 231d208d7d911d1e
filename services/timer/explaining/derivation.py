"""How a due time comes about: what is allowed, what was used up by then, and the calendar from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from services.timer.clock import Clock, reach
from services.timer.net_hours import Hours, gross_of
from services.timer.stretches import Stretch
from shared.events import Instant, Span


@dataclass(frozen=True, slots=True)
class Derivation:
    """Business time in a calendar from an instant on: `due_at = since + (target - used) + excluded`."""

    target: Span
    used: Span  # by `since`
    since: Instant  # the start of the stretch in which the clock ran out or would have
    calendar: str
    time_zone: str
    due_at: Instant | None  # None: it stands still, or the calendar has no such instant
    excluded: Span = 0  # open time from `since` to `due_at` that does not count
    hypothetical: bool = False  # the clock was stopped while it stood still: due if it had gone on then

    @property
    def left(self) -> Span:
        """What was left at `since`; below 0 when more was used than is allowed now."""
        return self.target - self.used


def derive(clock: Clock, stretches: Sequence[Stretch], tried: Sequence[Hours]) -> Derivation:
    """Why the clock is due when it is due.

    Args:
        clock: as of the instant of the explanation.
        stretches: its own, from the first to the present one.
        tried: the hours in which it may have become due, the likeliest first; at least one.
    """
    # Also where it would have run but for an exclusion: with nothing left it is due at the very start of that.
    ran = [stretch for stretch in reversed(stretches) if stretch.ran or stretch.exclusion]
    starts = [(stretch.since, stretch.elapsed, False) for stretch in ran]
    if clock.stopped_at is not None:
        starts.append((clock.stopped_at, clock.elapsed, True))
    gross = gross_of(tried[0])
    found = Derivation(clock.target, clock.elapsed, clock.since, clock.calendar, gross.spec.time_zone, clock.due_at)
    for hours, (since, used, hypothetical) in product(tried, starts):
        left = clock.target - used
        if clock.due_at is not None and left >= 0 and reach(hours, since, left) == clock.due_at:
            excluded = gross.between(since, clock.due_at) - left
            return replace(found, used=used, since=since, excluded=excluded, hypothetical=hypothetical)
    return found
