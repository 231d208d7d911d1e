"""Writing many records at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from shared.errors import Refused, Unavailable
from shared.kafka.connection import Connection, Outgoing, limited, translated, within


# aiokafka hashes in plain Python, 5 µs a key; an item's events come in bursts, so most keys are found here.
@lru_cache(maxsize=1 << 17)
def partition_of(key: bytes, count: int) -> int:
    """The partition of *count* that the Java client would choose for *key*."""
    return int((murmur2(key) & 0x7FFFFFFF) % count)


class Producer:
    """An idempotent producer that writes many records at a time, in order per partition."""

    def __init__(self, connection: Connection, client: str) -> None:
        self._connection = connection
        self._client = client
        self._producer: AIOKafkaProducer | None = None
        self._counts: dict[str, int] = {}

    async def start(self) -> None:
        """Connect.

        Raises:
            Unavailable: no broker answers.
        """
        self._producer = producer = AIOKafkaProducer(
            **self._connection.arguments(self._client),
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=256 * 1024,
            max_request_size=1_048_576,
        )
        try:
            async with limited(f"connect to Kafka at {self._connection.bootstrap}"):
                await producer.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Disconnect; what was not acknowledged may or may not have been written."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with translated("stop the producer"):
                await within(producer.stop(), seconds=2.0)

    async def restart(self) -> None:
        """Open a new producer session, as must be done after any error whose outcome is not known."""
        with suppress(Unavailable):  # the old session is gone either way
            await self.stop()
        await self.start()

    async def partitions(self, topic: str) -> int:
        """How many partitions *topic* has.

        Raises:
            Unavailable: the topic does not exist, or no broker answers.
        """
        if topic not in self._counts:
            async with limited(f"read the partitions of {topic}"):
                self._counts[topic] = len(await self._open().partitions_for(topic))
        return self._counts[topic]

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write *records* to *topic* and wait until the brokers have them all.

        Batches are built here: 2 µs a record, where the client's own send takes 12 to 15 µs.

        Raises:
            Unavailable: some may not have been written; the same records may be sent again.
            Refused: a record is too large, or the topic may not be written.
        """
        count = await self.partitions(topic)
        by_partition: dict[int, list[Outgoing]] = {}
        for record in records:
            partition = partition_of(record.key, count) if record.partition is None else record.partition
            by_partition.setdefault(partition, []).append(record)
        async with limited(f"produce to {topic}"):
            sends = [self._send_partition(topic, partition, some) for partition, some in by_partition.items()]
            acknowledgements = [future for futures in await asyncio.gather(*sends) for future in futures]
            await asyncio.gather(*acknowledgements)

    async def _send_partition(self, topic: str, partition: int, records: list[Outgoing]) -> list[asyncio.Future[Any]]:
        producer = self._open()
        futures = []
        batch = producer.create_batch()
        for record in records:
            if batch.append(key=record.key, value=record.value, timestamp=None, headers=record.headers) is not None:
                continue
            if batch.record_count():
                futures.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
            if batch.append(key=record.key, value=record.value, timestamp=None, headers=record.headers) is None:
                raise Refused(f"a record of {len(record.value or b'')} bytes does not fit into a batch for {topic}")
        futures.append(await producer.send_batch(batch, topic, partition=partition))
        return futures

    def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise Unavailable("the producer is not connected")
        return self._producer
