"""Deletion for privacy: what stays of an item and of its events once its attributes must not."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from services.timer.item import ItemState
from shared.events import Event


def scrubbed(state: ItemState, deletion: Event) -> ItemState:
    """The item without any attributes, present or past; its clocks stay."""
    return replace(state, attributes={}, changes=(), early=(), deleted=deletion.order)


def bare(event: Event) -> Event:
    """The event without its attributes: enough to recognise a repeat of it, too little to fold it."""
    return replace(event, attributes={})


def is_repeat(state: ItemState, event: Event, known: Iterable[Event]) -> bool:
    """Whether the event changes nothing, because one of its identity is known.

    Of two of one identity the one that comes first counts; once the item is deleted, the one that was folded.
    """
    same = [other for other in known if (other.source, other.id) == (event.source, event.id)]
    return any(state.deleted is not None or other.order <= event.order for other in same)


def is_too_late(state: ItemState, event: Event) -> bool:
    """Whether the event belongs before the deletion of its item, so that it cannot be folded any more."""
    return state.deleted is not None and event.order < state.deleted
