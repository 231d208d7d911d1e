"""What an event means: the occurrences that start and end the cycles of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from shared.events import EVENT_TYPES, Author, Event

Occurrence = Literal[
    "created",  # the first creation of the item
    "queued",  # a call waits to be answered, each time
    "agent_reply",  # public, and a person wrote it
    "customer_message",  # likewise
    "assigned",  # somebody has the item from now on
    "unassigned",  # nobody has it
    "accepted",
    "answered",
    "held",  # the call is put on hold
    "resumed",
    "abandoned",  # the call was given up, the chat was missed
    "over",  # resolved, closed, ended
    "reopened",
    "final",  # merged, deleted, spam
]

_MEANINGS: Final[Mapping[str, tuple[Occurrence, ...]]] = {
    "ticket.created": ("created",),
    "ticket.resolved": ("over",),
    "ticket.closed": ("over",),
    "ticket.reopened": ("reopened",),
    "ticket.merged": ("final",),
    "ticket.deleted": ("final",),
    "chat.started": ("created",),
    "chat.accepted": ("accepted",),
    "chat.missed": ("abandoned",),
    "chat.ended": ("over",),
    "chat.deleted": ("final",),
    "call.queued": ("created", "queued"),
    "call.answered": ("answered",),
    "call.held": ("held",),
    "call.resumed": ("resumed",),
    "call.abandoned": ("abandoned",),
    "call.ended": ("over",),
    "call.deleted": ("final",),
}
_SPOKEN_BY: Final[Mapping[str, Author]] = {
    "ticket.agent_replied": "agent",
    "ticket.customer_replied": "customer",
    "chat.agent_replied": "agent",
    "chat.customer_replied": "customer",
}
_SPOKEN: Final[Mapping[Author, tuple[Occurrence, ...]]] = {
    "agent": ("agent_reply",),
    "customer": ("customer_message",),
}
# Whether a call is on hold is an attribute like any other, so that pauses can name it.
_HELD: Final[Mapping[str, dict[str, Any]]] = {
    "call.held": {"held": True},
    "call.resumed": {"held": None},
    "call.answered": {"held": None},
    "call.abandoned": {"held": None},
    "call.ended": {"held": None},
}


def meaning(event: Event) -> tuple[Occurrence, ...]:
    """What happened, by the event's type; of a reply only what a person said in public counts."""
    speaker = _SPOKEN_BY.get(event.type)
    if speaker is None:
        return _MEANINGS.get(event.type, ())
    return _SPOKEN.get(event.author or speaker, ()) if event.public else ()


def author(event: Event) -> Author | None:
    """Who spoke: whom the event names, else whom its type names; None where nobody is known to have spoken."""
    return event.author or _SPOKEN_BY.get(event.type)


def patch_of(event: Event) -> dict[str, Any]:
    """The patch of the item's attributes: the event's own, and whether a call is on hold unless it says so itself."""
    held = _HELD.get(event.type)
    return event.attributes if held is None else {**held, **event.attributes}


def meaning_of(event_type: str) -> tuple[Occurrence, ...]:
    """What events of a type always mean, whoever spoke; nothing for a text that is no type."""
    return _MEANINGS.get(event_type, ())


def occurring(kind: str) -> frozenset[str]:
    """Every occurrence that events of items of a kind can mean."""
    types = {name for name in EVENT_TYPES if name.startswith(f"{kind}.")}
    spoken = {name for type_ in types & _SPOKEN_BY.keys() for name in _SPOKEN[_SPOKEN_BY[type_]]}
    meant = {name for type_ in types for name in _MEANINGS.get(type_, ())}
    return frozenset({"assigned", "unassigned", "final"} | spoken | meant)  # any item can be assigned, and be spam


def speaker_of(event_type: str) -> Author | None:
    """Whom a type of event names as the one who spoke, if it is about speaking."""
    return _SPOKEN_BY.get(event_type)
