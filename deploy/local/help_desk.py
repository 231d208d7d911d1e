"""A support desk that is made up: what its tickets, chats and calls do, second by second.

Chance and time are arguments, so the same seed tells the same story. Most of the work is done in time by the measure of
`demo_policies.yaml`, and about a quarter of it late; customers answer, wait on hold, come back and hang up.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from shared.events import SECOND, Event, Instant, Kind, Span, parse_instant

SOURCE: Final = "/demo/help-desk"
LATE: Final = 0.25  # of what agents do comes too late
_OPENING: Final = parse_instant("2026-01-01T00:00:00Z")
_PREFIX: Final = "demo-"
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NUMBERS_A_SECOND: Final = 2  # more than items arrive, so that numbers only grow, from one run to the next too
_AGENTS: Final = ("ana", "bruno", "carla", "diego", "elena", "farid")
_CUSTOMERS: Final = ("acme", "casa-verde", "lumen-bank", "norte-freight", "orbital", "pan-y-sal")
_GROUPS: Final = ("billing", "orders", "technical")
_PRIORITIES: Final = ("low", "normal", "normal", "normal", "high", "urgent")
_GAPS_S: Final[dict[Kind, float]] = {"ticket": 5.0, "chat": 5.0, "call": 4.0}  # between two new items, on average


@dataclass(slots=True)
class Story:
    """The events of one item in their order, told from its beginning."""

    kind: Kind
    subject: str
    at: Instant
    chance: Random
    events: list[Event] = field(default_factory=list)

    def tell(self, what: str, **attributes: Any) -> None:
        """Let *what* happen now: the event's type without its kind, and a patch of the item's attributes."""
        name = f"{self.subject}-{len(self.events) + 1}"
        self.events.append(
            Event(self.at, name, SOURCE, f"{self.kind}.{what}", "default", self.kind, self.subject, 0, attributes)
        )

    def wait(self, shortest_s: float, longest_s: float) -> None:
        """Let time pass."""
        self.at += round(self.chance.uniform(shortest_s, longest_s) * SECOND)

    def happens(self, probability: float) -> bool:
        """Whether something does, this time."""
        return self.chance.random() < probability

    def work(self, target_s: float, *, late: float = LATE) -> None:
        """Let an agent take the time that a thing with such a target takes: mostly less, sometimes more."""
        if self.happens(late):
            self.wait(target_s * 1.2, target_s * 2.0)
        else:
            self.wait(target_s * 0.2, target_s * 0.8)


Tell = Callable[[Story, float], None]  # the story, and how likely its first promise is broken


def ticket(story: Story, late: float = LATE) -> None:
    """A ticket from its creation until it is closed."""
    chance = story.chance
    urgent = chance.choice(_PRIORITIES)
    story.tell("created", status="open", priority=urgent, channel=chance.choice(("email", "web")), **_who(chance))
    story.wait(0.5, 2.0)
    story.tell("updated", assignee=chance.choice(_AGENTS))
    story.work(10.0, late=late)
    story.tell("agent_replied")
    if story.happens(0.3):
        _put_on_hold(story)
    elif story.happens(0.5):
        story.wait(2.0, 6.0)
        story.tell("customer_replied")
        story.work(12.0)
        story.tell("agent_replied")
    story.work(20.0)
    story.tell("resolved", status="resolved")
    if story.happens(0.15):
        _reopen(story)
    story.wait(5.0, 10.0)
    story.tell("closed", status="closed")


def chat(story: Story, late: float = LATE) -> None:
    """A chat until one side leaves."""
    chance = story.chance
    story.tell("started", status="open", channel=chance.choice(("website", "app", "messenger")), **_who(chance))
    if late < 1.0 and story.happens(0.1):
        story.wait(2.0, 4.0)
        story.tell("missed")
        return
    story.work(5.0, late=late)
    story.tell("accepted", assignee=chance.choice(_AGENTS))
    story.wait(0.5, 2.0)
    story.tell("agent_replied")
    for _ in range(chance.randint(1, 3)):
        story.wait(1.0, 5.0)
        story.tell("customer_replied")
        story.work(8.0, late=0.15)
        story.tell("agent_replied")
    story.wait(1.0, 4.0)
    story.tell("ended")


def call(story: Story, late: float = LATE) -> None:
    """A call until somebody hangs up."""
    chance = story.chance
    story.tell("queued", status="open", channel="phone", **_who(chance))
    if late < 1.0 and story.happens(0.1):
        story.wait(1.0, 3.5)
        story.tell("abandoned")
        return
    story.work(4.0, late=late)
    story.tell("answered", assignee=chance.choice(_AGENTS))
    story.wait(4.0, 12.0)
    if story.happens(0.3):
        story.tell("held")
        story.wait(3.0, 8.0)
        story.tell("resumed")
        story.wait(3.0, 8.0)
    story.tell("ended")


_TELLERS: Final[dict[Kind, Tell]] = {"ticket": ticket, "chat": chat, "call": call}


class Desk:
    """The desk from *opened_at* on: its items arrive by chance, and each one's story runs its course."""

    def __init__(self, chance: Random, opened_at: Instant) -> None:
        self._chance = chance
        self._first = self._number = (opened_at - _OPENING) // SECOND * _NUMBERS_A_SECOND
        self._told = 0  # breaks ties between events of the same instant: the order in which they were told
        self._events: list[tuple[Instant, int, Event]] = []
        self._arrivals: list[tuple[Instant, Kind]] = []
        # Nobody is there yet when the desk opens: the first call, chat and ticket wait too long.
        opening: tuple[tuple[Kind, float], ...] = (("call", 0.3), ("chat", 0.8), ("ticket", 1.3))
        for kind, after_s in opening:
            self._begin(kind, opened_at + round(after_s * SECOND), late=1.0)
            heapq.heappush(self._arrivals, (opened_at + self._gap(kind), kind))

    def next_at(self) -> Instant:
        """When the next thing happens."""
        arrival = self._arrivals[0][0]
        return min(arrival, self._events[0][0]) if self._events else arrival

    def until(self, now: Instant) -> list[Event]:
        """What happened up to *now* and was not told yet, in the order in which it happened."""
        happened = []
        while self.next_at() <= now:
            if self._arrivals[0][0] <= self.next_at():
                arrived_at, kind = heapq.heappop(self._arrivals)
                self._begin(kind, arrived_at, late=LATE)
                heapq.heappush(self._arrivals, (arrived_at + self._gap(kind), kind))
            else:
                happened.append(heapq.heappop(self._events)[2])
        return happened

    def is_from_before(self, subject: str) -> bool:
        """Whether the item is one of a desk that closed before this one opened: its story goes on nowhere."""
        number = subject.removeprefix(_PREFIX)
        return number not in ("", subject) and set(number) <= set(_DIGITS) and int(number, 36) <= self._first

    def _gap(self, kind: Kind) -> Span:
        return max(1, round(self._chance.expovariate(1 / _GAPS_S[kind]) * SECOND))

    def _begin(self, kind: Kind, at: Instant, *, late: float) -> None:
        self._number += 1
        story = Story(kind, _PREFIX + _written(self._number), at, self._chance)
        _TELLERS[kind](story, late)
        for event in story.events:
            self._told += 1
            heapq.heappush(self._events, (event.time, self._told, event))


def _written(number: int) -> str:
    rest, digit = divmod(number, len(_DIGITS))
    return (_written(rest) if rest else "") + _DIGITS[digit]


def _who(chance: Random) -> dict[str, Any]:
    customer = chance.choice(_CUSTOMERS)
    return {
        "customer": customer,
        "contact": f"{chance.choice(('j', 'm', 's'))}.{chance.choice(('lopez', 'novak', 'silva'))}@{customer}.example",
        "group": chance.choice(_GROUPS),
        "request_type": chance.choice(("question", "problem", "change")),
        "tags": ["vip"] if customer == "acme" else [],
    }


def _put_on_hold(story: Story) -> None:
    story.wait(1.0, 3.0)
    story.tell("updated", status="on_hold")
    story.wait(8.0, 20.0)
    story.tell("customer_replied", status="open")
    story.work(12.0)
    story.tell("agent_replied")


def _reopen(story: Story) -> None:
    story.wait(3.0, 6.0)
    story.tell("customer_replied")
    story.wait(0.1, 0.5)
    story.tell("reopened", status="open")
    story.work(12.0)
    story.tell("agent_replied")
    story.wait(1.0, 4.0)
    story.tell("resolved", status="resolved")
