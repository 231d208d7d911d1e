"""The timer's surroundings in memory: tables, brokers, producer. Contract suites hold them to the real ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.timer.lease import Crew, Lease
from services.timer.write_set import HearingRow, HistoryRow, ItemRow, OutboxRow, SourceRow, WriteSet
from shared.db import BadData
from shared.errors import Fenced, PlazoError, TooLarge, Unavailable
from shared.events import SECOND, Instant
from shared.kafka.connection import Outgoing, Place

LEASE = 3 * SECOND


async def soon(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """Let the loop run until *condition* holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 # it is about state of which no event tells
            await asyncio.sleep(0)


@dataclass
class Time:
    """A clock that moves when it is told to."""

    at: Instant = 1_767_600_000 * SECOND

    def __call__(self) -> Instant:
        return self.at

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.at += round(seconds * SECOND)


@dataclass
class _LeaseRow:
    partition: int
    owner: str | None = None
    epoch: int = 0
    expires_at: Instant = 0
    revision: int = 0
    next_offset: int | None = None
    published_through: int = 0
    items: int = 0
    open_clocks: Mapping[str, int] = field(default_factory=dict)
    told_below: int = 0
    loss_at: Instant | None = None


class Tables:
    """The rows that both stores below work on."""

    def __init__(self, now: Callable[[], Instant], partitions: int = 0) -> None:
        self.now = now
        self.members: dict[str, tuple[Instant, bool]] = {}  # when it was seen, and whether Kafka answers it
        self.leases: dict[int, _LeaseRow] = {number: _LeaseRow(number) for number in range(partitions)}
        self.items: dict[tuple[int, str], ItemRow] = {}
        self.history: list[HistoryRow] = []
        self.outbox: dict[tuple[int, int], OutboxRow] = {}
        self.heard: dict[tuple[int, str, str], Instant] = {}
        self.sources: dict[tuple[int, str, str], SourceRow] = {}
        self.hearings: dict[int, HearingRow] = {}


class FakeLeases:
    """`LeaseStore` in memory."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def now(self) -> Instant:
        """The clock that all processes share."""
        return self._tables.now()

    async def beat(self, instance: str, *, in_touch: bool) -> Crew:
        """Say that this process lives, and whether Kafka answers it; how many do."""
        now, members = self._tables.now(), self._tables.members
        members[instance] = now, in_touch
        live = [is_in_touch for seen, is_in_touch in members.values() if seen > now - LEASE]
        return Crew(len(live), sum(live))

    async def leave(self, instance: str) -> None:
        """Say that this process is gone, and free its leases."""
        self._tables.members.pop(instance, None)
        for row in self._tables.leases.values():
            if row.owner == instance:
                row.owner, row.expires_at = None, 0

    async def leases(self) -> list[Lease]:
        """Every partition's lease, in partition order."""
        return [self._lease(row) for _, row in sorted(self._tables.leases.items())]

    async def renew(self, instance: str, epochs: Mapping[int, int]) -> set[int]:
        """Renew; the partitions that are still ours."""
        kept = set()
        for partition, epoch in epochs.items():
            row = self._tables.leases[partition]
            if (row.owner, row.epoch) == (instance, epoch):
                row.expires_at = self._tables.now() + LEASE
                kept.add(partition)
        return kept

    async def take(self, instance: str, partition: int) -> Lease | None:
        """Take a partition that is free, expired or was ours."""
        row = self._tables.leases[partition]
        if row.owner not in (None, instance) and row.expires_at >= self._tables.now():
            return None
        row.owner, row.epoch, row.expires_at = instance, row.epoch + 1, self._tables.now() + LEASE
        return self._lease(row)

    async def release(self, instance: str, partition: int, epoch: int) -> None:
        """Give a partition back."""
        row = self._tables.leases[partition]
        if (row.owner, row.epoch) == (instance, epoch):
            row.owner, row.expires_at = None, 0

    async def install(self, partitions: int) -> int:
        """Create the leases on the first start; how many there are."""
        if not self._tables.leases:
            self._tables.leases = {number: _LeaseRow(number) for number in range(partitions)}
        return len(self._tables.leases)

    def _lease(self, row: _LeaseRow) -> Lease:
        columns = {name: getattr(row, name) for name in Lease._fields if name != "expired"}
        return Lease(**columns, expired=row.expires_at < self._tables.now())


