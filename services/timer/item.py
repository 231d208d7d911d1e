"""The state of one item: what the fold has made of its events so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from services.timer.clock import Clock, Cycle
from shared.events import Event, Instant

Stage = Literal["unknown", "open", "over", "final"]
Order = tuple[Instant, bool, int, str, str]
Change = tuple[Instant, dict[str, Any]]  # when, and the patch that undoes it
Message = tuple[Instant, str, str]  # when, source and id of its event


class ItemState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item after its events so far; never advanced by the mere passing of time."""

    attributes: dict[str, Any] = {}
    clocks: tuple[Clock, ...] = ()  # all of them, in the order in which they came to be
    order: Order | None = None  # of the last event; None before the first
    stage: Stage = "unknown"  # unknown until it is created
    answered: bool = False  # an agent replied, at any time since creation
    held: Message | None = None  # no longer used; in rows from before there was `waiting`
    unmeasured: tuple[Cycle, ...] = ()  # open cycles without a clock; those beside the winner's also for some of them
    suspended: tuple[int, ...] = ()  # places of the clocks that reopening may take up, or has left as they were
    changes: tuple[Change, ...] = ()  # of the attributes since creation, the oldest first
    exclusions: str = ""  # the revision of the exclusions under which it was folded
    early: tuple[Event, ...] = ()  # what happened before the item was known to be created, without attributes
    waiting: tuple[Cycle, ...] = ()  # what began while the item was over, and counts once it is reopened
    begun: tuple[str, ...] = ()  # the metrics that have had their only cycle
    deleted: Order | None = None  # of the deletion that took its attributes away, for ever


EMPTY: Final = ItemState()


def patched(attributes: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes after a patch, in which None removes."""
    return {name: value for name, value in {**attributes, **patch}.items() if value is not None}


def changed_by(attributes: dict[str, Any], patch: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the attributes after a patch, the patch that undoes it); the same attributes where nothing changes."""
    if not attributes:
        return _first(patch)
    get = attributes.get
    undo: dict[str, Any] = {}
    for name, value in patch.items():
        before = get(name)
        # 1 and True are equal, and are not the same attribute.
        if before != value or before.__class__ is not value.__class__:
            undo[name] = before
    if not undo:
        return attributes, undo
    after = attributes.copy()
    for name in undo:
        if (value := patch[name]) is None:
            del after[name]
        else:
            after[name] = value
    return after, undo


def _first(patch: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    # The event's own attributes become the item's: nobody changes either.
    after = {name: value for name, value in patch.items() if value is not None} if None in patch.values() else patch
    return after, dict.fromkeys(after)


def history(attributes: Mapping[str, Any], changes: tuple[Change, ...]) -> Iterator[tuple[Instant, dict[str, Any]]]:
    """(instant of a change, the attributes before it), the latest change first."""
    before = dict(attributes)
    for at, undo in reversed(changes):
        before = patched(before, undo)
        yield at, before


def attributes_at(state: ItemState, at: Instant) -> dict[str, Any]:
    """The item's attributes at an instant since its creation, after all that happened at that instant."""
    attributes = state.attributes
    for changed_at, before in history(state.attributes, state.changes):
        if changed_at <= at:
            break
        attributes = before
    return attributes
