"""Beginning with a partition and finishing with it: what its lease says becomes what is held in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from services.timer.evidence import ANSWER_S, Brokers
from services.timer.histories import held_of
from services.timer.holdings import Deadline, Holding, Holdings, kind_of
from services.timer.lease import Lease
from services.timer.write_set import ItemRow
from shared.errors import Unavailable
from shared.events import SECOND, Instant, Span
from shared.kafka.connection import Place
from shared.metrics import Metrics

log = structlog.get_logger(__name__)
SMALL: Final = 2_000  # items up to which a partition is loaded whole, so that no new item needs to be looked up
HORIZON: Final[Span] = 600 * SECOND
MOVE_HORIZON_S: Final = 120.0
LAST_WORDS_S: Final = 1.0  # how long a partition that is given up waits for Kafka


class Rows(Protocol):
    """What is read of the database when a partition begins."""

    async def partition_items(self, partition: int) -> list[ItemRow]:
        """All items."""

    async def deadlines(self, partitions: Sequence[int], horizon: Instant) -> list[Deadline]:
        """What is due up to the horizon."""

    async def outbox_end(self, partition: int) -> int:
        """The highest position in the outbox."""


class Reading(Protocol):
    """Where records come from."""

    def add(self, partition: int, offset: int) -> None:
        """Read one more partition."""

    def remove(self, partition: int) -> None:
        """Read a partition no longer."""

    def reads(self, partition: int) -> bool:
        """Whether a partition is read."""


class Publishing(Protocol):
    """Where committed rows go."""

    def resume(self, partition: int, after: int) -> None:
        """Publish what is in the outbox beyond a position."""

    def drop(self, partition: int) -> None:
        """Forget a partition."""

    async def drained(self, partition: int) -> None:
        """Wait until everything is published."""


class Feeding(Protocol):
    """Where the states of clocks are told."""

    def begin(self, partition: int, *, epoch: int, told_below: int, revision: int) -> None:
        """Begin with a partition."""

    def drop(self, partition: int) -> None:
        """Forget a partition."""


class Draining(Protocol):
    """The write lane, as far as it has to be waited for."""

    async def drained(self) -> None:
        """Wait until everything that was put in has an outcome."""


class Partitions:
    """Connects leases with what is in memory."""

    def __init__(  # noqa: PLR0913 # one argument for each thing that it connects
        self,
        *,
        holdings: Holdings,
        rows: Rows,
        brokers: Brokers,
        reading: Reading,
        relay: Publishing,
        feed: Feeding,
        lane: Draining,
        events_topic: str,
        now: Callable[[], Instant],
        metrics: Metrics,
    ) -> None:
        self._holdings = holdings
        self._rows = rows
        self._brokers = brokers
        self._reading = reading
        self._relay = relay
        self._feed = feed
        self._lane = lane
        self._events_topic = events_topic
        self._now = now
        self._metrics = metrics
        self._horizon: Instant | None = None

    async def begin(self, lease: Lease) -> None:
        """Hold a partition that was just taken: everything is loaded after its epoch was raised.

        Raises:
            Unavailable: something did not answer; nothing is held then.
        """
        partition = lease.partition
        offset = await self._offset(lease)
        holding = await self._loaded(lease)
        # Should the horizon move while these are loaded, the next move brings what lies between, long before it is due.
        deadlines = await self._rows.deadlines([partition], self._reach())
        self._holdings.partitions[partition] = holding
        self._remember(deadlines)
        self._relay.resume(partition, lease.published_through)
        self._feed.begin(partition, epoch=lease.epoch, told_below=lease.told_below, revision=lease.revision)
        if offset is not None:
            holding.folded_to = offset
            self._reading.add(partition, offset)
        self._metrics.epoch.labels(partition=partition).set(lease.epoch)

    async def _loaded(self, lease: Lease) -> Holding:
        partition = lease.partition
        holding = Holding(partition, lease.epoch, revision=lease.revision, next_offset=lease.next_offset)
        holding.published_through = lease.published_through
        holding.item_count = lease.items
        holding.loss_at = lease.loss_at
        holding.open_clocks.update(lease.open_clocks)
        holding.outbox_position = max(lease.published_through, await self._rows.outbox_end(partition))
        if lease.items <= SMALL:
            for row in await self._rows.partition_items(partition):
                holding.use(held_of(row))
            holding.complete = True
        return holding

    def trouble(self) -> str | None:
        """Which of our partitions are not read, for a person; None when all are."""
        unread = [str(partition) for partition in self._holdings.partitions if not self._reading.reads(partition)]
        if not unread:
            return None
        return f"the log has lost what was next of partitions {', '.join(unread)}: see `./plazo resume`"

    def lose(self, partition: int) -> None:
        """Drop everything of a partition that another process owns now."""
        self._metrics.fenced.labels(service="timer").inc()
        self._reading.remove(partition)
        self._relay.drop(partition)
        self._feed.drop(partition)
        self._holdings.drop(partition)
        self._metrics.epoch.labels(partition=partition).set(0)

    async def finish(self, partition: int) -> None:
        """Let a partition go at a clean stop: what was folded is committed and published first."""
        self._reading.remove(partition)
        await self._lane.drained()
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self._relay.drained(partition)
        except TimeoutError:
            log.warning("records stay in the outbox for the next owner", partition=partition)
        self._relay.drop(partition)
        self._feed.drop(partition)
        self._holdings.drop(partition)
        self._metrics.epoch.labels(partition=partition).set(0)

    async def move_horizon(self) -> float:
        """Let deadlines in memory reach further; the seconds until the next move.

        First the horizon is raised, so that what is folded from now on is added; then the write sets folded before
        are waited for, so that the database shows the others; only then it is asked, without a lower bound.
        """
        horizon = self._raise_horizon()
        try:
            await self._lane.drained()
            self._remember(await self._rows.deadlines(list(self._holdings.partitions), horizon))
        except Unavailable as exc:
            log.warning("the horizon of deadlines stays", error=str(exc))
            return 1.0
        return MOVE_HORIZON_S

    def _reach(self) -> Instant:
        return self._raise_horizon() if self._horizon is None else self._horizon

    def _raise_horizon(self) -> Instant:
        self._horizon = horizon = self._now() + HORIZON
        for deadlines in self._holdings.deadlines.values():
            deadlines.horizon = horizon
        return horizon

    def _remember(self, entries: Sequence[Deadline]) -> None:
        by_kind: dict[str, list[Deadline]] = {kind: [] for kind in self._holdings.deadlines}
        for entry in entries:
            if entry[1] in self._holdings.partitions:  # else it was lost meanwhile
                by_kind[kind_of(entry[2])].append(entry)
        for kind, some in by_kind.items():
            self._holdings.deadlines[kind].extend(some)

    async def _offset(self, lease: Lease) -> int | None:
        """Where to read on; None when the log does not hold that place: then a person has to decide."""
        place = Place(self._events_topic, lease.partition)
        try:
            async with asyncio.timeout(ANSWER_S):  # the other leases want to be renewed
                beginnings, ends = await asyncio.gather(self._brokers.beginnings([place]), self._brokers.ends([place]))
                beginning, end = beginnings[place], ends[place]
        except TimeoutError as exc:
            raise Unavailable(f"Kafka does not say where {place.topic}/{place.partition} begins and ends") from exc
        if lease.next_offset is None:
            return beginning
        if beginning <= lease.next_offset <= end:
            return lease.next_offset
        log.error(
            "the partition is not read: its log does not hold the stored offset",
            partition=lease.partition, next_offset=lease.next_offset, beginning=beginning, end=end,
        )  # fmt: skip
        return None
