"""Asking brokers what they hold, and what a group has read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from random import shuffle
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.protocol.metadata import MetadataRequest

from shared.errors import Refused, Unavailable
from shared.kafka.connecting import opened
from shared.kafka.connection import Connection, Place, limited, within
from shared.kafka.group import committed_offsets

TROUBLE_TIMEOUT_S: Final = 2.0  # who asks for readiness asks often, and does not wait long
APPEAR_S: Final = 5.0


class Offsets:
    """Asks brokers what they hold and what a group has read, on a connection that fetches nothing.

    On a consumer that fetches, the same questions wait behind its long poll.
    """

    def __init__(self, connection: Connection, client: str) -> None:
        self._connection = connection
        self._client = client
        self._consumers: dict[str | None, AIOKafkaConsumer] = {}
        self._opening = asyncio.Lock()

    async def stop(self) -> None:
        """Disconnect."""
        consumers, self._consumers = list(self._consumers.values()), {}
        for consumer in consumers:
            await within(consumer.stop(), seconds=2.0)

    async def partitions(self, topic: str) -> int:
        """How many partitions *topic* has; 0 when it does not exist.

        Raises:
            Unavailable: no broker answers.
        """
        return (await self.counts([topic]))[topic]

    async def counts(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions each of *topics* has; 0 for those that do not exist.

        Raises:
            Unavailable: no broker answers.
        """
        named = list(topics)
        if not named:
            return {}
        async with limited(f"read the topics of Kafka at {self._connection.bootstrap}"):
            consumer = await self._consumer(None)
            found = await self._counted(consumer._client, named)
            if any(count != len(consumer.partitions_for_topic(topic) or ()) for topic, count in found.items()):
                await consumer._client.force_metadata_update()  # who asks for their ends must know their leaders
        return found

    async def _counted(self, client: Any, topics: list[str]) -> dict[str, int]:
        # Of these topics only, because to read what is said of a partition takes 10 µs, and the gate asks before every
        # firing. Unlike the client's own question this one makes no topic where brokers make those they are asked for.
        asked = MetadataRequest(topics, allow_auto_topic_creation=False)
        nodes = [broker.nodeId for broker in client.cluster.brokers()]
        shuffle(nodes)
        for node in nodes:
            with suppress(kafka_errors.KafkaError):
                answer = await client.send(node, asked)
                # Of each the error's code, the name, whether it is internal, the partitions.
                there = {topic: len(partitions) for error, topic, _, partitions in answer.topics if not error}
                return {topic: there.get(topic, 0) for topic in topics}
        raise Unavailable(f"Kafka at {self._connection.bootstrap} does not answer")

    async def require(self, topics: Iterable[str]) -> None:
        """Make sure that *topics* exist: a client that subscribes to one that does not waits for it for ever.

        A topic that was just created is not known to every broker at once, so a few seconds are given.

        Raises:
            Refused: some do not exist; names them.
            Unavailable: no broker answers.
        """
        missing = list(topics)
        try:
            async with asyncio.timeout(APPEAR_S):
                while missing := await self._missing(missing):  # noqa: ASYNC110 # brokers have no way to tell
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise Refused(_no_such(missing)) from None

    async def _missing(self, topics: Iterable[str]) -> list[str]:
        return [topic for topic, count in (await self.counts(topics)).items() if not count]

    async def trouble(self, topics: Iterable[str]) -> str | None:
        """What is wrong with the brokers or with *topics*, for a person; None when all is well."""
        try:
            async with asyncio.timeout(TROUBLE_TIMEOUT_S):
                missing = await self._missing(topics)
        except (Unavailable, Refused) as exc:
            return str(exc)
        except TimeoutError:
            return f"Kafka at {self._connection.bootstrap} does not answer within {TROUBLE_TIMEOUT_S} s"
        return _no_such(missing) if missing else None

    async def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """The end offset of each place under read_committed.

        Raises:
            Unavailable: any of them is not known.
        """
        async with limited("read end offsets"):
            consumer = await self._consumer(None)
            found = await consumer.end_offsets([TopicPartition(*place) for place in places])
        return {Place(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def beginnings(self, places: Sequence[Place]) -> dict[Place, int]:
        """The first offset that each place still holds.

        Raises:
            Unavailable: any of them is not known.
        """
        async with limited("read first offsets"):
            consumer = await self._consumer(None)
            found = await consumer.beginning_offsets([TopicPartition(*place) for place in places])
        return {Place(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def committed(self, group: str, places: Sequence[Place]) -> dict[Place, int | None]:
        """What *group* has committed for each place; None where it has committed nothing.

        Raises:
            Unavailable: the coordinator does not know, or not yet.
        """
        async with limited(f"read the offsets of group {group}"):
            consumer = await self._consumer(group)
            return await committed_offsets(consumer._coordinator, places)

    async def show(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Commit *offsets* for *group*, whose members these are not: only lag tools read them.

        Raises:
            Unavailable: the coordinator did not answer.
        """
        async with limited(f"show the offsets of group {group}", seconds=5.0):
            consumer = await self._consumer(group)
            topics = {place.topic for place in offsets}
            if not topics <= {tp.topic for tp in consumer.assignment()}:
                # All of the topics at once and for good: nothing is fetched, because everything is paused.
                counts = await self.counts(topics)
                every = [TopicPartition(topic, n) for topic, count in counts.items() for n in range(count)]
                consumer.assign(every)
                consumer.pause(*every)
            await consumer.commit({TopicPartition(*place): offset for place, offset in offsets.items()})

    async def _consumer(self, group: str | None) -> AIOKafkaConsumer:
        async with self._opening:
            if group not in self._consumers:
                self._consumers[group] = await self._opened(group)
            return self._consumers[group]

    async def _opened(self, group: str | None) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._connection.arguments(self._client),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
        )
        try:
            await opened(self._connection, consumer.start)
        except BaseException:
            await within(consumer.stop(), seconds=2.0)
            raise
        return consumer


def _no_such(topics: Sequence[str]) -> str:
    return f"no such topic: {', '.join(topics)} (create it first; `./plazo migrate` creates Plazo's own)"
