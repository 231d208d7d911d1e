"""What each occurrence does to an item."""

from __future__ import annotations

from services.timer.clock import Clock, Cycle, take_up
from services.timer.cycles import BY_NAME, Occurrence, meaning
from services.timer.snapshots import transitions
from services.timer.step import Step


def take_effect(step: Step) -> None:
    """Start and stop what the event starts and stops."""
    event = step.event
    occurrences = meaning(event) if event.snapshot is None else transitions(step.stage, event)
    if step.attributes.get("status") == "spam" and (step.stage != "unknown" or "created" in occurrences):
        _finish(step)
    for occurrence in occurrences:
        _happen(step, occurrence)
    if step.stage == "open" and ("assignee" in step.touched or "created" in occurrences):
        _assign(step)


def _happen(step: Step, occurrence: Occurrence) -> None:
    # Before its creation only what is final counts, and after that nothing at all.
    if step.stage == "final" or (step.stage == "unknown" and occurrence not in ("created", "final")):
        return
    match occurrence:
        case "created":
            _create(step)
        case "final":
            _finish(step)
        case "over":
            _be_over(step)
        case "reopened":
            _reopen(step)
        case "agent_reply":
            _hear_agent(step)
        case "customer_message":
            _hear_customer(step)
        case _:
            step.stop(occurrence)
            step.start(occurrence)


def _create(step: Step) -> None:
    if step.stage == "unknown":
        step.stage = "open"
        step.start("created")


def _finish(step: Step) -> None:
    for place, clock in enumerate(step.clocks):
        if clock.stopped_at is None:
            step.end(place, clock, "cancelled")
    step.stage = "final"
    step.held, step.unmeasured, step.suspended = None, (), ()


def _be_over(step: Step) -> None:
    if step.stage != "open":
        return
    suspended = []
    for place, clock in enumerate(step.clocks):
        metric = BY_NAME[clock.metric]
        if clock.stopped_at is None and not (metric.awaits_reply and step.policy(clock).require_reply):
            step.end(place, clock, metric.over)
            if metric.taken_up:
                suspended.append(place)
    step.stage, step.suspended, step.unmeasured = "over", tuple(suspended), ()


def _reopen(step: Step) -> None:
    if step.stage != "over":
        return
    suspended = step.suspended
    step.stage, step.suspended = "open", ()
    step.forced = True  # attributes may have changed while the item was over
    for place in suspended:
        _reopen_clock(step, place, step.clocks[place])
    step.start("reopened")
    if not step.is_assigned and all(step.clocks[place].metric != "assignment" for place in suspended):
        step.start("unassigned")
    _release_message(step)


def _reopen_clock(step: Step, place: int, clock: Clock) -> None:
    if (clock.metric == "first_response" and step.answered) or (clock.metric == "assignment" and step.is_assigned):
        return
    match step.policy(clock).on_reopen:
        case "resume":
            step.clocks[place] = take_up(clock, step.at, step.hours(clock))
        case "restart":
            step.begin(clock.metric, step.rules_now)
        case "ignore":
            pass


def _hear_agent(step: Step) -> None:
    step.answered, step.held = True, None
    step.stop("agent_reply")
    step.start("agent_reply")


def _hear_customer(step: Step) -> None:
    # Before the first answer first_response covers it; "thank you" on an item that is over breaches nothing.
    if step.answered and step.stage == "open":
        step.start("customer_message")
    elif step.answered and step.held is None:
        step.held = (step.at, step.event.source, step.event.id)


def _release_message(step: Step) -> None:
    if step.held is None:
        return
    at, source, event_id = step.held
    step.held = None
    rules = step.rules_at(at)
    started = rules.starting.get((step.event.kind, "customer_message"), ())
    if any(metric.name == "next_response" for metric in started) and not step.is_open("next_response"):
        step.open(Cycle("next_response", at, source, event_id, rules.version), rules)


def _assign(step: Step) -> None:
    if step.is_assigned:
        step.stop("assigned")
    else:
        step.start("unassigned")
