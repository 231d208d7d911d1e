"""An item that was not known to be created, when a first snapshot shows it."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from services.timer.item import ItemState
from services.timer.move import open_cycles
from services.timer.rulebook import Rulebook
from services.timer.snapshots import creation, says, since
from services.timer.step import Step
from shared.events import Event

Fold = Callable[[ItemState, Event, Rulebook], ItemState]


def first_seen(state: ItemState, event: Event, rulebook: Rulebook, fold: Fold) -> ItemState:
    """The item after the first snapshot of it.

    Its attributes are taken to have held since its creation. What is open by now is counted from its start, as under
    a first policy that is known late; what has ended before is not measured, and of an item that is over nothing is.

    Args:
        state: what was known of the item, which is not its creation.
        event: the snapshot.
        rulebook: the policies.
        fold: one ordinary step: the item after an event.
    """
    stage = says(event)
    step = Step(state, event, rulebook)
    step.patch()
    if stage == "over":
        return _over(step.result())
    if stage == "final" or since(event) == event.time:
        return fold(state, event, rulebook)
    found = ItemState(step.attributes)
    for each in (creation(event), *(early for early in state.early if early.time >= since(event)), event):
        found = fold(found, each, rulebook)
    return _over(found) if found.stage == "over" else _measured_late(found, event, rulebook)


def _over(state: ItemState) -> ItemState:
    # Whether it was answered is not known, but its first response is past: what the customer says next needs another.
    return replace(state, stage="over", answered=True, clocks=(), unmeasured=(), suspended=())


def _measured_late(found: ItemState, event: Event, rulebook: Rulebook) -> ItemState:
    step = Step(replace(found, clocks=(), unmeasured=(), suspended=()), event, rulebook)
    for cycle in open_cycles(found):
        (step.open_beside if cycle.beside else step.open)(cycle, step.rules(cycle.version))
    return step.result()
