"""The benchmark's traffic: tickets that live through five events, many of them interleaved, some events disturbed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from shared.events import SECOND, Instant, rfc3339

STEPS = (
    ("ticket.created", "customer", "open"),
    ("ticket.agent_replied", "agent", "pending"),
    ("ticket.customer_replied", "customer", "open"),
    ("ticket.agent_replied", "agent", "pending"),
    ("ticket.resolved", "agent", "resolved"),
)
PRIORITIES = ("normal", "high", "normal", "urgent")


@dataclass(frozen=True, slots=True)
class Shape:
    """How much traffic, and how well behaved."""

    events: int
    in_flight: int = 2_000
    repeated: float = 0.02  # share of events that come a second time, a little later
    late: float = 0.01  # share of events that come after their successor
    seed: int = 1


def lifecycles(shape: Shape, now: Instant) -> Iterator[tuple[bytes, bytes]]:
    """(key, structured CloudEvent) of about `shape.events` events whose times end at *now*, so that nothing is due."""
    pick = random.Random(shape.seed)
    items = shape.events // len(STEPS)
    live = [[item, 0] for item in range(min(shape.in_flight, items))]
    following = len(live)
    begin = now - 60 * SECOND
    again: list[tuple[bytes, bytes]] = []
    for number in range(items * len(STEPS)):
        place = int(pick.random() * len(live))
        item, step = live[place]
        at = begin + 60 * SECOND * number // shape.events
        pair = (b"default/ticket/%d" % item, _event(number, item, step, at))
        chance = pick.random()
        if chance < shape.late:
            again.append(pair)  # held back, and sent a few events later
        else:
            yield pair
            if chance < shape.late + shape.repeated:
                again.append(pair)
        if len(again) > 50:
            yield again.pop(0)
        if step + 1 < len(STEPS):
            live[place][1] = step + 1
        elif following < items:
            live[place] = [following, 0]
            following += 1
        else:
            live[place] = live[-1]
            live.pop()
    yield from again


def _event(number: int, item: int, step: int, at: Instant) -> bytes:
    kind, author, status = STEPS[step]
    return (
        f'{{"specversion":"1.0","id":"ev-{number:010d}","source":"/bench","type":"{kind}","subject":"{item}",'
        f'"time":"{rfc3339(at)}","datacontenttype":"application/json","data":{{"author":"{author}","public":true,'
        f'"attributes":{{"priority":"{PRIORITIES[item % 4]}","customer":"customer-{item % 997}",'
        f'"group":"group-{item % 31}","status":"{status}","channel":"email","assignee":"agent-{item % 211}",'
        f'"language":"en"}}}}}}'
    ).encode()
