"""The facts that a clock's state holds: what happened to it, and what will if nothing else happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from services.timer.clock import Clock, Warned, warning
from shared.events import BreachType, Instant, Severity, Span


class Fact(NamedTuple):
    """Something that happened to a clock, or will, with the terms of that time."""

    at: Instant
    certain: Instant  # the least evidence that shows it: what runs out at an instant is still in time at that instant
    type: BreachType
    elapsed: Span
    due_at: Instant | None
    target: Span
    policy: str
    calendar: str
    severity: Severity
    warning: str | None = None


def facts(clock: Clock) -> Iterator[Fact]:
    """All facts about the clock, recorded or to come, in the order in which they happen."""
    for warned in clock.warned:
        yield _warning(warned)
    if clock.phase == "running" and clock.breached_at is None:
        for at, elapsed, label in clock.pending:
            yield _warning(warning(clock, at, elapsed, label))
    if (breach := breach_of(clock)) is not None:
        yield breach
    for at, elapsed, ending in clock.ends:
        yield _fact(clock, at, at, "sla.breach.stopped.v1" if ending == "met" else "sla.breach.cancelled.v1", elapsed)


def breach_of(clock: Clock) -> Fact | None:
    """The breach that happened, or will if nothing else happens."""
    at, due = clock.breached_at, clock.due_at
    if at is not None:
        # Only a change of terms breaches at another instant than it was due, and the change itself shows it.
        certain = at + 1 if at == due else at
        return _fact(clock, at, certain, "sla.clock.breached.v1", clock.breached_elapsed)
    if clock.phase == "running" and due is not None:
        return _fact(clock, due, due + 1, "sla.clock.breached.v1", clock.target)
    return None


def _fact(clock: Clock, at: Instant, certain: Instant, kind: BreachType, elapsed: Span) -> Fact:
    terms = (clock.due_at, clock.target, clock.policy, clock.calendar, clock.severity)
    return Fact(at, certain, kind, elapsed, *terms)


def _warning(warned: Warned) -> Fact:
    terms = (warned.due_at, warned.target, warned.policy, warned.calendar, warned.severity)
    return Fact(warned.at, warned.at + 1, "sla.clock.warning.v1", warned.elapsed, *terms, warning=warned.label)
