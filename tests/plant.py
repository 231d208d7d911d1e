"""A whole Plazo as processes of its own, on the broker and the database of the test run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.ports import free_port
from services.timer.clock_record import clock_records
from services.timer.write_set import ItemRow
from shared.breach_records import SILENCE, SilenceRecord, decode_published
from shared.db import Database
from shared.events import BreachEvent, ClockState
from shared.kafka.connection import Connection, Outgoing
from shared.kafka.producer import Producer
from tests.processes import PlazoProcess
from tests.servers import Topics

PARTITIONS = 8
PATIENCE_S = 120.0


@dataclass
class Published:
    """A record of the breach topic."""

    event_id: str
    type: str
    value: bytes
    event: BreachEvent


@dataclass
class Plant:
    """Everything that one end-to-end test runs."""

    topics: Topics
    database_url: str
    folder: Path
    extra: dict[str, str] = field(default_factory=dict)
    database: Database = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(self.database_url, size=2)

    @property
    def prefix(self) -> str:
        """What the names of this plant's topics begin with."""
        return f"{self.topics.prefix}."

    def process(self, service: str, name: str | None = None) -> PlazoProcess:
        """A service that is not started yet; *name* tells several apart."""
        name = name or service
        environment = {
            "KAFKA_BOOTSTRAP": self.topics.broker.bootstrap,
            "DATABASE_URL": self.database_url,
            "TOPIC_PREFIX": self.prefix,
            "UPSTREAM_TOPICS": self.topics.name("helpdesk"),
            "INGEST_GROUP": self.topics.name("ingest"),
            "TIMER_GROUP": self.topics.name("timer"),
            "NOTIFIER_GROUP": self.topics.name("notifier"),
            "POLICIES": str(self.folder / "policies.yaml"),
            "HTTP_PORT": str(free_port()),
            "INSTANCE": name,
            "INGEST_SESSION_TIMEOUT_MS": "6000",
            "WEBHOOK_ALLOW": "127.0.0.1",
            **self.extra,
        }
        return PlazoProcess([service], environment, self.folder / f"{name}.log")

    def create_topics(self) -> None:
        """Make every topic, empty."""
        self.topics.create("helpdesk", 4)
        self.topics.create("sla.events.v1", PARTITIONS)
        for name in ("sla.intake.v1", "sla.breaches.v1", "sla.clocks.v1", "sla.deadletters.v1"):
            self.topics.create(name, 4)

    async def send(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Write events upstream as a ticketing system would."""
        producer = Producer(Connection(self.topics.broker.bootstrap), "helpdesk")
        await producer.start()
        try:
            await producer.send(self.topics.name("helpdesk"), [Outgoing(key, value) for key, value in pairs])
        finally:
            await producer.stop()

    async def folded(self) -> int:
        """How many events are folded and committed."""
        async with self.database.raw("read positions") as connection:
            return int(await connection.fetchval("SELECT coalesce(sum(next_offset), 0) FROM timer.lease"))

    async def has_folded(self, events: int) -> bool:
        """Whether that many events are folded and committed."""
        return await self.folded() >= events

    async def overdue(self) -> int:
        """How many items have something that should have been published."""
        async with self.database.raw("read deadlines") as connection:
            return int(
                await connection.fetchval(
                    "SELECT count(*) FROM timer.item"
                    " WHERE next_due < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 1000000"
                )
            )

    async def waiting(self) -> int:
        """How many committed records are not yet known to be published."""
        async with self.database.raw("read the outbox") as connection:
            return int(await connection.fetchval("SELECT count(*) FROM timer.outbox"))

    async def settled(self, events: int) -> None:
        """Wait until *events* are folded and everything that is due by now is published."""

        async def all_done() -> bool:
            return await self.folded() >= events and not await self.overdue() and not await self.waiting()

        await until(all_done, f"{events} events to be folded and published")

    async def fed(self) -> bool:
        """Whether the topic of clocks has everything that is committed."""
        async with self.database.raw("read how far the feed is") as connection:
            return not await connection.fetchval("SELECT count(*) FROM timer.lease WHERE told_below < revision")

    async def published(self) -> list[Published]:
        """Everything on the breach topic that is about clocks, in order per partition."""
        records = await self._read("sla.breaches.v1")
        return [_published(record.headers, record.value) for record in records if _type_of(record) != SILENCE]

    async def silences(self) -> list[SilenceRecord]:
        """What the breach topic tells of sources, without repeats: these have the same id and say the same."""
        records = [record for record in await self._read("sla.breaches.v1") if _type_of(record) == SILENCE]
        found = [decode_published(record.headers, record.value) for record in records]
        distinct = {record.id: record for record in found if isinstance(record, SilenceRecord)}
        assert all(record == distinct[record.id] for record in found)
        return list(distinct.values())

    async def dead_letters(self) -> int:
        """How many records nobody could use."""
        return len(await self._read("sla.deadletters.v1"))

    async def clocks(self) -> dict[str, ClockState]:
        """clock id -> its present state, as a reader of the compacted topic finds it."""
        found: dict[str, ClockState] = {}
        for record in await self._read("sla.clocks.v1"):
            state = msgspec.json.decode(record.value, type=ClockState) if record.value is not None else None
            name = record.key.decode()
            if state is None:
                found.pop(name, None)
            elif name not in found or found[name].revision <= state.revision:
                found[name] = state
        return found

    async def stored_clocks(self) -> dict[str, ClockState]:
        """The same by the committed rows of the items."""
        async with self.database.raw("read items") as connection:
            rows = await connection.fetch("SELECT * FROM timer.item")
        records = [record for row in rows for record in clock_records(ItemRow(*row)) if record.value is not None]
        states = [msgspec.json.decode(record.value or b"", type=ClockState) for record in records]
        return {state.clock_id: state for state in states}

    async def _read(self, name: str) -> list[Any]:
        topic = self.topics.name(name)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.topics.broker.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            places = [TopicPartition(topic, partition) for partition in range(4)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            found: list[Any] = []
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += records
            return found
        finally:
            await consumer.stop()


def _type_of(record: Any) -> str:
    kind: str = dict(record.headers)["ce_type"].decode()
    return kind


def _published(headers: Iterable[tuple[str, bytes]], value: bytes) -> Published:
    named = dict(headers)
    event = msgspec.json.decode(value, type=BreachEvent)
    return Published(named["ce_id"].decode(), named["ce_type"].decode(), value, event)


async def until(condition: Callable[[], Awaitable[bool]], what: str, within_s: float = PATIENCE_S) -> None:
    """Wait until *condition* holds.

    Raises:
        AssertionError: the time is over.
    """
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, f"waited {within_s} s for {what}"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def plant(topics: Topics, database_url: str, folder: Path, policies: str) -> AsyncIterator[Plant]:
    """A plant whose topics exist and whose services are not started."""
    (folder / "policies.yaml").write_text(policies)
    made = Plant(topics, database_url, folder)
    made.create_topics()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(made.database.close)
        yield made
