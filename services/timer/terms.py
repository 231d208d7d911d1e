"""Terms and pauses: which policy decides over each open cycle once the item's attributes have changed."""

from __future__ import annotations

from services.timer.clock import Clock, Cycle, pause, resume, turn
from services.timer.policy_set import Terms
from services.timer.recount import recount
from services.timer.rules import cycle_of, offered
from services.timer.step import Step


def hold(step: Step) -> None:
    """Bring every open clock under the terms and pauses of the present attributes."""
    # Those that the event itself began are already under them; to ask again would cost a fifth of a creation.
    older = step.clocks[: step.older]
    for place, clock in enumerate(older):
        if clock.stopped_at is None and _concerns(step, clock.version):
            _hold_clock(step, place, clock)
    _exclude_anew(step, older)
    if step.stage == "open":  # nothing starts on an item that is over
        for cycle in step.unmeasured:
            if _concerns(step, cycle.version):
                measure_cycle(step, cycle)


def _concerns(step: Step, version: str) -> bool:
    return step.forced or step.rules(version).concern(step.touched)


def _hold_clock(step: Step, place: int, clock: Clock) -> None:
    # A breached clock keeps the terms that it broke.
    if clock.breached_at is not None:
        _pause_or_resume(step, place, clock)
        return
    terms = offered(clock, step.options(step.rules(clock.version), clock))
    if terms is None:
        leave_unmeasured(step, place, clock)
    elif is_under(clock, terms):
        _pause_or_resume(step, place, clock)
    else:
        _change_terms(step, place, clock, terms)


def is_under(clock: Clock, terms: Terms) -> bool:
    """Whether these terms, of the version that the clock is pinned to, are those by which it is computed."""
    return (terms.policy.name, terms.target, terms.calendar) == (clock.policy, clock.target, clock.calendar)


def _change_terms(step: Step, place: int, clock: Clock, terms: Terms) -> None:
    match step.policy(clock).on_change:
        case "recompute":
            step.put(place, recount(clock, terms, step.past))
        case "keep":
            _pause_or_resume(step, place, clock)
        case "restart":
            _restart(step, place, clock)


def _restart(step: Step, place: int, clock: Clock) -> None:
    step.end(place, clock, "cancelled")
    step.renew(clock)


def leave_unmeasured(step: Step, place: int, clock: Clock) -> None:
    """Cancel the clock at *place*; its cycle stays open, for a policy that matches later."""
    step.end(place, clock, "cancelled")
    step.unmeasured = (*step.unmeasured, cycle_of(clock))


def _pause_or_resume(step: Step, place: int, clock: Clock) -> None:
    still = step.stands_still(step.rules(clock.version).pauses[clock.policy, clock.metric])
    if still != (clock.phase == "paused"):
        change, hours = (pause, step.hours_before(clock)) if still else (resume, step.hours(clock))
        step.change(place, change, hours)


def _exclude_anew(step: Step, older: list[Clock]) -> None:
    # What the event has changed already runs in the hours that count from now on.
    if step.is_excluded_anew:
        for place, clock in enumerate(older):
            if clock.phase == "running" and step.clocks[place] is clock:
                step.change(place, turn, step.hours_before(clock), step.hours(clock))


def measure_cycle(step: Step, cycle: Cycle) -> None:
    """Give an unmeasured cycle the clock of the policy that now matches, if one does; or of all that do beside it."""
    rules = step.rules(cycle.version)
    if cycle.beside and not cycle.policy:
        step.measure_beside(cycle, rules)
        return
    terms = offered(cycle, step.options(rules, cycle))
    if terms is not None:
        step.unmeasured = tuple(other for other in step.unmeasured if other is not cycle)
        step.add_clock(cycle, terms)


def measured_cycles(step: Step) -> list[Cycle]:
    """The open cycles that have a clock of the winner, be it a breached one."""
    return [cycle_of(clock) for clock in step.clocks if clock.stopped_at is None and not clock.beside]
