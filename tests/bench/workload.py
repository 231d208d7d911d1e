"""The benchmarks' traffic: tickets that live through five events, many of them interleaved, some events disturbed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from shared.events import SECOND, Instant, Span, rfc3339
from tests.bench.policies import PROBE


class _Step(NamedTuple):
    kind: str
    author: str
    status: str


class _Ticket(NamedTuple):
    name: str
    number: int
    group: str


STEPS: Final = (
    _Step("ticket.created", "customer", "open"),
    _Step("ticket.agent_replied", "agent", "pending"),
    _Step("ticket.customer_replied", "customer", "open"),
    _Step("ticket.agent_replied", "agent", "pending"),
    _Step("ticket.resolved", "agent", "resolved"),
)
PRIORITIES: Final = ("normal", "high", "normal", "urgent")
HELD_BACK: Final = 50  # events that were kept for later, at which the oldest of them is sent
REPEATED: Final = 0.02  # share of events that come a second time, a little later
LATE: Final = 0.01  # share of events that come after their successor
Pair = tuple[bytes, bytes]  # key, structured CloudEvent


@dataclass(frozen=True, slots=True)
class Shape:
    """How much traffic, and of which tickets."""

    events: int
    in_flight: int = 2_000
    seed: int = 1
    first: int = 0  # the number of the first ticket


class Traffic:
    """Tickets that live through five events, `in_flight` of them at any time, picked at random; without an end."""

    def __init__(self, shape: Shape, items: int | None = None) -> None:
        self._pick = random.Random(shape.seed)
        self._prefix = f"{shape.seed}-{shape.first}"
        end = None if items is None else shape.first + items
        self._end = end  # of tickets; None: there is none
        live = shape.in_flight if items is None else min(shape.in_flight, items)
        self._live = [[shape.first + number, 0] for number in range(live)]
        self._following = shape.first + live
        self._number = 0
        self._again: list[Pair] = []

    def at(self, instant: Instant) -> list[Pair]:
        """The next event, which happens at *instant*, unless it is held back; and one that was held back before."""
        place = int(self._pick.random() * len(self._live))
        item, step = self._live[place]
        pair = _life(f"{self._prefix}-{self._number}", item, step, instant)
        self._number += 1
        self._grow(place, step)
        found = self._disturbed(pair)
        if len(self._again) > HELD_BACK:
            found.append(self._again.pop(0))
        return found

    def rest(self) -> list[Pair]:
        """What was held back and has not been sent."""
        again, self._again = self._again, []
        return again

    def _disturbed(self, pair: Pair) -> list[Pair]:
        chance = self._pick.random()
        if chance < LATE + REPEATED:
            self._again.append(pair)
        return [] if chance < LATE else [pair]

    def _grow(self, place: int, step: int) -> None:
        live = self._live
        if step + 1 < len(STEPS):
            live[place][1] = step + 1
        elif self._end is None or self._following < self._end:
            live[place] = [self._following, 0]
            self._following += 1
        else:
            live[place] = live[-1]
            live.pop()


def lifecycles(shape: Shape, now: Instant) -> Iterator[Pair]:
    """About `shape.events` events of whole lives whose times end at *now*, so that nothing is due."""
    items = shape.events // len(STEPS)
    traffic = Traffic(shape, items)
    begin, count = now - 60 * SECOND, items * len(STEPS)
    for number in range(count):
        yield from traffic.at(begin + 60 * SECOND * number // count)
    yield from traffic.rest()


def probes(count: int, due: Instant, window: Span, first: int = 0) -> Iterator[Pair]:
    """Tickets whose first response falls due within *window* from *due* on, evenly at random; at once if it is 0.

    Two in a hundred are created twice, and of one in a hundred an update comes before the creation.
    """
    pick = random.Random(first)
    for item in range(first, first + count):
        created = due + int(window * pick.random()) - PROBE
        pair = _probe("ticket.created", item, created)
        chance = pick.random()
        if chance < LATE:
            yield _probe("ticket.updated", item, created + SECOND)
        yield pair
        if LATE < chance < LATE + REPEATED:
            yield pair


def idle(number: int, at: Instant) -> bytes:
    """A creation whose clocks fall due in some months."""
    return _event(f"ev-idle-{number}", STEPS[0], _Ticket(f"idle-{number}", number, "idle"), at)


def _life(name: str, item: int, step: int, at: Instant) -> Pair:
    ticket = _Ticket(str(item), item, f"group-{item % 31}")
    return b"default/ticket/%d" % item, _event(f"ev-{name}", STEPS[step], ticket, at)


def _probe(kind: str, item: int, at: Instant) -> Pair:
    ticket = _Ticket(f"probe-{item}", item, "probe")
    event = _event(f"{kind}-{item}", _Step(kind, "customer", "open"), ticket, at)
    return f"default/ticket/{ticket.name}".encode(), event


def _event(name: str, step: _Step, ticket: _Ticket, at: Instant) -> bytes:
    number = ticket.number
    return (
        f'{{"specversion":"1.0","id":"{name}","source":"/bench","type":"{step.kind}","subject":"{ticket.name}",'
        f'"time":"{rfc3339(at)}","datacontenttype":"application/json","data":{{"author":"{step.author}","public":true,'
        f'"attributes":{{"priority":"{PRIORITIES[number % 4]}","customer":"customer-{number % 997}",'
        f'"group":"{ticket.group}","status":"{step.status}","channel":"email","assignee":"agent-{number % 211}",'
        f'"language":"en"}}}}}}'
    ).encode()
