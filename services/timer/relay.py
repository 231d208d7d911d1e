"""Outbox to Kafka: committed rows, in order, at least once.

After any error whose outcome is not known a new producer session is opened, and everything that was not acknowledged
is sent again with the same ids. No Kafka call is made inside a database transaction.

A record that the brokers will never take is parked in a table, with the reason: it is not lost, and holds up no others.
So are records of a topic that takes nothing while another one does, but for breaches: these are waited for.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
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
TRIES: Final = 3  # after which a topic that takes nothing, while another one does, is waited for no longer


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


class Parking(Protocol):
    """Where records are put that the brokers do not take."""

    async def park(self, rows: Sequence[OutboxRow], reason: str) -> None:
        """Keep rows of the outbox for a person to look at."""


class Relay:
    """Publishes what the lane has committed."""

    def __init__(  # noqa: PLR0913 # one argument for each thing that it connects
        self,
        sender: Sender,
        outbox: Outbox,
        parking: Parking,
        *,
        breaches: str,
        published: Callable[[int, int], None],
        metrics: Metrics,
    ) -> None:
        self._sender = sender
        self._outbox = outbox
        self._parking = parking
        self._breaches = breaches  # the topic that is waited for, however long
        self._published = published  # takes (partition, position): everything up to it is with the brokers or parked
        self._metrics = metrics
        self._rows: deque[OutboxRow] = deque()
        # partition -> the position beyond which its rows are only in the outbox
        self._behind: dict[int, int] = {}
        self._left: set[int] = set()  # of these, the ones that were given more rows meanwhile
        self._settled: set[tuple[int, int]] = set()  # (partition, position) of the first rows that need nothing more
        self._failures: Counter[str] = Counter()  # topic -> how often in a row it took nothing while another one did
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
        self._settled = {place for place in self._settled if place[0] != partition}
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
            if not await self._reconnect():
                self._failures.clear()  # no topic is to blame
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
        by_topic: dict[str, list[OutboxRow]] = {}
        for row in rows:
            if not self._settled or row.place not in self._settled:
                by_topic.setdefault(row.topic, []).append(row)
        failed: dict[str, Unavailable | Refused] = {}
        for topic in sorted(by_topic, key=self._breaches.__ne__):  # breaches first
            try:
                await self._send_topic(topic, by_topic[topic])
            except (Unavailable, Refused) as exc:
                failed[topic] = exc
            else:
                del self._failures[topic]
        if failed:
            self._settled.update(row.place for topic in by_topic.keys() - failed.keys() for row in by_topic[topic])
            await self._park_what_is_refused(by_topic, failed, others=bool(self._settled))

    async def _send_topic(self, topic: str, rows: Sequence[OutboxRow]) -> None:
        try:
            await self._sender.send(topic, [_outgoing(row) for row in rows])
        except TooLarge:
            for row in rows:
                await self._send_singly(row)

    async def _send_singly(self, row: OutboxRow) -> None:
        try:
            await self._sender.send(row.topic, [_outgoing(row)])
        except TooLarge as exc:
            await self._park([row], "too_large", exc)

    async def _park_what_is_refused(
        self, rows: Mapping[str, Sequence[OutboxRow]], failed: Mapping[str, Unavailable | Refused], *, others: bool
    ) -> None:
        """Park the rows of topics that took nothing for long, and raise what has to be waited for."""
        waiting = []
        for topic, exc in failed.items():
            self._failures[topic] += others
            if topic == self._breaches or self._failures[topic] < TRIES:
                waiting.append(exc)
            else:
                await self._park(rows[topic], "refused", exc)
        if waiting:
            raise waiting[0]

    async def _park(self, rows: Sequence[OutboxRow], label: str, why: Exception) -> None:
        await self._parking.park(rows, str(why))
        self._settled.update(row.place for row in rows)
        self._metrics.parked.labels(reason=label).inc(len(rows))
        log.error("records are parked", topic=rows[0].topic, records=len(rows), key=rows[0].key, error=str(why))

    def _done(self, rows: Sequence[OutboxRow]) -> None:
        last: dict[int, int] = {}
        for row in rows:
            # Another one is first where the row's partition was dropped meanwhile: then its positions are not ours.
            if self._rows and self._rows[0] is row:
                self._rows.popleft()
                self._settled.discard(row.place)
                last[row.partition] = row.position
        for partition, position in last.items():
            self._published(partition, position)
        self._wake()

    def _wake(self) -> None:
        self._progress.set()
        self._progress.clear()

    async def _reconnect(self) -> bool:
        """Open a new session; whether brokers answer."""
        try:
            await self._sender.restart()
        except (Unavailable, Refused) as exc:
            log.warning("Kafka does not answer", error=str(exc))
            return False
        return True


def _outgoing(row: OutboxRow) -> Outgoing:
    return Outgoing(row.key, row.value, unpack_headers(row.headers))
