"""What each thing that happens does to an item and to the cycles of its metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from services.timer.clock import Clock, Cycle, take_up
from services.timer.effects import Effects
from services.timer.item import Stage
from services.timer.metric import Metric
from services.timer.occurrences import Occurrence, meaning
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
    happenings = step.rules_now.happenings[event.kind]
    if occurrences:
        # Where an event means several things, the last one and the event by itself are one happening.
        for occurrence in occurrences[:-1]:
            _happen(step, occurrence, "")
        _happen(step, occurrences[-1], event.type)
    elif event.type in happenings.heard or step.has_versions:
        _happen(step, "", event.type)
    if (happenings.watched or step.has_versions) and step.stage in ("open", "over"):
        _turn(step, before)
    if step.waiting and step.stage == "open":
        _release(step)


def _happen(step: Step, occurrence: Occurrence | Literal[""], event_type: str) -> None:
    # Before its creation only what is final counts, and after that nothing at all.
    if step.stage == "final" or (step.stage == "unknown" and occurrence not in ("created", "final")):
        return
    if occurrence not in _STAGES:
        step.answered = step.answered or occurrence == "agent_reply"
        _take(step, occurrence, event_type)
        return
    if occurrence == "created" and step.stage == "unknown":
        step.stage = "open"
        _take(step, occurrence, event_type)
    elif occurrence == "over" and step.stage == "open":
        _be_over(step, event_type)
    elif occurrence == "reopened" and step.stage == "over":
        _reopen(step, event_type)
    elif occurrence == "final":
        _finish(step, event_type)
    else:  # it is so already; what the event says by itself still counts
        _take(step, "", event_type)


def _take(step: Step, occurrence: str, event_type: str) -> None:
    _start(step, _ended(step, occurrence, event_type))


def _ended(step: Step, occurrence: str, event_type: str) -> tuple[Metric, ...]:
    # Ends what ends, and gives what starts.
    now = _said(step, step.rules_now, occurrence, event_type)
    if now.ends or step.has_versions:
        _end(step, lambda rules: _said(step, rules, occurrence, event_type))
    return now.starts


def _start(step: Step, starts: tuple[Metric, ...]) -> None:
    for metric in starts:
        step.forget_left(metric.name)
        step.start(metric, step.rules_now)


def _said(step: Step, rules: Rules, occurrence: str, event_type: str) -> Effects:
    found = rules.happenings[step.event.kind][occurrence, event_type]
    return found.counted(step.event, step.attributes) if found.uncertain else found


def _end(step: Step, effects: Callable[[Rules], Effects]) -> None:
    step.end_cycles(effects)
    if step.suspended:  # what has ended while the item is over is not taken up
        clocks = step.clocks
        step.suspended = tuple(
            place
            for place in step.suspended
            if clocks[place].metric not in effects(step.rules(clocks[place].version)).ends
        )


def _turn(step: Step, before: Stage) -> None:
    kind, touched, old, new = step.event.kind, step.touched, step.before, step.attributes
    if before == "unknown":
        _start(step, _turned(step, lambda rules: rules.happenings[kind].begun(_NOTHING, old, new)))
    elif touched:
        _start(step, _turned(step, lambda rules: rules.happenings[kind].changed(touched, old, new)))


def _turned(step: Step, effects: Callable[[Rules], Effects]) -> tuple[Metric, ...]:
    # Ends what ends by the item's attributes, and gives what starts by them.
    step.end_cycles(effects)
    return effects(step.rules_now).starts


def _finish(step: Step, event_type: str) -> None:
    for place, clock in enumerate(step.clocks):
        if clock.stopped_at is None:
            ends = _said(step, step.rules(clock.version), "final", event_type).ends
            step.end(place, clock, ends.get(clock.metric, "cancelled"))
    step.stage = "final"
    step.waiting, step.unmeasured, step.suspended = (), (), ()


def _be_over(step: Step, event_type: str) -> None:
    rules = step.rules_now
    ends = _said(step, rules, "over", event_type).ends
    suspended = []
    for place, clock in enumerate(step.clocks):
        if clock.stopped_at is None:
            if clock.version != rules.version:
                rules = step.rules(clock.version)
                ends = _said(step, rules, "over", event_type).ends
            metric, ending = rules.metrics[clock.metric], ends.get(clock.metric)
            if ending is None and metric.goes_on != "never" and _goes_on(step, metric, clock):
                continue
            step.end(place, clock, ending or "cancelled")
            if metric.taken_up:
                suspended.append(place)
    if step.unmeasured:
        step.unmeasured = tuple(cycle for cycle in step.unmeasured if _outlasts(step, cycle))
    step.stage, step.suspended = "over", tuple(suspended)


def _outlasts(step: Step, cycle: Cycle) -> bool:
    # What moved to a version that does not define its metric is never measured by it.
    metric = step.rules(cycle.version).metrics.get(cycle.metric)
    return metric is not None and metric.goes_on == "always"


def _goes_on(step: Step, metric: Metric, clock: Clock) -> bool:
    return metric.goes_on == "always" or (metric.goes_on == "required" and step.policy(clock).require_reply)


def _reopen(step: Step, event_type: str) -> None:
    suspended = step.suspended
    step.stage = "open"
    step.forced = True  # attributes may have changed while the item was over
    # What is taken up is open again, and what is left as it was is not started by the reopening either.
    step.suspended = tuple(place for place in suspended if not _goes_on_reopened(step, place, step.clocks[place]))
    _start_again(step, _ended(step, "reopened", event_type))
    kind, touched, old, new = step.event.kind, step.touched, step.before, step.attributes
    _start_again(step, _turned(step, lambda rules: rules.happenings[kind].begun(touched, old, new)))


def _start_again(step: Step, starts: tuple[Metric, ...]) -> None:
    waiting = {cycle.metric for cycle in step.waiting}
    for metric in starts:
        if metric.name not in waiting:
            step.start(metric, step.rules_now)


def _goes_on_reopened(step: Step, place: int, clock: Clock) -> bool:
    if step.rules(clock.version).metrics[clock.metric].stopped_in(step.attributes):
        return False
    match step.policy(clock).on_reopen:
        case "resume":
            step.change(place, take_up, step.hours(clock))
        case "restart":
            step.renew(clock)
        case "ignore":
            return False
    return True


def _release(step: Step) -> None:
    waiting, step.waiting = step.waiting, ()
    for cycle in waiting:
        rules = step.rules(cycle.version)
        if not step.is_open(cycle.metric):
            step.open(cycle, rules)
        if cycle.metric in rules.combined and not step.is_open_beside(cycle.metric):
            step.open_beside(cycle, rules)
