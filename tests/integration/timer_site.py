"""A timer on the real broker and database, with the test in the place of ingest."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.timer.__main__ import build
from services.timer.service import TimerService
from services.timer.settings import Settings
from shared.cloudevents import encode_record
from shared.configuration import load
from shared.events import SECOND, Event, Instant
from shared.kafka.connection import Connection, Outgoing, Place
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer
from shared.lifecycle import Signals
from shared.metrics import Metrics
from tests.factories import ticket_event
from tests.plant import PARTITIONS, Plant, plant
from tests.servers import Broker, Databases, Topics

POLICIES = """
calendars:
  always: {time_zone: UTC, hours: {mon-sun: ["00:00-24:00"]}}
policies:
  - name: quick
    applies_to: {kind: ticket}
    calendar: always
    targets: {first_response: 10s}
"""
TARGET_S = 10.0


@dataclass
class Lease:
    """Who owns a partition, and under which epoch."""

    owner: str | None
    epoch: int


@dataclass
class Site:
    """One installation whose upstream is empty: ingest has read all there is."""

    plant: Plant
    producer: Producer
    offsets: Offsets

    @property
    def events_topic(self) -> str:
        """The topic that the timer reads."""
        return f"{self.plant.prefix}sla.events.v1"

    async def play_ingest(self) -> None:
        """Commit, as ingest does, that there is nothing upstream."""
        nothing = [Place(f"{self.plant.prefix}sla.intake.v1", number) for number in range(4)]
        nothing += [Place(self.plant.topics.name("helpdesk"), number) for number in range(4)]
        await self.offsets.require({self.events_topic, *(place.topic for place in nothing)})
        await self.offsets.show(self.plant.topics.name("ingest"), dict.fromkeys(nothing, 0))

    async def send(self, *events: Event) -> None:
        """Publish canonical events, as ingest does."""
        records = [Outgoing(key, value, headers) for key, value, headers in map(encode_record, events)]
        await self.producer.send(self.events_topic, records)

    def environment(self, name: str, **changes: str) -> dict[str, str]:
        """The settings of a timer of this name."""
        return {**self.plant.process("timer", name).env, **changes}

    def service(self, name: str, **changes: str) -> TimerService:
        """A timer in this process, not started yet."""
        return build(load(Settings, self.environment(name, **changes)), Metrics("test", "test"))

    async def leases(self) -> list[Lease]:
        """The lease of each partition."""
        async with self.plant.database.raw("read leases") as connection:
            rows = await connection.fetch("SELECT owner, epoch FROM timer.lease ORDER BY partition")
        return [Lease(row["owner"], row["epoch"]) for row in rows]

    async def owners(self) -> set[str | None]:
        """Who owns any partition."""
        return {lease.owner for lease in await self.leases()}

    async def owned_by(self, *names: str) -> float:
        """Wait until these own everything between them, each its share; the seconds that it took."""
        begun = time.monotonic()
        share = PARTITIONS // len(names)

        async def is_so() -> bool:
            owners = [lease.owner for lease in await self.leases()]
            return bool(owners) and all(owners.count(name) == share for name in names)

        await until(is_so, f"{names} to own the partitions")
        return time.monotonic() - begun

    async def types(self) -> list[str]:
        """The types of what was published, without repeats."""
        found = {record.event_id: record.type for record in await self.plant.published()}
        return list(found.values())

    async def published(self, count: int) -> None:
        """Wait until so many events were published."""

        async def is_so() -> bool:
            return len(await self.types()) >= count

        await until(is_so, f"{count} published events")


async def until(condition: Callable[[], Awaitable[bool]], what: str, within_s: float = 20.0) -> None:
    """Wait until *condition* holds."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, f"waited {within_s} s for {what}"
        await asyncio.sleep(0.02)


def now() -> Instant:
    """The wall's time."""
    return time.time_ns() // 1000


def ticket(name: str, ago_s: float = 0.0, **changes: Any) -> Event:
    """The creation of a ticket so many seconds ago."""
    return ticket_event(name, time=now() - round(ago_s * SECOND), **changes)


def answer(name: str, ago_s: float = 0.0) -> Event:
    """An agent's reply to a ticket."""
    return ticket(name, ago_s, number=1, type="ticket.agent_replied")


@asynccontextmanager
async def site(broker: Broker, databases: Databases, folder: Path, policies: str = POLICIES) -> AsyncIterator[Site]:
    """Topics and a database of its own."""
    name = f"timer-{secrets.token_hex(4)}"
    connection = Connection(broker.bootstrap)
    producer, offsets = Producer(connection, "test"), Offsets(connection, "test")
    with databases.fresh(name) as url:
        async with plant(Topics(broker, name), url, folder, policies) as made:
            await producer.start()
            try:
                opened = Site(made, producer, offsets)
                await opened.play_ingest()
                yield opened
            finally:
                await producer.stop()
                await offsets.stop()


@asynccontextmanager
async def running(service: TimerService) -> AsyncIterator[Signals]:
    """A timer at work in this process, stopped cleanly at the end."""
    signals = Signals()
    try:
        await service.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(service.run(signals))
            try:
                yield signals
            finally:
                signals.stop.set()
    finally:
        await service.stop()
