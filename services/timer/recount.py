"""Counting a clock again from its start, as if other terms had held all the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec.structs import replace

from services.timer.business_hours import BusinessHours
from services.timer.clock import Clock, Cycle, Warned, begin, part, pause, resume, run_out, turn, warning
from services.timer.conditions import Conditions, matches
from services.timer.exclusion import NO_EXCLUSIONS, Exclusions
from services.timer.item import Change, history
from services.timer.net_hours import Hours
from services.timer.policy_set import Terms
from shared.events import Instant


@dataclass(frozen=True, slots=True)
class Past:
    """What is recorded of an item, up to the instant of the count."""

    kind: str
    attributes: Mapping[str, Any]  # as of *at*
    changes: tuple[Change, ...]
    at: Instant
    exclusions: Exclusions = NO_EXCLUSIONS

    def hours(self, gross: BusinessHours, attributes: Mapping[str, Any] | None = None) -> Hours:
        """The hours that count while the item has these attributes; those as of *at*, unless others are given."""
        return self.exclusions.net(gross, self.kind, self.attributes if attributes is None else attributes)


class _Turn(NamedTuple):
    at: Instant
    still: bool  # whether the clock stands still from then on
    hours: Hours  # that count from then on


def measure(cycle: Cycle, terms: Terms, number: int, past: Past) -> Clock:
    """A new clock for a cycle that began before, as of now; it breaches now if its time is already past.

    Of the warnings that are already past only the latest is given, now.
    """
    return _settled(_replayed(cycle, terms, number, past), (), past.hours(terms.hours), past.at)


def recount(clock: Clock, terms: Terms, past: Past) -> Clock:
    """The open, unbreached clock under other terms, as of now; it breaches now if its time is already past.

    Warnings that were given stay given and are not given again; of those that are past now only the latest counts.
    """
    cycle = Cycle(clock.metric, clock.started_at, clock.source, clock.event_id, clock.version, clock.gaps)
    replayed = _replayed(cycle, terms, clock.number, past)
    return _settled(replayed, clock.warned, past.hours(terms.hours), past.at)


def stands_still(conditions: Conditions, attributes: Mapping[str, Any]) -> bool:
    """Whether a clock that pauses under *conditions* stands still while its item has these attributes."""
    return bool(conditions) and matches(conditions, attributes)


def replay(cycle: Cycle, terms: Terms, number: int, past: Past) -> Iterator[tuple[Clock, Hours]]:
    """The clock of a cycle at each step that it would have gone through live, from its start up to now.

    With the hours that counted up to the step.
    """
    turns = _turns(cycle, terms, past)
    hours = turns[0].hours
    clock = begin(cycle, terms, number, hours)
    yield clock, hours
    for at, still, now in turns:
        clock = run_out(clock, at)
        if still != (clock.phase == "paused"):
            clock = pause(clock, at, hours) if still else resume(clock, at, now)
            yield clock, hours
        elif now is not hours and not still:
            clock = turn(clock, at, hours, now)
            yield clock, hours
        hours = now
    yield replace(run_out(clock, past.at), gaps=cycle.gaps), hours


def _replayed(cycle: Cycle, terms: Terms, number: int, past: Past) -> Clock:
    *_, (clock, _) = replay(cycle, terms, number, past)
    return clock


def _turns(cycle: Cycle, terms: Terms, past: Past) -> list[_Turn]:
    # What may have changed for the clock, from the start of the cycle.
    turns = []
    attributes = past.attributes
    for at, before in history(past.attributes, past.changes):
        if at <= cycle.started_at:
            break
        turns.append(_turn(at, terms, attributes, past))
        attributes = before
    turns.append(_turn(cycle.started_at, terms, attributes, past))
    turns.reverse()
    return _with_gaps(turns, cycle) if cycle.gaps else turns


def _turn(at: Instant, terms: Terms, attributes: Mapping[str, Any], past: Past) -> _Turn:
    return _Turn(at, stands_still(terms.pause_when, attributes), past.hours(terms.hours, attributes))


def _with_gaps(turns: list[_Turn], cycle: Cycle) -> list[_Turn]:
    found = []
    for at in sorted({each.at for each in turns}.union(*cycle.gaps)):
        by_attributes = next(each for each in reversed(turns) if each.at <= at)
        over = any(start <= at < end for start, end in cycle.gaps)
        found.append(_Turn(at, by_attributes.still or over, by_attributes.hours))
    return found


def _settled(replayed: Clock, given: tuple[Warned, ...], hours: Hours, at: Instant) -> Clock:
    if replayed.breached_at is not None:
        broken = part(replayed, at, hours)
        return replace(broken, breached_at=at, breached_elapsed=broken.elapsed, warned=given)
    labels = {warned.label for warned in given}
    pending = tuple(each for each in replayed.pending if each[2] not in labels)
    if not replayed.warned or (latest := replayed.warned[-1].label) in labels:
        return replace(replayed, warned=given, pending=pending)
    parted = part(replayed, at, hours)
    return replace(parted, warned=(*given, warning(parted, at, parted.elapsed, latest)), pending=pending)
