"""What happened to a clock, and by which event: the difference of its states before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from services.timer.clock import Clock
from shared.events import Event, Instant, Span

What = Literal[
    "started",
    "covered",  # a cycle that had begun before got its clock
    "terms changed",
    "warned",
    "breached",
    "paused",
    "resumed",
    "taken up",
    "met",
    "abandoned",
    "cancelled",
]


@dataclass(frozen=True, slots=True)
class Promise:
    """The terms of a clock at an instant."""

    policy: str
    version: str
    calendar: str
    severity: str
    target: Span
    due_at: Instant | None


@dataclass(frozen=True, slots=True)
class Milestone:
    """Something that happened to a clock."""

    at: Instant
    what: What
    event: Event | None  # by which it happened; None: by the passing of time
    elapsed: Span | None = None  # business time used up by then; None where it was counted anew
    label: str | None = None  # of a warning
    was: Promise | None = None  # of a change of terms, what held before
    now: Promise | None = None  # of a start and of a change of terms


def promise(clock: Clock) -> Promise:
    """The terms of a clock."""
    return Promise(clock.policy, clock.version, clock.calendar, clock.severity, clock.target, clock.due_at)


def terms_differ(before: Clock, after: Clock) -> bool:
    """Whether a clock is under other terms than before."""
    return _terms(before) != _terms(after)


def milestones(before: Clock | None, after: Clock, event: Event | None, *, begun_by: Event | None) -> list[Milestone]:
    """What an event, or without one the passing of time, did to a clock, in the order in which it took effect.

    *begun_by* is the event that started its cycle.
    """
    old = after if before is None else before
    found = [*_begun(before, after, event, begun_by), *_ran_out(old, after, event, fresh=before is None)]
    if event is not None:
        found += _turned(before, after, event)
    return sorted(found, key=lambda each: each.at)


def _begun(before: Clock | None, after: Clock, event: Event | None, begun_by: Event | None) -> Iterator[Milestone]:
    if before is None:
        yield Milestone(after.started_at, "started", begun_by, 0, now=promise(after))
        if event is not None and event is not begun_by:
            yield Milestone(event.time, "covered", event, now=promise(after))
    elif terms_differ(before, after):
        at = after.since if event is None else event.time
        yield Milestone(at, "terms changed", event, was=promise(before), now=promise(after))


def _ran_out(before: Clock, after: Clock, event: Event | None, *, fresh: bool) -> Iterator[Milestone]:
    known = 0 if fresh else len(before.warned)
    for warned in after.warned[known:]:
        yield Milestone(warned.at, "warned", _cause(warned.at, event), warned.elapsed, label=warned.label)
    if after.breached_at is not None and (fresh or before.breached_at is None):
        yield Milestone(after.breached_at, "breached", _cause(after.breached_at, event), after.breached_elapsed)


def _cause(at: Instant, event: Event | None) -> Event | None:
    # What ran out did so strictly before the event; at its very time only a change of terms warns or breaches.
    return event if event is not None and at == event.time else None


def _turned(before: Clock | None, after: Clock, event: Event) -> Iterator[Milestone]:
    had_ended = before is not None and before.stopped_at is not None
    is_taken_up = before is not None and had_ended and (after.stopped_at is None or after.gaps != before.gaps)
    if is_taken_up:
        yield Milestone(event.time, "taken up", event, after.elapsed)
    phase = "running" if before is None or had_ended else before.phase
    if after.stopped_at is None and after.phase != phase:
        yield Milestone(event.time, "paused" if after.phase == "paused" else "resumed", event, after.elapsed)
    elif after.stopped_at is not None and (is_taken_up or not had_ended):
        yield Milestone(event.time, after.phase, event, after.elapsed)  # type: ignore[arg-type]  # it ended


def _terms(clock: Clock) -> tuple[str, str, Span, str, str]:
    return (clock.policy, clock.version, clock.target, clock.calendar, clock.severity)