class FakeStore:
    """`TimerStore` in memory."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.written: list[WriteSet] = []
        self.begun = 0  # writes, whatever became of them
        self.asked: list[list[tuple[int, str]]] = []  # each time, the items that were wanted, sorted
        # What befalls the next writes: "lost" before anything is written, "unanswered" after everything is.
        self.troubles: list[str] = []
        self.refuses: set[str] = set()  # keys of items that cannot be stored
        self.down = False

    async def write(self, write_set: WriteSet) -> None:
        """Write everything, or nothing."""
        self.begun += 1
        trouble = self.troubles.pop(0) if self.troubles else ""
        self._answer(fails=trouble == "lost")
        rows = [self._tables.leases.get(move.partition) for move in write_set.moves]
        for move, row in zip(write_set.moves, rows, strict=True):
            if row is None or (row.epoch, row.revision) != (move.epoch, move.revision):
                raise Fenced("a lease is not ours")
        await self.try_out(write_set)
        for move in write_set.moves:
            row = self._tables.leases[move.partition]
            row.revision, row.next_offset, row.items = move.revision + 1, move.next_offset, move.items
            row.published_through = max(row.published_through, move.published_through)
            row.open_clocks = json.loads(move.open_clocks)
        self._tables.items.update({(item.partition, item.key): item for item in write_set.items})
        rewritten = {(row.partition, row.key) for row in write_set.rewritten}
        self._tables.history[:] = [row for row in self._tables.history if (row.partition, row.key) not in rewritten]
        self._tables.history.extend(write_set.history + write_set.rewritten)
        self._tables.history[:] = [row for row in self._tables.history if row[:2] not in write_set.removed]
        for name in write_set.removed:
            self._tables.items.pop(name, None)
        self._tables.outbox.update({(row.partition, row.position): row for row in write_set.outbox})
        for partition, tenant, source, at in write_set.heard:
            key = (partition, tenant, source)
            self._tables.heard[key] = max(at, self._tables.heard.get(key, at))
        self._tables.sources.update({row[:3]: row for row in write_set.sources})
        self._tables.hearings.update({row.partition: row for row in write_set.hearings})
        self.written.append(write_set)
        self._answer(fails=trouble == "unanswered")

    async def try_out(self, write_set: WriteSet) -> None:
        """Write the rows, and take them back."""
        self._answer()
        there = {row[:3] for row in self._tables.history} & {row[:3] for row in write_set.history}
        there |= {row[:3] for row in write_set.history} & {row[:3] for row in write_set.rewritten}
        if there or any((row.partition, row.position) in self._tables.outbox for row in write_set.outbox):
            raise BadData("a row is there already")
        refused = self.refuses & ({row.key for row in write_set.items} | {row.key for row in write_set.history})
        if refused:
            raise BadData(f"{refused} cannot be stored")

    async def standing(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        """partition -> (epoch, revision)."""
        self._answer()
        rows = [row for partition in partitions if (row := self._tables.leases.get(partition)) is not None]
        return {row.partition: (row.epoch, row.revision) for row in rows}

    async def items(self, keys: Sequence[tuple[int, str]]) -> list[ItemRow]:
        """The rows that exist."""
        self._answer()
        self.asked.append(sorted(keys))
        return [row for key in keys if (row := self._tables.items.get(key)) is not None]

    async def at_rest(self, partition: int, after: str, most: int) -> list[ItemRow]:
        """The first rows behind a key in which nothing is due."""
        self._answer()
        rows = sorted((row for row in self._tables.items.values() if row.partition == partition), key=lambda r: r.key)
        return [row for row in rows if row.key > after and row.next_due is None][:most]

    async def partition_items(self, partition: int) -> list[ItemRow]:
        """All rows of a partition."""
        self._answer()
        return [row for (number, _), row in self._tables.items.items() if number == partition]

    async def histories(self, keys: Sequence[tuple[int, str]]) -> list[tuple[int, str, bytes]]:
        """The committed history rows, the oldest first for an item."""
        self._answer()
        rows = [row for row in self._tables.history if (row.partition, row.key) in keys]
        return [(row.partition, row.key, row.events) for row in sorted(rows, key=lambda row: row[:3])]

    async def deadlines(self, partitions: Sequence[int], horizon: Instant) -> list[tuple[Instant, int, str]]:
        """What is due up to the horizon."""
        self._answer()
        rows = [row for row in self._tables.items.values() if row.partition in partitions]
        return [
            (row.next_due, row.partition, row.key)
            for row in rows
            if row.next_due is not None and row.next_due <= horizon
        ]

    async def outbox(self, partition: int, after: int, most: int) -> list[OutboxRow]:
        """The first rows beyond a position."""
        self._answer()
        rows = [row for row in self._tables.outbox.values() if row.partition == partition and row.position > after]
        return sorted(rows, key=lambda row: row.position)[:most]

    async def outbox_end(self, partition: int) -> int:
        """The highest position."""
        self._answer()
        return max((position for number, position in self._tables.outbox if number == partition), default=0)

    async def trim_outbox(self, published: Mapping[tuple[int, int], int]) -> None:
        """Delete what was published."""
        self._answer()
        for (partition, epoch), position in published.items():
            row = self._tables.leases[partition]
            if row.epoch == epoch:
                row.published_through = max(row.published_through, position)
                for place in [p for p in self._tables.outbox if p[0] == partition and p[1] <= row.published_through]:
                    del self._tables.outbox[place]

    def _answer(self, *, fails: bool = False) -> None:
        if self.down or fails:
            raise Unavailable("the database does not answer")


@dataclass
class FakeBrokers:
    """What brokers hold: `Offsets` in memory, of one group."""

    held: dict[Place, int] = field(default_factory=dict)  # ends
    read: dict[Place, int] = field(default_factory=dict)  # what the group has committed
    begin_at: dict[Place, int] = field(default_factory=dict)
    down: PlazoError | None = None
    shown: dict[Place, int] = field(default_factory=dict)  # to lag tools

    async def show(self, _group: str, offsets: Mapping[Place, int]) -> None:
        """Let lag tools see offsets."""
        self._answer()
        self.shown |= offsets

    async def counts(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions each topic has."""
        self._answer()
        return {topic: sum(place.topic == topic for place in self.held) for topic in topics}

    async def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """End offsets."""
        self._answer()
        return {place: self.held[place] for place in places if place in self.held}

    async def beginnings(self, places: Sequence[Place]) -> dict[Place, int]:
        """First offsets."""
        self._answer()
        return {place: self.begin_at.get(place, 0) for place in places}

    async def committed(self, _group: str, places: Sequence[Place]) -> dict[Place, int | None]:
        """What the group has committed."""
        self._answer()
        return {place: self.read.get(place) for place in places}

    def _answer(self) -> None:
        if self.down is not None:
            raise self.down


