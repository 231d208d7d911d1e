"""The facts about an item: a pure fold over its distinct events in their order.

Events in order cost one step each; after an event that came out of order the item is folded again from its history.
State is never advanced by the mere passing of time, because a late event may still come before the present; what the
time brings is projected by `ledger` and not stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import attrgetter

from msgspec.structs import replace as changed

from services.timer.clock import Cycle
from services.timer.first_sight import first_seen
from services.timer.happenings import take_effect
from services.timer.item import EMPTY, ItemState
from services.timer.move import move, open_cycles
from services.timer.plan import plans_of
from services.timer.rulebook import Rulebook
from services.timer.rules import measured
from services.timer.scrubbing import scrubbed
from services.timer.snapshots import remembering
from services.timer.step import Step
from services.timer.terms import hold
from shared.events import DELETIONS, Event

__all__ = ["EMPTY", "ItemState", "apply", "distinct", "follows", "refold", "steps"]


def follows(state: ItemState, event: Event) -> bool:
    """Whether the event comes after all that was folded, so that one step applies it; a recount never does.

    It is the caller who knows whether an event of the same identity was folded before.
    """
    last = state.order
    return (last is None or event.time > last[0] or event.order > last) and event.recount is None


def apply(state: ItemState, event: Event, rulebook: Rulebook, *, untracked: tuple[Cycle, ...] = ()) -> ItemState:
    """The item after one more event, which must follow those before.

    What ran out strictly before the event's time breaches first, then come the patch of the attributes, what the
    event starts and stops, and last terms and pauses under the new attributes. A recount brings *untracked*: what only
    the item's history tells of its open cycles. A deletion takes the item's attributes away, and nothing that follows
    it changes the item.

    Raises:
        KeyError: a clock is pinned to a version of the policies that *rulebook* does not have.
    """
    if state.deleted is not None:
        return changed(state, order=max(state.order or event.order, event.order))
    if event.snapshot is None and event.recount is None:
        return plans_of(rulebook).fold(state, event, _decided)
    if event.snapshot is not None and state.stage == "unknown":
        return first_seen(state, event, rulebook, _stepped)
    return _stepped(state, event, rulebook, untracked)


def refold(events: Iterable[Event], rulebook: Rulebook, *, start: ItemState = EMPTY) -> ItemState:
    """The item after these events, given in any order and with any repeats; *start* is what came before all of them.

    Raises:
        KeyError: as `apply`.
    """
    state = start
    for _, state in steps(events, rulebook, start=start):  # noqa: B007 # the last one is what is asked for
        pass
    return state


def steps(
    events: Iterable[Event], rulebook: Rulebook, *, start: ItemState = EMPTY
) -> Iterator[tuple[Event, ItemState]]:
    """Each distinct event in its order, and the item after it; *start* is what came before all of them.

    Raises:
        KeyError: as `apply`.
    """
    state = start
    ordered = distinct(events)
    for place, event in enumerate(ordered):
        untracked = () if event.recount is None else _untracked(ordered[:place], event, rulebook)
        state = apply(state, event, rulebook, untracked=untracked)
        yield event, state


def distinct(events: Iterable[Event]) -> list[Event]:
    """One item's events in order, each once; of two with one identity the one that comes first counts."""
    kept: dict[tuple[str, str], Event] = {}
    for event in sorted(events, key=attrgetter("order")):
        kept.setdefault((event.source, event.id), event)
    return list(kept.values())


def _stepped(state: ItemState, event: Event, rulebook: Rulebook, untracked: tuple[Cycle, ...] = ()) -> ItemState:
    return _decided(state, event, rulebook, untracked)[1]


def _decided(
    state: ItemState, event: Event, rulebook: Rulebook, untracked: tuple[Cycle, ...] = ()
) -> tuple[Step, ItemState]:
    step = Step(state, event, rulebook)
    step.run_out()
    if event.attributes or event.kind == "call" or event.snapshot is not None:
        step.patch()
    take_effect(step)
    if step.touched or step.forced:
        hold(step)
    if event.recount is not None and event.recount.policy_version is not None:
        move(step, event.recount.policy_version, untracked)
    result = step.result()
    if result.stage == "unknown":
        result = changed(result, early=remembering(state, event))
    elif result.stage == "final" and event.type in DELETIONS:
        result = scrubbed(result, event)
    return step, result


def _untracked(before: list[Event], recount: Event, rulebook: Rulebook) -> tuple[Cycle, ...]:
    """The cycles that are open when an item moves to a version, of metrics that nobody measured when they began.

    The state does not know of these: a cycle of a metric that no policy of its version measures is not followed. They
    are those that would be open, had the version always been in force.
    """
    version = recount.recount.policy_version if recount.recount is not None else None
    if version is None:
        return ()
    policies = rulebook.version(version)
    wanted = measured(policies, recount.kind)
    if all(wanted <= measured(other, recount.kind) for _, other in rulebook.versions):
        return ()
    alone = replace(rulebook, versions=((0, policies),))
    state = refold([event for event in before if event.recount is None], alone)
    if state.stage != "open":  # a reply that the version requires of an item that is over: nothing starts on one
        return ()
    return tuple(
        cycle
        for cycle in open_cycles(state)
        if cycle.metric not in measured(rulebook.at(cycle.started_at), recount.kind)
    )
