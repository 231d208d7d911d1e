"""Terms and pauses: which policy decides over each open cycle once the item's attributes have changed."""

from __future__ import annotations

from services.timer.clock import Clock, Cycle, pause, resume, turn
from services.timer.policy_set import Terms
from services.timer.recount import recount
from services.timer.rules import winner
from services.timer.step import Step


def hold(step: Step) -> None:
    """Bring every open clock under the terms and pauses of the present attributes."""
    combines = False
    # Those that the event itself began are already under them; to ask again would cost a fifth of a creation.
    older = step.clocks[: step.older]
    for place, clock in enumerate(older):
        if clock.stopped_at is None and _concerns(step, clock.version):
            combines = combines or step.rules(clock.version).combines
            _hold_clock(step, place, clock)
    _exclude_anew(step, older)
    if step.stage != "open":  # nothing starts on an item that is over
        return
    unmeasured = step.unmeasured
    for cycle in unmeasured:
        measure_cycle(step, cycle)
    if combines or unmeasured:
        for cycle in (*measured_cycles(step), *step.unmeasured):
            if _concerns(step, cycle.version):
                measure_beside(step, cycle)


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


def offered(clock: Clock, options: tuple[Terms, ...]) -> Terms | None:
    """Of the terms for a clock's metric its own: the winner's, or those of its policy if it runs beside the winner."""
    if clock.beside:
        return next((terms for terms in options if terms.policy.name == clock.policy), None)
    return winner(options)


def is_under(clock: Clock, terms: Terms) -> bool:
    """Whether these terms, of the version that the clock is pinned to, are those by which it is computed."""
    return (terms.policy.name, terms.target, terms.calendar) == (clock.policy, clock.target, clock.calendar)


def _change_terms(step: Step, place: int, clock: Clock, terms: Terms) -> None:
    match step.policy(clock).on_change:
        case "recompute":
            step.clocks[place] = recount(clock, terms, step.past)
        case "keep":
            _pause_or_resume(step, place, clock)
        case "restart":
            _restart(step, place, clock)


def _restart(step: Step, place: int, clock: Clock) -> None:
    step.end(place, clock, "cancelled")
    rules = step.rules_now
    cycle = step.new_cycle(clock.metric, rules)
    terms = offered(clock, step.options(rules, cycle))
    if terms is not None:
        step.add_clock(cycle, terms)
    elif not clock.beside:
        step.unmeasured = (*step.unmeasured, cycle)


def leave_unmeasured(step: Step, place: int, clock: Clock) -> None:
    """Cancel the clock at *place*; its cycle stays open, for a policy that matches later."""
    step.end(place, clock, "cancelled")
    if not clock.beside:
        step.unmeasured = (*step.unmeasured, cycle_of(clock))


def _pause_or_resume(step: Step, place: int, clock: Clock) -> None:
    still = step.stands_still(step.rules(clock.version).pauses[clock.policy, clock.metric])
    if still != (clock.phase == "paused"):
        change, hours = (pause, step.hours_before(clock)) if still else (resume, step.hours(clock))
        step.clocks[place] = change(clock, step.at, hours)


def _exclude_anew(step: Step, older: list[Clock]) -> None:
    # What the event has changed already runs in the hours that count from now on.
    if step.is_excluded_anew:
        for place, clock in enumerate(older):
            if clock.phase == "running" and step.clocks[place] is clock:
                step.clocks[place] = turn(clock, step.at, step.hours_before(clock), step.hours(clock))


def measure_cycle(step: Step, cycle: Cycle) -> None:
    """Give an unmeasured cycle the winner's clock, if there is a winner."""
    terms = winner(step.options(step.rules(cycle.version), cycle))
    if terms is not None:
        step.unmeasured = tuple(other for other in step.unmeasured if other is not cycle)
        step.add_clock(cycle, terms)


def measure_beside(step: Step, cycle: Cycle) -> None:
    """Give a cycle the clocks of the policies that apply beside the winner, unless they run."""
    for terms in step.options(step.rules(cycle.version), cycle):
        if terms.policy.combine_all and not _runs_beside(step, cycle.metric, terms.policy.name):
            step.add_clock(cycle, terms)


def _runs_beside(step: Step, metric: str, policy: str) -> bool:
    return any(
        clock.stopped_at is None and clock.beside and clock.metric == metric and clock.policy == policy
        for clock in step.clocks
    )


def measured_cycles(step: Step) -> list[Cycle]:
    """The open cycles that have a clock, be it a breached one."""
    return [cycle_of(clock) for clock in step.clocks if clock.stopped_at is None and not clock.beside]


def cycle_of(clock: Clock) -> Cycle:
    """The cycle that a clock counts."""
    return Cycle(clock.metric, clock.started_at, clock.source, clock.event_id, clock.version, clock.gaps)
