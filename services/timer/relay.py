"""Outbox to Kafka: committed rows, in order, at least once.

After any error whose outcome is not known a new producer session is opened, and everything that was not acknowledged
is sent again with the same ids. No Kafka call is made inside a database transaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final, Protocol

import structlog

from services.timer.write_set import OutboxRow, unpack_headers
from shared.errors import Refused, Unavailable
from shared.kafka.connection import Outgoing
from shared.lifecycle import pause

log = structlog.get_logger(__name__)
MOST: Final = 5_000  # rows sent at a time
RETRY_S: Final = 0.5


class Sender(Protocol):
    """What the relay needs of a producer."""

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write records and wait for the brokers to have them."""

    async def restart(self) -> None:
        """Open a new session."""


class Relay:
    """Publishes what the lane has committed."""

    def __init__(self, sender: Sender, *, published: Callable[[int, int], None]) -> None:
        self._sender = sender
        self._published = published  # takes (partition, position): everything up to it is with the brokers
        self._rows: deque[OutboxRow] = deque()
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Iterable[OutboxRow]) -> None:
        """Take committed rows; within a partition in the order of their positions."""
        self._rows.extend(rows)
        if self._rows:
            self._idle.clear()
            self._arrived.set()

    def drop(self, partition: int) -> None:
        """Forget a partition that another process publishes now."""
        self._rows = deque(row for row in self._rows if row.partition != partition)

    async def drained(self) -> None:
        """Wait until everything is published."""
        await self._idle.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish rows as they come, until *stop* is set; what is left then stays in the outbox."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                arriving = asyncio.create_task(self._arrived.wait())
                await asyncio.wait([arriving, stopping], return_when=asyncio.FIRST_COMPLETED)
                arriving.cancel()
                await self._publish(stop)
        finally:
            stopping.cancel()

    async def _publish(self, stop: asyncio.Event) -> None:
        self._arrived.clear()
        while self._rows and not stop.is_set():
            some = [self._rows[i] for i in range(min(MOST, len(self._rows)))]
            try:
                await self._send(some)
            except Unavailable as exc:
                log.warning("the relay waits", rows=len(self._rows), error=str(exc))
                await pause(RETRY_S, stop)
                await self._reconnect()
                continue
            self._done(some)
        if not self._rows:
            self._idle.set()

    async def _send(self, rows: Sequence[OutboxRow]) -> None:
        for topic, group in groupby(rows, key=lambda row: row.topic):
            records = [Outgoing(row.key, row.value, unpack_headers(row.headers)) for row in group]
            try:
                await self._sender.send(topic, records)
            except Refused:
                await self._send_singly(topic, records)

    async def _send_singly(self, topic: str, records: Sequence[Outgoing]) -> None:
        # One record that the broker will never take must not hold back the others of its partition.
        for record in records:
            try:
                await self._sender.send(topic, [record])
            except Refused as exc:
                log.error(  # noqa: TRY400 # an expected answer of the broker, not a bug
                    "a record was refused and is left out", topic=topic, key=record.key, error=str(exc)
                )

    def _done(self, rows: Sequence[OutboxRow]) -> None:
        last: dict[int, int] = {}
        for row in rows:
            if self._rows and self._rows[0] is row:  # else its partition was dropped meanwhile
                self._rows.popleft()
            last[row.partition] = row.position
        for partition, position in last.items():
            self._published(partition, position)

    async def _reconnect(self) -> None:
        try:
            await self._sender.restart()
        except Unavailable as exc:
            log.warning("Kafka does not answer", error=str(exc))
