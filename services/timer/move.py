"""Moving an item's open clocks to another version of the policies, because a person decided so."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace as changed

from msgspec.structs import replace

from services.timer.clock import Clock, Cycle
from services.timer.item import ItemState
from services.timer.policy import Policy
from services.timer.policy_set import Terms
from services.timer.recount import recount
from services.timer.rules import Rules, cycle_of, offered
from services.timer.step import Step
from services.timer.terms import is_under, leave_unmeasured, measure_cycle, measured_cycles


def move(step: Step, version: str, untracked: tuple[Cycle, ...] = ()) -> None:
    """Bring the open clocks that have not breached under a version's terms, as if these had held since their start.

    This is decided by a person, so `on_change` has no say. A clock that breached keeps what it broke, one that ended is
    not changed, and one that the version has no terms for is cancelled. Where the terms are the same, nothing changes
    but the version that the clock is pinned to. Cycles that no policy measured, or that begin when the item is
    reopened, follow the version from now on, and *untracked* ones with them: those that are open, and of which the
    state does not know.

    Raises:
        KeyError: the version is not known.
    """
    rules = step.rules(version)
    combined = {cycle.metric for cycle in _winners(step) if cycle.metric in step.rules(cycle.version).combined}
    for place, clock in enumerate(list(step.clocks)):
        if clock.stopped_at is None and clock.breached_at is None and clock.version != version:
            _move_clock(step, place, clock, rules)
    followed = [*step.unmeasured, *(cycle for cycle in untracked if not _is_followed(step, cycle))]
    step.unmeasured = tuple([replace(cycle, version=version) for cycle in followed])
    step.waiting = tuple([replace(cycle, version=version) for cycle in step.waiting])
    if step.stage == "open":  # nothing starts on an item that is over
        _follow_beside(step, rules, combined)
        for cycle in step.unmeasured:
            measure_cycle(step, cycle)


def _is_followed(step: Step, cycle: Cycle) -> bool:
    return step.is_open_beside(cycle.metric) if cycle.beside else step.is_open(cycle.metric)


def _winners(step: Step) -> list[Cycle]:
    return [*measured_cycles(step), *(cycle for cycle in step.unmeasured if not cycle.beside)]


def _follow_beside(step: Step, rules: Rules, combined: Container[str]) -> None:
    # Where the old version let nothing combine, the state does not follow the cycles of what combines in this one.
    # Where it did (*combined*), a cycle that is not followed has ended for all who apply beside the winner.
    for cycle in _winners(step):
        is_new = cycle.metric in rules.combined and cycle.metric not in combined
        if is_new and not step.is_open_beside(cycle.metric):
            step.unmeasured = (*step.unmeasured, replace(cycle, version=rules.version, beside=True))


def open_cycles(state: ItemState) -> tuple[Cycle, ...]:
    """Every open cycle of an item, measured or not."""
    measured = [cycle_of(clock) for clock in state.clocks if clock.stopped_at is None and not clock.beside]
    return (*measured, *state.unmeasured)


def _move_clock(step: Step, place: int, clock: Clock, rules: Rules) -> None:
    before = offered(clock, step.options(step.rules(clock.version), clock))
    after = offered(clock, step.options(rules, clock))
    if after is None:
        leave_unmeasured(step, place, clock)
    elif before is not None and before == after and _stands(step, clock, before, rules):
        calendar = after.calendar if is_under(clock, before) else clock.calendar
        grace = rules.named[clock.policy].grace
        step.clocks[place] = replace(clock, version=rules.version, calendar=calendar, grace=grace)
    else:
        step.clocks[place] = recount(replace(clock, version=rules.version), after, step.past)


def _stands(step: Step, clock: Clock, offer: Terms, rules: Rules) -> bool:
    """Whether the clock's own terms stand in the other version: those on offer, or those that it kept in a change."""
    if is_under(clock, offer):
        return True
    before, kept, now = step.rules(clock.version), step.policy(clock), rules.named.get(clock.policy)
    return (
        now is not None
        and _same(kept, now)
        and before.pauses[kept.name, clock.metric] == rules.pauses[now.name, clock.metric]
        and before.policies.calendars[clock.calendar] == rules.policies.calendars.get(clock.calendar)
    )


def _same(policy: Policy, other: Policy) -> bool:
    # Its place among the others decides which policy wins, and is no part of what it promises.
    return policy == changed(other, order=policy.order, rank=policy.rank)
