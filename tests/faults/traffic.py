"""Tickets and chats whose deadlines fall due while they come in, so that a fault finds work of every kind under way."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from shared.errors import Unavailable
from shared.events import SECOND, Instant, parse_instant, rfc3339
from shared.kafka.connection import Connection, Outgoing
from shared.kafka.producer import Producer
from tests.e2e.helpdesk import encoded

Sent = dict[str, Any]  # a structured CloudEvent
Step = tuple[float, str, dict[str, Any]]  # seconds since the item began, type, patch of its attributes

POLICIES: Final = """
calendars:
  always: {time_zone: UTC, hours: {mon-sun: ["00:00-24:00"]}}
policies:
  - name: tickets
    applies_to: {kind: ticket}
    calendar: always
    targets:
      first_response: {within: 4s, warn_at: [75%], by: {priority: {urgent: 2s}}}
      next_response: 3s
      resolution: {within: 8s, warn_at: [75%]}
    pause_when: {status: pending}
  - name: chats
    applies_to: {kind: chat}
    calendar: always
    severity: high
    targets: {pickup: 3s}
"""
LONGEST_S: Final = 11.0  # after the last item began, the last thing happens to one, and the last deadline passes
SLACK_S: Final = 1.5  # what prevents a warning or a breach happens so much earlier, and must arrive before it
STORIES: Final[Sequence[Sequence[Step]]] = (
    # Nobody cares: both promises are broken.
    ((0, "ticket.created", {}),),
    # All in time.
    ((0, "ticket.created", {}), (1.0, "ticket.agent_replied", {}), (2.5, "ticket.resolved", {})),
    # All too late: both breaches are stopped.
    ((0, "ticket.created", {}), (5.2, "ticket.agent_replied", {}), (9.5, "ticket.resolved", {})),
    # A pause makes what is late by the wall's time good.
    (
        (0, "ticket.created", {"customer": "acme"}),
        (1.0, "ticket.updated", {"status": "pending"}),
        (5.0, "ticket.updated", {"status": "open"}),
        (5.2, "ticket.agent_replied", {}),
        (5.4, "ticket.resolved", {}),
    ),
    # Other terms bring the deadline forward, and it passes.
    (
        (0, "ticket.created", {}),
        (1.0, "ticket.updated", {"priority": "urgent"}),
        (2.6, "ticket.agent_replied", {}),
        (4.0, "ticket.resolved", {}),
    ),
    # The customer asks again, and nobody answers.
    ((0, "ticket.created", {}), (1.0, "ticket.agent_replied", {}), (2.0, "ticket.customer_replied", {})),
    ((0, "chat.started", {}), (0.5, "chat.accepted", {}), (3.0, "chat.ended", {})),
    ((0, "chat.started", {"customer": "bolt"}), (4.3, "chat.accepted", {})),
)


def planned(begin: Instant, *, items: int, over_s: float, seed: int = 1) -> list[Sent]:
    """The events of *items* that begin evenly over so many seconds, in the order of their times; some come twice."""
    pick = random.Random(seed)
    found: list[Sent] = []
    for number in range(items):
        start = begin + round(over_s * SECOND * number / items)
        found += _story(f"{seed}-{number}", start, pick.choice(STORIES), pick)
    found += [event for event in found if pick.random() < 0.02]
    return sorted(found, key=lambda event: (instant_of(event), event["id"]))


def instant_of(event: Sent) -> Instant:
    """When an event happens."""
    return parse_instant(event["time"])


def _story(name: str, start: Instant, steps: Sequence[Step], pick: random.Random) -> Iterator[Sent]:
    for number, (offset, kind, attributes) in enumerate(steps):
        at = start + round((offset and offset + pick.uniform(-0.1, 0.1)) * SECOND)
        yield {
            "specversion": "1.0",
            "id": f"{name}-{number}",
            "source": "/desk",
            "type": kind,
            "subject": name,
            "time": rfc3339(at),
            "data": {"attributes": attributes},
        }


@dataclass
class Upstream:
    """A ticketing system: writes each event when its time has come, and again until the brokers have it."""

    bootstrap: str
    topic: str
    slowest_s: float = 0.0  # the longest time from an event until the brokers had it
    arrived: dict[str, Instant] = field(default_factory=dict)  # item -> when the brokers had the last that it has

    async def run(self, plan: Sequence[Sent]) -> None:
        """Write what is planned; returns when the brokers have all of it."""
        producer = Producer(Connection(self.bootstrap), "desk")
        await _patiently(producer.start)
        left = deque(plan)
        try:
            while left:
                due = _due(left)
                records = [Outgoing(key, value) for key, value in encoded(due)]
                await _patiently(partial(producer.send, self.topic, records))
                if due:
                    now = _now()
                    self.slowest_s = max(self.slowest_s, (now - instant_of(due[0])) / SECOND)
                    self.arrived |= {key.decode(): now for key, _, *_ in records}
                await asyncio.sleep(0.02)
        finally:
            await producer.stop()


def _now() -> Instant:
    return time.time_ns() // 1000


def _due(left: deque[Sent]) -> list[Sent]:
    now, due = _now(), []
    while left and instant_of(left[0]) <= now:
        due.append(left.popleft())
    return due


async def _patiently(call: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(0.2)
