"""What each thing that happens does to an item and to the cycles of its metrics."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final, Literal

from services.timer.clock import Clock, take_up
from services.timer.cycles import Occurrence, meaning
from services.timer.effects import Effects
from services.timer.item import Stage
from services.timer.metric import Metric
from services.timer.rules import Rules
from services.timer.snapshots import transitions
from services.timer.step import Step

_NOTHING: Final[frozenset[str]] = frozenset()
_STAGES: Final = frozenset({"created", "over", "reopened", "final"})  # what changes the item's stage


def take_effect(step: Step) -> None:
    """Start and end what the event starts and ends: first by what it says, then by what the attributes become."""
    event, before = step.event, step.stage
    occurrences = meaning(event) if event.snapshot is None else transitions(before, event)
    if step.attributes.get("status") == "spam" and (before != "unknown" or "created" in occurrences):
        _finish(step, "")
    # Where an event means several things, the last one and the event by itself are one happening.
    for occurrence in occurrences[:-1]:
        _happen(step, occurrence, "")
    _happen(step, occurrences[-1] if occurrences else "", event.type)
    if step.stage in ("open", "over"):
        _turn(step, before)


def _happen(step: Step, occurrence: Occurrence | Literal[""], event_type: str) -> None:
    # Before its creation only what is final counts, and after that nothing at all.
    if step.stage == "final" or (step.stage == "unknown" and occurrence not in ("created", "final")):
        return
    if occurrence not in _STAGES:
        step.answered = step.answered or occurrence == "agent_reply"
        _take(step, occurrence, event_type)
        return
    match occurrence, step.stage:
        case "final", _:
            _finish(step, event_type)
        case "created", "unknown":
            step.stage = "open"
            _take(step, occurrence, event_type)
        case "over", "open":
            _be_over(step, event_type)
        case "reopened", "over":
            _reopen(step, event_type)
        case _:  # it is so already; what the event says by itself still counts
            _take(step, "", event_type)


def _take(step: Step, occurrence: str, event_type: str, spared: Container[str] = ()) -> None:
    effects = _said(step, occurrence, event_type)
    step.take(effects, spared)
    if step.suspended:  # what has ended while the item is over is not taken up
        step.suspended = tuple(
            place
            for place in step.suspended
            if step.clocks[place].metric not in effects(step.rules(step.clocks[place].version)).ends
        )


def _said(step: Step, occurrence: str, event_type: str) -> Callable[[Rules], Effects]:
    event, attributes = step.event, step.attributes
    return lambda rules: rules.happenings[event.kind].said(occurrence, event_type).counted(event, attributes)


def _turn(step: Step, before: Stage) -> None:
    kind, attributes, touched = step.event.kind, step.attributes, step.touched
    if before == "unknown":
        step.take(lambda rules: rules.happenings[kind].begun(attributes, _NOTHING))
    elif touched:
        step.take(lambda rules: rules.happenings[kind].changed(touched, step.before, attributes))
    if before == "over" and step.stage == "open":
        _release(step)


def _finish(step: Step, event_type: str) -> None:
    effects = _said(step, "final", event_type)
    for place, clock in enumerate(step.clocks):
        if clock.stopped_at is None:
            step.end(place, clock, effects(step.rules(clock.version)).ends.get(clock.metric, "cancelled"))
    step.stage = "final"
    step.waiting, step.unmeasured, step.suspended = (), (), ()


def _be_over(step: Step, event_type: str) -> None:
    effects = _said(step, "over", event_type)
    suspended = []
    for place, clock in enumerate(step.clocks):
        if clock.stopped_at is None:
            rules = step.rules(clock.version)
            metric, ending = rules.metrics[clock.metric], effects(rules).ends.get(clock.metric)
            if ending is None and _goes_on(step, metric, clock):
                continue
            step.end(place, clock, ending or "cancelled")
            if metric.taken_up:
                suspended.append(place)
    step.unmeasured = tuple(
        cycle for cycle in step.unmeasured if step.rules(cycle.version).metrics[cycle.metric].goes_on == "always"
    )
    step.stage, step.suspended = "over", tuple(suspended)


def _goes_on(step: Step, metric: Metric, clock: Clock) -> bool:
    return metric.goes_on == "always" or (metric.goes_on == "required" and step.policy(clock).require_reply)


def _reopen(step: Step, event_type: str) -> None:
    suspended = step.suspended
    step.stage, step.suspended = "open", ()
    step.forced = True  # attributes may have changed while the item was over
    # What is taken up, or began while the item was over, is not started by the reopening.
    spared = {step.clocks[place].metric for place in suspended} | {cycle.metric for cycle in step.waiting}
    for place in suspended:
        _reopen_clock(step, place, step.clocks[place])
    _take(step, "reopened", event_type, spared)
    kind, attributes, touched = step.event.kind, step.attributes, step.touched
    step.take(lambda rules: rules.happenings[kind].begun(attributes, touched), spared)


def _reopen_clock(step: Step, place: int, clock: Clock) -> None:
    if step.rules(clock.version).metrics[clock.metric].stopped_in(step.attributes):
        return
    match step.policy(clock).on_reopen:
        case "resume":
            step.clocks[place] = take_up(clock, step.at, step.hours(clock))
        case "restart":
            step.begin(clock.metric, step.rules_now)
        case "ignore":
            pass


def _release(step: Step) -> None:
    waiting, step.waiting = step.waiting, ()
    for cycle in waiting:
        if not step.is_open(cycle.metric):
            step.open(cycle, step.rules(cycle.version))
