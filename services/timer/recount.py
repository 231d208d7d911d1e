"""Counting a clock again from its start, as if other terms had held all the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from services.timer.clock import Clock, Cycle, Warned, begin, part, pause, resume, run_out, warning
from services.timer.conditions import Conditions, matches
from services.timer.item import Change, history
from services.timer.policy_set import Terms
from shared.events import Instant


@dataclass(frozen=True, slots=True)
class Past:
    """What is recorded of an item, up to the instant of the count."""

    attributes: Mapping[str, Any]  # as of *at*
    changes: tuple[Change, ...]
    at: Instant


def measure(cycle: Cycle, terms: Terms, number: int, past: Past) -> Clock:
    """A new clock for a cycle that began before, as of now; it breaches now if its time is already past.

    Of the warnings that are already past only the latest is given, now.
    """
    return _settled(_replayed(cycle, terms, number, past), (), terms, past.at)


def recount(clock: Clock, terms: Terms, past: Past) -> Clock:
    """The open, unbreached clock under other terms, as of now; it breaches now if its time is already past.

    Warnings that were given stay given and are not given again; of those that are past now only the latest counts.
    """
    cycle = Cycle(clock.metric, clock.started_at, clock.source, clock.event_id, clock.version, clock.gaps)
    return _settled(_replayed(cycle, terms, clock.number, past), clock.warned, terms, past.at)


def stands_still(conditions: Conditions, attributes: Mapping[str, Any]) -> bool:
    """Whether a clock that pauses under *conditions* stands still while its item has these attributes."""
    return bool(conditions) and matches(conditions, attributes)


def replay(cycle: Cycle, terms: Terms, number: int, past: Past) -> Iterator[Clock]:
    """The clock of a cycle at each step that it would have gone through live, from its start up to now."""
    clock = begin(cycle, terms, number)
    yield clock
    for at, still in _standstills(cycle, terms, past):
        clock = run_out(clock, at)
        if still != (clock.phase == "paused"):
            clock = (pause if still else resume)(clock, at, terms.hours)
            yield clock
    yield replace(run_out(clock, past.at), gaps=cycle.gaps)


def _replayed(cycle: Cycle, terms: Terms, number: int, past: Past) -> Clock:
    *_, clock = replay(cycle, terms, number, past)
    return clock


def _standstills(cycle: Cycle, terms: Terms, past: Past) -> list[tuple[Instant, bool]]:
    # (instant, whether the clock stands still from then on), from the start of the cycle.
    turns = []
    attributes = past.attributes
    for at, before in history(past.attributes, past.changes):
        if at <= cycle.started_at:
            break
        turns.append((at, stands_still(terms.pause_when, attributes)))
        attributes = before
    turns.append((cycle.started_at, stands_still(terms.pause_when, attributes)))
    turns.reverse()
    return _with_gaps(turns, cycle) if cycle.gaps else turns


def _with_gaps(turns: list[tuple[Instant, bool]], cycle: Cycle) -> list[tuple[Instant, bool]]:
    found = []
    for at in sorted({at for at, _ in turns}.union(*cycle.gaps)):
        by_attributes = next(still for turned_at, still in reversed(turns) if turned_at <= at)
        found.append((at, by_attributes or any(start <= at < end for start, end in cycle.gaps)))
    return found


def _settled(replayed: Clock, given: tuple[Warned, ...], terms: Terms, at: Instant) -> Clock:
    if replayed.breached_at is not None:
        broken = part(replayed, at, terms.hours)
        return replace(broken, breached_at=at, breached_elapsed=broken.elapsed, warned=given)
    labels = {warned.label for warned in given}
    pending = tuple(each for each in replayed.pending if each[2] not in labels)
    if not replayed.warned or (latest := replayed.warned[-1].label) in labels:
        return replace(replayed, warned=given, pending=pending)
    parted = part(replayed, at, terms.hours)
    return replace(parted, warned=(*given, warning(parted, at, parted.elapsed, latest)), pending=pending)
