"""What happened to an item, as lines for a person in the order in which it happened. PURE."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from services.timer.clock import Clock
from services.timer.explaining.explanation import Explanation, Happening
from services.timer.explaining.milestones import Milestone, Promise
from services.timer.explaining.policy_choice import printable, shown
from services.timer.explaining.wording import stamp
from services.timer.policy_values import written
from shared.events import Event, Instant

_PLAIN: Final = {
    "paused": "stands still",
    "resumed": "runs on",
    "taken up": "is taken up again",
    "abandoned": "is abandoned",
    "cancelled": "is cancelled",
}


@dataclass(frozen=True, slots=True)
class Chapter:
    """What one event did, or what came by the passing of time at one instant."""

    at: Instant
    lines: tuple[str, ...]


def chapters(found: Explanation) -> list[Chapter]:
    """Everything that happened, the earliest first; what ran out at the instant of an event comes after it."""
    by_event: dict[tuple[str, str], list[str]] = defaultdict(list)
    by_time: dict[Instant, list[str]] = defaultdict(list)
    for story in found.clocks:
        for milestone in story.milestones:
            event = milestone.event
            lines = by_time[milestone.at] if event is None else by_event[event.source, event.id]
            lines.append(_line(story.clock, milestone))
    told = [_told(each, by_event[each.event.source, each.event.id]) for each in found.happenings]
    return sorted([*told, *(Chapter(at, tuple(lines)) for at, lines in by_time.items())], key=lambda each: each.at)


def name_of(clock: Clock) -> str:
    """A clock's name among those of its item."""
    return f"{clock.metric}#{clock.cycle}"


def outcome(clock: Clock) -> str:
    """What became of a clock, and when."""
    ending = "" if clock.stopped_at is None else f"{clock.phase} {stamp(clock.stopped_at)}"
    if clock.breached_at is not None:
        late = f", {ending.replace('met', 'done late')}" if ending else ", still open"
        return f"breached {stamp(clock.breached_at)}{late}"
    if ending:
        return ending
    return clock.phase if clock.due_at is None else f"{clock.phase}, due {stamp(clock.due_at)}"


def event_name(event: Event) -> str:
    """An event by its type, and by its identity."""
    return printable(f"{event.type} {event.id} ({event.source})")


def _told(happening: Happening, lines: list[str]) -> Chapter:
    event = happening.event
    changes = [f"{name}: {shown(before)} → {shown(after)}" for name, before, after in happening.changes]
    told = [event_name(event), *_decided(event), *([", ".join(changes)] if changes else []), *lines]
    return Chapter(event.time, tuple(told))


def _decided(event: Event) -> Iterator[str]:
    if event.recount is not None:
        yield printable(f"by {event.recount.by or 'nobody named'}: {event.recount.reason or 'no reason given'}")


def _line(clock: Clock, milestone: Milestone) -> str:
    return f"- {name_of(clock)} {' '.join(_words(clock, milestone))}"


def _words(clock: Clock, milestone: Milestone) -> Iterator[str]:
    now = milestone.now
    match milestone.what:
        case "started" if now is not None:
            yield f"starts: {_promised(now)}"
        case "covered" if now is not None:
            yield f"is measured from now on: {_promised(now)}"
        case "terms changed" if now is not None and milestone.was is not None:
            yield _changed(milestone.was, now)
        case "warned":
            yield f"warns ({milestone.label})"
        case "breached":
            yield "breaches"
        case "met":
            yield "is met" if clock.breached_at is None or clock.breached_at > milestone.at else "is done, late"
        case other:
            yield _PLAIN[other]
    if milestone.what in ("breached", "met", "abandoned", "cancelled") and milestone.elapsed is not None:
        yield f"after {written(milestone.elapsed)}"


def _changed(was: Promise, now: Promise) -> str:
    if now == replace(was, version=now.version):
        return f"moves to version {now.version}, which promises the same"
    return f"gets other terms: {_promised(now)}, instead of {_promised(was)}"


def _promised(terms: Promise) -> str:
    due = "no due time" if terms.due_at is None else f"due {stamp(terms.due_at)}"
    return f"{written(terms.target)} by {terms.policy} in {terms.calendar}, {due}"
