"""Asking brokers what they hold, and what a group has read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.kafka.connection import Connection, Place, limited, within


class Offsets:
    """Asks brokers what they hold and what a group has read, on a connection that fetches nothing.

    On a consumer that fetches, the same questions wait behind its long poll.
    """

    def __init__(self, connection: Connection, client: str) -> None:
        self._connection = connection
        self._client = client
        self._consumers: dict[str | None, AIOKafkaConsumer] = {}

    async def stop(self) -> None:
        """Disconnect."""
        consumers, self._consumers = list(self._consumers.values()), {}
        for consumer in consumers:
            await within(consumer.stop(), seconds=2.0)

    async def partitions(self, topic: str) -> int:
        """How many partitions *topic* has; 0 when it does not exist."""
        async with limited(f"read the partitions of {topic}"):
            consumer = await self._consumer(None)
            await consumer._client.force_metadata_update()  # no public call asks the broker anew
            return len(consumer.partitions_for_topic(topic) or ())

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
            coordinator = consumer._coordinator  # committed() of one partition a call, else
            found = await coordinator.fetch_committed_offsets([TopicPartition(*place) for place in places])
        return {place: getattr(found.get(TopicPartition(*place)), "offset", None) for place in places}

    async def show(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Commit *offsets* for *group*, whose members these are not: only lag tools read them.

        Raises:
            Unavailable: the coordinator did not answer.
        """
        async with limited(f"show the offsets of group {group}", seconds=5.0):
            consumer = await self._consumer(group)
            for topic in {place.topic for place in offsets}:
                if not any(tp.topic == topic for tp in consumer.assignment()):
                    # All of the topic at once and for good: nothing is fetched, because everything is paused.
                    every = [TopicPartition(topic, n) for n in range(await self.partitions(topic))]
                    consumer.assign(every)
                    consumer.pause(*every)
            await consumer.commit({TopicPartition(*place): offset for place, offset in offsets.items()})

    async def _consumer(self, group: str | None) -> AIOKafkaConsumer:
        if group not in self._consumers:
            consumer = AIOKafkaConsumer(
                **self._connection.arguments(self._client),
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
            )
            await consumer.start()
            self._consumers[group] = consumer
        return self._consumers[group]
