"""Reading partitions that are assigned by somebody else than Kafka, from offsets that are kept somewhere else."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors

from shared.errors import Unavailable
from shared.kafka.connecting import opened
from shared.kafka.connection import FETCH_BYTES, FETCH_WAIT_MS, Connection, Record, within
from shared.kafka.header_names import HeaderNames
from shared.kafka.records import read_lean

log = structlog.get_logger(__name__)


class Reader:
    """Reads some partitions of one topic.

    It belongs to no group: aiokafka's coordinator fails for good when an assignment changes while it looks for its
    broker. `Offsets.show` tells lag tools how far it has read.
    """

    def __init__(self, connection: Connection, topic: str, client: str) -> None:
        self.topic = topic
        self._connection = connection
        self._client = client
        self._consumer: AIOKafkaConsumer | None = None
        self._names = HeaderNames()
        self._next: dict[int, int] = {}  # partition -> the offset at which the next accepted batch must begin

    async def start(self) -> None:
        """Connect.

        Raises:
            Unavailable: no broker answers.
        """
        read_lean()
        self._consumer = AIOKafkaConsumer(
            **self._connection.arguments(self._client),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        await opened(self._connection, self._consumer.start)

    async def stop(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await within(consumer.stop(), seconds=2.0)

    def add(self, partition: int, offset: int) -> None:
        """Read one more partition, from *offset* on."""
        self._assign({**self._next, partition: offset})

    def remove(self, partition: int) -> None:
        """Read a partition no longer."""
        if partition in self._next:
            self._assign({other: offset for other, offset in self._next.items() if other != partition})

    def reads(self, partition: int) -> bool:
        """Whether a partition is read."""
        return partition in self._next

    def _assign(self, offsets: dict[int, int]) -> None:
        # An assignment starts all partitions anew, so each is sought to where its accepted records end.
        consumer = self._open()
        self._next = offsets
        consumer.assign([TopicPartition(self.topic, partition) for partition in offsets])
        for partition, offset in offsets.items():
            consumer.seek(TopicPartition(self.topic, partition), offset)

    async def positions(self) -> dict[int, int]:
        """partition -> the offset that is read next; it passes ends that no record reaches."""
        consumer = self._open()
        found = {}
        for partition in self._next:
            try:
                async with asyncio.timeout(1.0):
                    found[partition] = int(await consumer.position(TopicPartition(self.topic, partition)))
            except (TimeoutError, kafka_errors.KafkaError, AssertionError):
                continue  # just given away
        return found

    async def poll(self, timeout_ms: int, max_records: int) -> dict[int, list[Record]]:
        """The next records of each partition, each list beginning where the last one ended.

        A partition whose log no longer holds the offset to read on from is read no longer: that is logged, and a
        person has to decide.

        Raises:
            Unavailable: the brokers did not answer.
        """
        consumer = self._open()
        if not self._next:
            await asyncio.sleep(timeout_ms / 1000)
            return {}
        polled = await self._polled(consumer, timeout_ms, max_records)
        accepted = {}
        for tp, records in polled.items():
            kept = self._continuing(tp.partition, records)
            if kept:
                accepted[tp.partition] = kept
        return accepted

    async def _polled(self, consumer: AIOKafkaConsumer, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        try:
            polled: dict[Any, list[Any]] = await consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)
        except kafka_errors.OffsetOutOfRangeError as exc:
            log.error(  # noqa: TRY400 # a fact about the log, not a bug
                "a partition is not read: its log does not hold the stored offset", topic=self.topic, error=str(exc)
            )
            for tp in exc.args[0]:
                self.remove(tp.partition)
            return {}
        except UnicodeDecodeError as exc:
            self._names.unreadable(exc)
            self._assign(self._next)
            return {}
        except kafka_errors.KafkaError as exc:
            # What the same poll had of other partitions may be gone, and their positions may have moved: seek them all.
            self._assign(self._next)
            raise Unavailable(f"read {self.topic}: {exc!r}") from exc
        self._names.polled(len(polled))
        return polled

    def _continuing(self, partition: int, records: list[Any]) -> list[Record]:
        expected = self._next.get(partition)
        if expected is None:
            return []  # read before the partition was given away
        kept = records if records[0].offset >= expected else [r for r in records if r.offset >= expected]
        if kept:
            self._next[partition] = kept[-1].offset + 1
        return kept

    def _open(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise Unavailable("the reader is not connected")
        return self._consumer
