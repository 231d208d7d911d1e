"""Two timer processes that share tables and topics, in memory: what the stateful test drives.

Everything of the timer itself is real: folding, ledger, write lane, relay, taking over partitions. Kafka and PostgreSQL
are the fakes that the contract suites hold to the real ones. Time passes only when it is told to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from services.timer.evidence import Evidence
from services.timer.handlers import Timer
from services.timer.holdings import Holdings
from services.timer.lane import Lane
from services.timer.partitions import Partitions
from services.timer.relay import Relay
from services.timer.rulebook import Rulebook
from services.timer.write_set import WriteSet
from shared.events import Event, Instant, Topics
from shared.kafka.connection import Outgoing, Place, Record
from shared.metrics import Metrics
from shared.recounts import encode_event
from tests.fakes import FakeRecord
from tests.fakes_timer import FakeBrokers, FakeLeases, FakeParking, FakeSender, FakeStore, Tables, Time

PARTITIONS: Final = 2
TOPICS: Final = Topics()


class Ignored:
    """What a process also tells of its partitions, and this world does not look at."""

    def add(self, partition: int, offset: int) -> None:
        """Read a partition; the world hands its records out itself."""

    def remove(self, partition: int) -> None:
        """Read it no longer."""

    def reads(self, partition: int) -> bool:
        """All are read."""
        return True

    def begin(self, partition: int, *, epoch: int, told_below: int, revision: int) -> None:
        """Tell the states of its clocks."""

    def drop(self, partition: int) -> None:
        """Tell them no longer."""


class World:
    """What the processes share, and what has happened so far."""

    def __init__(self, rulebook: Rulebook, start: Instant) -> None:
        self.rulebook = rulebook
        self.time = Time(start)
        self.tables = Tables(self.time, PARTITIONS)
        self.leases = FakeLeases(self.tables)
        self.log: list[list[Record]] = [[] for _ in range(PARTITIONS)]  # sla.events.v1
        self.topic: list[tuple[str, Outgoing]] = []  # what was published
        self.events: list[Event] = []  # what happened
        self.upstream: list[Event] = []  # of these, what has not reached the log yet

    async def look(self) -> None:
        """Learn of new versions; here every process has the same rulebook at any time."""

    def happen(self, event: Event) -> None:
        """Let something happen now, of which the log does not know yet."""
        self.events.append(event)
        self.upstream.append(event)

    def deliver(self, place: int) -> None:
        """Let an event that happened reach the log."""
        self.append(self.upstream.pop(place))

    def append(self, event: Event) -> None:
        """Write an event to its partition of the log, for the first time or again."""
        key, value, headers = encode_event(event)
        partition = crc32(key) % PARTITIONS
        log = self.log[partition]
        log.append(FakeRecord(value, headers, TOPICS.events, partition, len(log), key=key))


class Process:
    """One timer process; it believes in its partitions until the database tells it otherwise."""

    def __init__(self, name: str, world: World, *, keep_items: int = 2) -> None:
        self.name = name
        self.world = world
        self.holdings = Holdings()
        self.store = FakeStore(world.tables)
        self.sender = FakeSender()
        self.sender.sent = world.topic
        self.metrics = Metrics(f"timer-{name}", "test")
        self.lane = Lane(self.store, committed=self._committed, lost=self._lose, topics=TOPICS)
        self.relay = Relay(
            self.sender,
            self.store,
            FakeParking(),
            breaches="sla.breaches.v1",
            published=self._published,
            metrics=self.metrics,
        )
        self.partitions = Partitions(
            holdings=self.holdings,
            rows=self.store,
            brokers=FakeBrokers(held={Place(TOPICS.events, number): 2**40 for number in range(PARTITIONS)}),
            reading=Ignored(),
            relay=self.relay,
            feed=Ignored(),
            lane=self.lane,
            events_topic=TOPICS.events,
            now=world.time,
            metrics=self.metrics,
        )
        self.timer = Timer(
            holdings=self.holdings,
            items=self.store,
            look=world.look,
            lane=self.lane,
            rulebook=lambda: world.rulebook,
            topics=TOPICS,
            now=world.time,
            metrics=self.metrics,
            keep_items=keep_items,
            awake=2,
        )
        self._stop, self._leaving = asyncio.Event(), asyncio.Event()
        self._tasks = [
            asyncio.create_task(self.lane.run(self._stop, self._leaving)),
            asyncio.create_task(self.relay.run(self._stop)),
        ]

    async def take(self, partition: int) -> None:
        """Take a partition, whoever has it: its lease is taken to have run out."""
        self.world.tables.leases[partition].expires_at = 0
        self.world.time.pass_s(0.000_001)
        lease = await self.world.leases.take(self.name, partition)
        assert lease is not None
        if partition in self.holdings.partitions:
            self.partitions.lose(partition)
        await self.partitions.begin(lease)

    async def fold(self, most: int) -> None:
        """Read up to *most* records of each partition that it believes in, and commit what they make."""
        read = [
            (holding, self.world.log[partition][(begin := holding.next_offset or 0) : begin + most])
            for partition, holding in self.holdings.partitions.items()
        ]
        await self.timer.prepare(read)
        for holding, records in read:
            if records:
                await self.timer.on_batch(holding, records)
                holding.folded_to = holding.next_offset or 0
        await self.close()

    async def close(self) -> None:
        """Commit what is folded; returns once the outcome is known."""
        await self.timer.close()
        await self.lane.drained()

    @property
    def has_read_everything(self) -> bool:
        """Whether nothing is upstream, and every partition that it believes in is folded to its end."""
        ends = (
            (holding.folded_to, len(self.world.log[number])) for number, holding in self.holdings.partitions.items()
        )
        return not self.world.upstream and all(folded >= end for folded, end in ends)

    async def fire(self) -> None:
        """Publish what is due by now, on complete evidence or, where some is missing, saying so."""
        evidence = Evidence(self.world.time(), not self.has_read_everything)
        await self.close()
        await self.partitions.move_horizon()
        for deadlines in self.holdings.deadlines.values():
            await self.timer.fire_due(deadlines.take(evidence.through, 1_000), evidence)
        await self.lane.drained()

    async def publish(self) -> None:
        """Wait until everything that is committed is on the topic."""
        for partition in list(self.holdings.partitions):
            await self.relay.drained(partition)

    async def end(self) -> None:
        """End as a killed process does: from now on nothing of it reaches the database."""
        self.store.down = True
        self._leaving.set()
        self._stop.set()
        await asyncio.gather(*self._tasks)

    def _committed(self, write_set: WriteSet) -> None:
        self.relay.add(write_set.outbox)
        self.holdings.gone(write_set.removed)

    def _lose(self, partition: int) -> None:
        self.partitions.lose(partition)

    def _published(self, partition: int, position: int) -> None:
        holding = self.holdings.partitions.get(partition)
        if holding is not None:
            holding.published_through = max(holding.published_through, position)


def distinct_records(records: Sequence[tuple[str, Outgoing]]) -> dict[bytes, Outgoing]:
    """CloudEvent id -> record, of what is on the topic of breaches; a repeat must be the same to the byte."""
    found: dict[bytes, Outgoing] = {}
    for topic, record in records:
        if topic == TOPICS.breaches:
            first = found.setdefault(dict(record.headers)["ce_id"], record)
            assert (first.key, first.value, first.headers) == (record.key, record.value, record.headers)
    return found
