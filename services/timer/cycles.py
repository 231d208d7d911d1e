"""When the cycles of each metric start and end: the definitions, and what an event means to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from shared.events import Event

Occurrence = Literal[
    "created",  # the first creation of the item
    "queued",  # a call waits to be answered, each time
    "agent_reply",  # public, and a person wrote it
    "customer_message",  # likewise; a metric starts by it only once the item was answered
    "assigned",
    "unassigned",
    "accepted",
    "answered",
    "abandoned",  # the call was given up, the chat was missed
    "over",  # resolved, closed, ended
    "reopened",
    "final",  # merged, deleted, spam
]
Ending = Literal["met", "abandoned", "cancelled"]
Occurrences = frozenset[Occurrence]

_ALL_KINDS: Final = frozenset({"ticket", "chat", "call"})


@dataclass(frozen=True, slots=True)
class Metric:
    """What is promised: which occurrences start, stop and abandon a cycle, and what being over makes of it."""

    name: str
    starts: Occurrences
    stops: Occurrences
    over: Ending  # what becomes of a clock that still runs when the item is over
    abandons: Occurrences = frozenset()
    pauses: bool = True  # whether the policy's `pause_when` holds for it
    taken_up: bool = False  # whether reopening takes up a clock that ended because the item was over
    awaits_reply: bool = False  # goes on after the item is over where the policy says `require_reply`
    kinds: frozenset[str] = _ALL_KINDS


def _by(*occurrences: Occurrence) -> Occurrences:
    return frozenset(occurrences)


METRICS: Final = (
    Metric("first_response", _by("created"), _by("agent_reply"), "cancelled", taken_up=True, awaits_reply=True),
    Metric("next_response", _by("customer_message"), _by("agent_reply"), "cancelled", awaits_reply=True),
    Metric("periodic_update", _by("created", "reopened", "agent_reply"), _by("agent_reply"), "met"),
    Metric("resolution", _by("created"), _by(), "met", taken_up=True),
    Metric(
        "pickup",
        _by("created"),
        _by("accepted"),
        "abandoned",
        abandons=_by("abandoned"),
        pauses=False,
        kinds=frozenset({"chat"}),
    ),
    Metric("answer", _by("queued"), _by("answered"), "abandoned", abandons=_by("abandoned"), pauses=False),
    Metric("assignment", _by("created", "unassigned"), _by("assigned"), "cancelled", taken_up=True),
    Metric("handling", _by("answered", "accepted"), _by(), "met", pauses=False),
)
BY_NAME: Final[Mapping[str, Metric]] = {metric.name: metric for metric in METRICS}

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
    "call.queued": ("created", "queued"),
    "call.answered": ("answered",),
    "call.abandoned": ("abandoned",),
    "call.ended": ("over",),
}
_SPOKEN_BY: Final = {
    "ticket.agent_replied": "agent",
    "ticket.customer_replied": "customer",
    "chat.agent_replied": "agent",
    "chat.customer_replied": "customer",
}
_SPOKEN: Final[Mapping[str, tuple[Occurrence, ...]]] = {
    "agent": ("agent_reply",),
    "customer": ("customer_message",),
}


def meaning(event: Event) -> tuple[Occurrence, ...]:
    """What happened, by the event's type; of a reply only what a person said in public counts."""
    speaker = _SPOKEN_BY.get(event.type)
    if speaker is None:
        return _MEANINGS.get(event.type, ())
    return _SPOKEN.get(event.author or speaker, ()) if event.public else ()


def _metrics_by(effect: Literal["stops", "abandons"]) -> Mapping[Occurrence, frozenset[str]]:
    found: dict[Occurrence, set[str]] = {}
    for metric in METRICS:
        for occurrence in getattr(metric, effect):
            found.setdefault(occurrence, set()).add(metric.name)
    return {occurrence: frozenset(names) for occurrence, names in found.items()}


STOPPED_BY: Final = _metrics_by("stops")
ABANDONED_BY: Final = _metrics_by("abandons")
