"""How a due time comes about: what is allowed, what was used up by then, and the calendar from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.timer.clock import Clock, reach
from services.timer.net_hours import Hours, gross_of
from services.timer.stretches import Stretch
from shared.events import Instant, Span


@dataclass(frozen=True, slots=True)
class Derivation:
    """Business time in a calendar from an instant on: `due_at = since + (target - used)`."""

    target: Span
    used: Span  # by `since`
    since: Instant  # the start of the stretch in which the clock ran out or would have
    calendar: str
    time_zone: str
    due_at: Instant | None  # None: it stands still, or the calendar has no such instant
    hypothetical: bool = False  # the clock was stopped while it stood still: due if it had gone on then

    @property
    def left(self) -> Span:
        """What was left at `since`; below 0 when more was used than is allowed now."""
        return self.target - self.used


def derive(clock: Clock, stretches: Sequence[Stretch], hours: Hours) -> Derivation:
    """Why the clock is due when it is due, by its stretches from the first to the present one."""
    starts = [(stretch.since, stretch.elapsed, False) for stretch in reversed(stretches) if stretch.ran]
    if clock.stopped_at is not None:
        starts.append((clock.stopped_at, clock.elapsed, True))
    zone = gross_of(hours).spec.time_zone
    for since, used, hypothetical in starts:
        if clock.due_at is not None and reach(hours, since, clock.target - used) == clock.due_at:
            return Derivation(clock.target, used, since, clock.calendar, zone, clock.due_at, hypothetical)
    used, since = clock.elapsed, clock.since
    return Derivation(clock.target, used, since, clock.calendar, zone, clock.due_at)
