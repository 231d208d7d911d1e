"""How the made-up support desk writes to its topic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from random import Random

from deploy.local import traffic
from deploy.local.help_desk import Desk
from shared.cloudevents import decode_record
from shared.errors import Unavailable
from shared.events import SECOND, Event, Instant, parse_instant
from shared.kafka.connection import Outgoing

OPENED = parse_instant("2026-11-22T10:00:00Z")


class Topic:
    """Takes records until it holds *enough*, then ends the play; the first *failures* writes fail."""

    def __init__(self, stop: asyncio.Event, enough: int, failures: int = 0) -> None:
        self.events: list[Event] = []
        self.restarts = 0
        self._stop = stop
        self._enough = enough
        self._failures = failures

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        assert topic == traffic.TOPIC
        if self._failures > self.restarts:
            raise Unavailable("no broker")
        for record in records:
            self.events.append(decode_record(record.headers, record.value))
        if len(self.events) >= self._enough:
            self._stop.set()

    async def restart(self) -> None:
        self.restarts += 1


class Seconds:
    """A clock that is a second later each time it is read."""

    def __init__(self) -> None:
        self._at = OPENED

    def now(self) -> Instant:
        self._at += SECOND
        return self._at


async def play(enough: int, failures: int = 0) -> Topic:
    stop = asyncio.Event()
    topic = Topic(stop, enough, failures)
    async with asyncio.timeout(10):
        await traffic.play(Desk(Random(1), OPENED), topic, now=Seconds().now, stop=stop)
    return topic


async def test_everything_that_happens_at_the_desk_is_written_in_order() -> None:
    written = (await play(enough=100)).events
    told = Desk(Random(1), OPENED).until(written[-1].time)
    assert written == told[: len(written)]


async def test_what_could_not_be_written_is_written_again() -> None:
    topic = await play(enough=10, failures=1)
    assert topic.restarts == 1
    assert topic.events == Desk(Random(1), OPENED).until(topic.events[-1].time)[: len(topic.events)]
