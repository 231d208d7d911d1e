"""The facts about an item: a pure fold over its distinct events in their order.

Events in order cost one step each; after an event that came out of order the item is folded again from its history.
State is never advanced by the mere passing of time, because a late event may still come before the present; what the
time brings is projected by `ledger` and not stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from services.timer.happenings import take_effect
from services.timer.item import EMPTY, ItemState
from services.timer.rulebook import Rulebook
from services.timer.step import Step
from services.timer.terms import hold
from shared.events import Event

__all__ = ["EMPTY", "ItemState", "apply", "distinct", "follows", "refold"]


def follows(state: ItemState, event: Event) -> bool:
    """Whether the event comes after all that was folded, so that one step applies it.

    It is the caller who knows whether an event of the same identity was folded before.
    """
    return state.order is None or event.order > state.order


def apply(state: ItemState, event: Event, rulebook: Rulebook) -> ItemState:
    """The item after one more event, which must follow those before.

    What ran out strictly before the event's time breaches first, then come the patch of the attributes, what the
    event starts and stops, and last terms and pauses under the new attributes.

    Raises:
        KeyError: a clock is pinned to a version of the policies that *rulebook* does not have.
    """
    step = Step(state, event, rulebook)
    step.run_out()
    if event.attributes:
        step.patch()
    take_effect(step)
    if step.touched or step.forced:
        hold(step)
    return step.result()


def refold(events: Iterable[Event], rulebook: Rulebook, *, start: ItemState = EMPTY) -> ItemState:
    """The item after these events, given in any order and with any repeats; *start* is what came before all of them.

    Raises:
        KeyError: as `apply`.
    """
    state = start
    for event in distinct(events):
        state = apply(state, event, rulebook)
    return state


def distinct(events: Iterable[Event]) -> list[Event]:
    """One item's events in order, each once; of two with one identity the one that comes first counts."""
    kept: dict[tuple[str, str], Event] = {}
    for event in sorted(events, key=attrgetter("order")):
        kept.setdefault((event.source, event.id), event)
    return list(kept.values())