class FakeSender:
    """A producer in memory."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Outgoing]] = []
        self.sessions = 1
        self.begun = 0  # sends, whatever became of them
        self.troubles: list[str] = []  # of the next sends: "lost" before anything is written, "unanswered" after all is
        self.largest = 1_000_000
        self.refusing: set[str] = set()  # topics that take nothing
        self.is_down = False
        self.tries = 0
        self.delivered = asyncio.Event()
        self.gate = asyncio.Event()  # sends wait while it is not set
        self.gate.set()

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write records."""
        self.begun += 1
        await self.gate.wait()
        some = list(records)
        self.tries += 1
        trouble = self.troubles.pop(0) if self.troubles else ""
        if trouble == "lost" or self.is_down or topic in self.refusing:
            raise Unavailable("the brokers do not answer")
        if any(len(record.value or b"") > self.largest for record in some):
            raise TooLarge("a record is too large")
        self.sent += [(topic, record) for record in some]
        self.delivered.set()
        if trouble == "unanswered":
            raise Unavailable("the brokers do not answer")

    async def restart(self) -> None:
        """Open a new session."""
        if self.is_down:
            raise Unavailable("the brokers do not answer")
        self.sessions += 1


class FakeParking:
    """The table of parked records in memory."""

    def __init__(self) -> None:
        self.rows: list[OutboxRow] = []
        self.reasons: list[str] = []

    async def park(self, rows: Sequence[OutboxRow], reason: str) -> None:
        """Keep rows."""
        self.rows += rows
        self.reasons.append(reason)
