"""What an event does to an item, decided once for all that are alike and done many times.

To decide asks every metric, policy and clock, and takes three times as long as to find what was decided and to do it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from services.timer.act import Act, Beginning
from services.timer.clock import Clock, Cycle, begin, pause, run_out
from services.timer.item import ItemState, Stage, changed_by
from services.timer.occurrences import patch_of
from services.timer.rulebook import Rulebook
from services.timer.sight import Sight, of_cycles
from services.timer.step import Step
from shared.events import CREATIONS, DELETIONS, Event, Instant

Decide = Callable[[ItemState, Event, Rulebook], tuple[Step, ItemState]]
Kept = int | Cycle  # the place of a cycle that stays, or one that the event begins

# A plan takes about 1 KB. Policies that name a thousand customers need some 40,000 of them, most others hundreds.
_PLANS_KEPT: Final = 16_384
_NOTHING: Final[dict[str, Any]] = {}


class Plan(NamedTuple):
    """What becomes of an item by an event. Clocks go by their places among those that are open or may be taken up."""

    acts: tuple[Act, ...]
    beginnings: tuple[Beginning, ...]
    stage: Stage
    answered: bool
    begun: tuple[str, ...]
    suspended: tuple[int, ...]
    unmeasured: tuple[Kept, ...] | None  # None: as before
    waiting: tuple[Kept, ...] | None


class Plans:
    """The plans for one rulebook, made when they are first needed."""

    def __init__(self, rulebook: Rulebook, *, keep: int = _PLANS_KEPT) -> None:
        """No plans yet; whenever *keep* of them are there, all are forgotten before the next one."""
        self._sight = Sight(rulebook)
        self._rulebook = rulebook
        self._exclusions = rulebook.exclusions_revision
        self._keep = keep
        self._known: dict[Hashable, Plan | None] = {}  # None: what happens is of no kind that can be planned

    def __len__(self) -> int:
        return len(self._known)

    def fold(self, state: ItemState, event: Event, decide: Decide) -> ItemState:
        """The item after an event that is neither a recount nor a snapshot, and follows those before.

        *decide* is asked where there is no plan.
        """
        before, clocks, at = state.attributes, list(state.clocks), event.time
        patch = event.attributes if event.kind != "call" else patch_of(event)
        attributes, undo = changed_by(before, patch) if patch else (before, _NOTHING)
        sight, unmeasured, waiting = self._sight, state.unmeasured, state.waiting
        rare = self._rare(state, event) if unmeasured or waiting or sight.tells_times else ()
        # All that decides what happens, in one flat tuple: what is nested is hashed and compared in twice the time.
        situation: list[Any] = [event.type, event.author, event.public, state.stage, state.answered, state.begun, rare]
        situation.append(sight.changed(undo) if undo and before else bool(undo))
        sight.see(attributes, situation)
        live = _live(clocks, state.suspended, at, situation)
        plan = self._known.get(tuple(situation))
        if plan is None:
            return self._decided(state, event, decide, situation=tuple(situation), live=live)
        acts, beginnings, stage, answered, begun, suspended, still_unmeasured, still_waiting = plan
        for number, change, arguments in acts:
            place = live[number]
            clocks[place] = change(clocks[place], at, *arguments)
        if beginnings:
            _begin(clocks, beginnings, event)
        return ItemState(
            attributes,
            tuple(clocks),
            (at, event.type not in CREATIONS, event.sequence, event.id, event.source),  # its `order`
            stage,
            answered,
            None,
            unmeasured if still_unmeasured is None else _carried(still_unmeasured, unmeasured, event),
            tuple([live[number] for number in suspended]) if suspended else (),
            (*state.changes, (at, undo)) if undo and state.stage != "unknown" else state.changes,
            self._exclusions,
            (),
            waiting if still_waiting is None else _carried(still_waiting, waiting, event),
            begun,
        )

    def _rare(self, state: ItemState, event: Event) -> tuple[Hashable, ...]:
        # What most items and rulebooks do not have: cycles without a clock, several versions, times of validity.
        return (of_cycles(state.unmeasured), of_cycles(state.waiting), self._sight.times(state, event))

    def _decided(
        self, state: ItemState, event: Event, decide: Decide, *, situation: Hashable, live: list[int]
    ) -> ItemState:
        step, result = decide(state, event, self._rulebook)
        if self._sight.is_whole and situation not in self._known:
            if len(self._known) >= self._keep:
                self._known.clear()
            self._known[situation] = _planned(step, state, live)
        return result


@lru_cache(maxsize=4)
def plans_of(rulebook: Rulebook) -> Plans:
    """The plans for a rulebook; it never changes."""
    return Plans(rulebook)


def _live(clocks: list[Clock], suspended: tuple[int, ...], at: Instant, situation: list[Hashable]) -> list[int]:
    # The places of the clocks that are open or may be taken up; what there is to see of them is noted in *situation*.
    # What ran out before *at* has run out then.
    live = []
    for place, clock in enumerate(clocks):
        if clock.stopped_at is None:
            due, found = clock.due_at, clock
            if clock.pending or (due is not None and due < at):
                found = clocks[place] = run_out(clock, at)
        elif place in suspended:
            found = clock
        else:
            continue
        live.append(place)
        situation += (
            found.metric,
            found.policy,
            found.phase,
            found.breached_at is None,
            found.target,
            found.calendar,
            found.version,
            found.beside,
        )
    return live


def _begin(clocks: list[Clock], beginnings: tuple[Beginning, ...], event: Event) -> None:
    at = event.time
    for metric, version, terms, hours, stands_still in beginnings:
        cycle = Cycle(metric, at, event.source, event.id, version)
        number = 1
        for other in clocks:
            if other.metric == metric:
                number += 1
        clock = begin(cycle, terms, number, hours)
        clocks.append(pause(clock, at, hours) if stands_still else clock)


def _carried(kept: tuple[Kept, ...], before: tuple[Cycle, ...], event: Event) -> tuple[Cycle, ...]:
    return tuple([before[each] if isinstance(each, int) else _begun(each, event) for each in kept])


def _begun(cycle: Cycle, event: Event) -> Cycle:
    return Cycle(cycle.metric, event.time, event.source, event.id, cycle.version, (), cycle.beside, cycle.policy)


def _planned(step: Step, state: ItemState, live: list[int]) -> Plan | None:
    """What the step did to the item, as a plan; None where some of it does not follow from the situation alone."""
    event = step.event
    if step.is_singular or step.stage == "unknown" or event.type in DELETIONS:
        return None
    if not (_stay(step, step.unmeasured, state.unmeasured) and _stay(step, step.waiting, state.waiting)):
        return None
    places = {place: number for number, place in enumerate(live)}
    if not places.keys() >= {*(act.place for act in step.acts), *step.suspended}:
        return None
    return Plan(
        tuple(act._replace(place=places[act.place]) for act in step.acts),
        tuple(step.beginnings),
        step.stage,
        step.answered,
        step.begun,
        tuple(places[place] for place in step.suspended),
        _kept(step.unmeasured, state.unmeasured),
        _kept(step.waiting, state.waiting),
    )


def _stay(step: Step, after: tuple[Cycle, ...], before: tuple[Cycle, ...]) -> bool:
    # Whether every cycle was there before or was begun by the event; what waited comes from elsewhere.
    known = {id(cycle) for cycle in before}
    return all(id(cycle) in known or step.is_own(cycle) for cycle in after)


def _kept(after: tuple[Cycle, ...], before: tuple[Cycle, ...]) -> tuple[Kept, ...] | None:
    places = {id(cycle): place for place, cycle in enumerate(before)}
    return None if after == before else tuple(places.get(id(cycle), cycle) for cycle in after)
