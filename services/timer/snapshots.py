"""Snapshots: what happened to an item, derived from the difference between what is known of it and what it is now."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from services.timer.item import ItemState, Stage
from services.timer.occurrences import Occurrence, meaning
from shared.events import Event, Instant, Snapshot

OPEN: Final = frozenset({"open", "pending", "on_hold"})
OVER: Final = frozenset({"resolved", "closed"})
FINAL: Final = frozenset({"spam", "merged"})

# Enough for all replies that still matter; an item that is never created must not grow for ever.
EARLY_KEPT: Final = 32


def says(event: Event) -> Stage:
    """In which stage a snapshot says that its item is; unknown where it does not say."""
    if event.attributes.get("merged_into") not in (None, ""):
        return "final"
    status = event.attributes.get("status")
    if not isinstance(status, str):
        return "unknown"
    return "final" if status in FINAL else "over" if status in OVER else "open" if status in OPEN else "unknown"


def transitions(stage: Stage, event: Event) -> tuple[Occurrence, ...]:
    """What happened, by a snapshot of an item that was in *stage* before; who has it shows in its attributes."""
    match stage, says(event):
        case "final", _:
            return ()
        case _, "final":
            return ("final",)
        case "unknown", _:
            return ("created",)
        case "open", "over":
            return ("over",)
        case "over", "open":
            return ("reopened",)
    return ()


def since(event: Event) -> Instant:
    """Since when the item of a snapshot is there, by what the snapshot says; it is there at the snapshot's own time."""
    said = event.snapshot
    return event.time if said is None or said.created_at is None else min(said.created_at, event.time)


def creation(event: Event) -> Event:
    """The creation that a snapshot tells of, as an event of its own that has the snapshot's identity."""
    return replace(event, time=since(event), attributes={}, snapshot=Snapshot())


def remembering(state: ItemState, event: Event) -> tuple[Event, ...]:
    """What happened to an item that is not known to be created, for a snapshot that says since when it is there.

    Without attributes, because the state has them; only what can mean something to clocks, and the last of it.
    """
    if not meaning(event):
        return state.early
    return (*state.early[1 - EARLY_KEPT :], replace(event, attributes={}))
