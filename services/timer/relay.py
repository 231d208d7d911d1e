"""Outbox to Kafka: committed rows, in order, at least once.

After any error whose outcome is not known a new producer session is opened, and everything that was not acknowledged
is sent again with the same ids. No Kafka call is made inside a database transaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, Protocol

import structlog

from services.timer.write_set import OutboxRow, unpack_headers
from shared.errors import Refused, TooLarge, Unavailable
from shared.failpoints import failpoint
from shared.kafka.connection import Outgoing
from shared.lifecycle import pause, unless
from shared.metrics import Metrics

log = structlog.get_logger(__name__)
MOST: Final = 5_000  # rows sent at a time
KEPT: Final = 20_000  # rows in memory; what is more stays in the outbox until its turn comes
RETRY_S: Final = 0.5


class Sender(Protocol):
    """What the relay needs of a producer."""

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write records and wait for the brokers to have them."""

    async def restart(self) -> None:
        """Open a new session."""


class Outbox(Protocol):
    """What the relay needs of the database."""

    async def outbox(self, partition: int, after: int, most: int) -> list[OutboxRow]:
        """The first rows beyond a position."""


class Relay:
    """Publishes what the lane has committed."""

    def __init__(
        self, sender: Sender, outbox: Outbox, *, published: Callable[[int, int], None], metrics: Metrics
    ) -> None:
        self._sender = sender
        self._outbox = outbox
        self._published = published  # takes (partition, position): everything up to it is with the brokers
        self._metrics = metrics
        self._rows: deque[OutboxRow] = deque()
        # partition -> the position beyond which its rows are only in the outbox
        self._behind: dict[int, int] = {}
        self._left: set[int] = set()  # of these, the ones that were given more rows meanwhile
        self._arrived = asyncio.Event()
        self._progress = asyncio.Event()  # wakes its waiters whenever rows are done with

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Iterable[OutboxRow]) -> None:
        """Take committed rows; within a partition in the order of their positions."""
        for row in rows:
            if row.partition in self._behind:
                self._left.add(row.partition)
            elif len(self._rows) >= KEPT:
                self._behind[row.partition] = row.position - 1
            else:
                self._rows.append(row)
        self._arrived.set()

    def resume(self, partition: int, after: int) -> None:
        """Publish what an earlier owner left in the outbox beyond a position, and all that follows."""
        self._behind[partition] = after
        self._arrived.set()

    def drop(self, partition: int) -> None:
        """Forget a partition that another process publishes now."""
        self._rows = deque(row for row in self._rows if row.partition != partition)
        self._behind.pop(partition, None)
        self._wake()

    async def drained(self, partition: int) -> None:
        """Wait until everything of a partition is published."""
        while partition in self._behind or any(row.partition == partition for row in self._rows):
            await self._progress.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish rows as they come, until *stop* is set; what is left then stays in the outbox.

        Whoever wants the last rows published waits for `drained` before: brokers that are away are not waited for here.
        """
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                arriving = asyncio.create_task(self._arrived.wait())
                await asyncio.wait([arriving, stopping], return_when=asyncio.FIRST_COMPLETED)
                arriving.cancel()
                self._arrived.clear()
                await unless(stop, self._publish(stop))
        finally:
            stopping.cancel()

    async def _publish(self, stop: asyncio.Event) -> None:
        while (self._rows or self._behind) and not stop.is_set():
            if self._rows:
                await self._publish_some(stop)
            if self._behind and len(self._rows) < MOST:
                await self._fetch(next(iter(self._behind)), stop)

    async def _publish_some(self, stop: asyncio.Event) -> None:
        some = list(islice(self._rows, MOST))
        try:
            failpoint("before_produce")
            await self._send(some)
            failpoint("after_produce")
        except (Unavailable, Refused) as exc:
            log.warning("the relay waits", rows=len(self._rows), error=str(exc))
            await pause(RETRY_S, stop)
            await self._reconnect()
        else:
            self._done(some)

    async def _fetch(self, partition: int, stop: asyncio.Event) -> None:
        after = self._behind[partition]
        self._left.discard(partition)
        try:
            rows = await self._outbox.outbox(partition, after, MOST)
        except Unavailable as exc:
            log.warning("the relay waits for the outbox", error=str(exc))
            await pause(RETRY_S, stop)
            return
        if self._behind.get(partition) != after:
            return  # dropped meanwhile
        self._rows.extend(rows)
        if len(rows) == MOST or partition in self._left:
            self._behind[partition] = rows[-1].position if rows else after
        else:
            del self._behind[partition]
            self._wake()

    async def _send(self, rows: Sequence[OutboxRow]) -> None:
        by_topic: dict[str, list[Outgoing]] = {}
        for row in rows:
            by_topic.setdefault(row.topic, []).append(Outgoing(row.key, row.value, unpack_headers(row.headers)))
        for topic, records in by_topic.items():
            try:
                await self._sender.send(topic, records)
            except TooLarge:
                await self._send_singly(topic, records)

    async def _send_singly(self, topic: str, records: Sequence[Outgoing]) -> None:
        # One record that the broker will never take must not hold back the others of its partition.
        for record in records:
            try:
                await self._sender.send(topic, [record])
            except TooLarge as exc:
                self._metrics.dead_letters.labels(stage="relay", reason="too_large").inc()
                log.error(  # noqa: TRY400 # an expected answer of the broker, not a bug
                    "a record is too large and is left out", topic=topic, key=record.key, error=str(exc)
                )

    def _done(self, rows: Sequence[OutboxRow]) -> None:
        last: dict[int, int] = {}
        for row in rows:
            # Another one is first where the row's partition was dropped meanwhile: then its positions are not ours.
            if self._rows and self._rows[0] is row:
                self._rows.popleft()
                last[row.partition] = row.position
        for partition, position in last.items():
            self._published(partition, position)
        self._wake()

    def _wake(self) -> None:
        self._progress.set()
        self._progress.clear()

    async def _reconnect(self) -> None:
        try:
            await self._sender.restart()
        except (Unavailable, Refused) as exc:
            log.warning("Kafka does not answer", error=str(exc))
