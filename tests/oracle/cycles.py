"""What an event starts and stops, whatever any policy says of it: the table of metrics and the rules under it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tests.oracle.events import CREATIONS, FINAL, OVER, Event, instant, is_reply_of, kind_of, patch_of

METRICS: Final = (
    "first_response",
    "next_response",
    "periodic_update",
    "resolution",
    "pickup",
    "answer",
    "assignment",
    "handling",
)
# Over: how the cycles that are open then end.
ENDS_OVER: Final = {
    "first_response": "cancelled",
    "next_response": "cancelled",
    "assignment": "cancelled",
    "resolution": "met",
    "periodic_update": "met",
    "handling": "met",
    "pickup": "abandoned",
    "answer": "abandoned",
}
REPLIES: Final = frozenset({"first_response", "next_response"})


@dataclass(frozen=True)
class Happening:
    """What one event does to cycles: stops first, then what is taken up, then starts (metric to the cycle's start).

    What is in `takes_up` starts only where there is nothing to take up; `starts` holds wherever no cycle is open.
    """

    stops: dict[str, str] = field(default_factory=dict)
    takes_up: dict[str, int | None] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    is_over: bool = False
    is_reopened: bool = False
    met_at_once: frozenset[str] = frozenset()


class Life:
    """An item from its first event on: what it is like, and what of it is still to come."""

    def __init__(self, kind: str) -> None:
        self.attributes: dict[str, Any] = {"kind": kind}
        self._created = False
        self._over = False
        self._final = False
        self._answered = False
        self._held_message: int | None = None

    def take(self, event: Event) -> Happening:
        """Patch the attributes, and say what the event starts and stops."""
        was_assigned = self._assigned()
        self._patch(event)
        creates = event["type"] in CREATIONS and not self._created
        self._created |= creates
        if self._final or self._becomes_final(event):
            self._final = True
            return Happening(stops=dict.fromkeys(METRICS, "cancelled"))
        if not self._created:
            return Happening()
        if creates:
            return self._creation(event)
        if event["type"] in OVER:
            return self._end()
        if event["type"] == "ticket.reopened" and self._over:
            return self._reopening(event, was_assigned)
        return self._course(event, was_assigned)

    def _becomes_final(self, event: Event) -> bool:
        """Merged and deleted always, spam once the item exists."""
        return event["type"] in FINAL or (self._created and self.attributes.get("status") == "spam")

    def _patch(self, event: Event) -> None:
        """A null removes an attribute."""
        for name, value in patch_of(event).items():
            self.attributes[name] = value
            if value is None:
                del self.attributes[name]

    def _assigned(self) -> bool:
        return "assignee" in self.attributes

    def _creation(self, event: Event) -> Happening:
        """Created: first_response, periodic_update, resolution, assignment; a chat's pickup, a call's answer."""
        metrics = ["first_response", "periodic_update", "resolution", "assignment"]
        metrics += {"chat": ["pickup"], "call": ["answer"]}.get(kind_of(event), [])
        met_at_once = frozenset({"assignment"} if self._assigned() else ())
        return Happening(starts=dict.fromkeys(metrics, instant(event["time"])), met_at_once=met_at_once)

    def _end(self) -> Happening:
        """Resolved, closed, ended: over, unless it was already."""
        if self._over:
            return Happening()
        self._over = True
        return Happening(stops=dict(ENDS_OVER), is_over=True)

    def _reopening(self, event: Event, was_assigned: bool) -> Happening:
        """Resolution goes on; first_response too if nobody replied; assignment if nobody has it, or it starts anew."""
        self._over = False
        at = instant(event["time"])
        takes_up: dict[str, int | None] = {"resolution": None}
        starts = {"periodic_update": at}
        if not self._answered:
            takes_up["first_response"] = None
        if not self._assigned():
            takes_up["assignment"] = at
            starts |= {"assignment": at} if was_assigned else {}
        if self._answered and self._held_message is not None:
            starts["next_response"] = self._held_message
        self._held_message = None
        return Happening(takes_up=takes_up, starts=starts, is_reopened=True)

    def _course(self, event: Event, was_assigned: bool) -> Happening:
        """Everything else that can happen to an item that exists."""
        at, what = instant(event["time"]), str(event["type"]).partition(".")[2]
        stops: dict[str, str] = {}
        starts: dict[str, int] = {}
        if what in ("accepted", "answered"):
            stops |= {"pickup" if what == "accepted" else "answer": "met"}
            starts |= {"handling": at}
        if what in ("missed", "abandoned"):
            stops |= {"pickup" if what == "missed" else "answer": "abandoned"}
        if what == "queued":
            starts |= {"answer": at}
        if is_reply_of("agent", event):
            stops |= {"first_response": "met", "next_response": "met", "periodic_update": "met"}
            starts |= {"periodic_update": at}
            self._answered, self._held_message = True, None
        if is_reply_of("customer", event):
            starts |= self._message(at)
        if self._assigned():
            stops |= {"assignment": "met"}
        elif was_assigned:
            starts |= {"assignment": at}
        return Happening(stops=stops, starts={} if self._over else starts)

    def _message(self, at: int) -> dict[str, int]:
        """A customer's message: starts next_response after the first response; on an item that is over it is held."""
        if self._over and self._held_message is None:
            self._held_message = at
        return {"next_response": at} if self._answered else {}
