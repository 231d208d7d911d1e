"""The facts that a clock's state holds: what happened to it, and what will if nothing else happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from services.timer.clock import Clock, Warned
from shared.events import BreachType, Instant, Span

RAN_OUT: Final = True
SHOWN: Final = False  # by an event


class Fact(NamedTuple):
    """Something that happened to a clock, or will."""

    at: Instant
    ran_out: bool  # by the passing of time: an event at the very instant would still have been in time
    type: BreachType
    elapsed: Span
    terms: Clock | Warned  # under which it happened
    warning: str | None = None

    def is_certain(self, evidence: Instant) -> bool:
        """Whether it is certain once everything up to *evidence* has been read."""
        return evidence > self.at if self.ran_out else evidence >= self.at


def facts(clock: Clock) -> Iterator[Fact]:
    """All facts about the clock, recorded or to come, in the order in which they happen."""
    for warned in clock.warned:
        yield Fact(warned.at, RAN_OUT, "sla.clock.warning.v1", warned.elapsed, warned, warned.label)
    if clock.phase == "running" and clock.breached_at is None:
        for at, elapsed, label in clock.pending:
            yield Fact(at, RAN_OUT, "sla.clock.warning.v1", elapsed, clock, label)
    if (breach := breach_of(clock)) is not None:
        yield breach
    for at, elapsed, ending in clock.ends:
        kind: BreachType = "sla.breach.stopped.v1" if ending == "met" else "sla.breach.cancelled.v1"
        yield Fact(at, SHOWN, kind, elapsed, clock)


def breach_of(clock: Clock) -> Fact | None:
    """The breach that happened, or will if nothing else happens."""
    at, due = clock.breached_at, clock.due_at
    if at is not None:
        # Only a change of terms breaches at another instant than it was due, and the change itself shows it.
        return Fact(at, at == due, "sla.clock.breached.v1", clock.breached_elapsed, clock)
    if clock.phase == "running" and due is not None:
        return Fact(due, RAN_OUT, "sla.clock.breached.v1", clock.target, clock)
    return None
