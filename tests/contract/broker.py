"""What Plazo asks of a broker; every broker that a run can have passes all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from shared.errors import Refused
from tests.servers import Broker, Topics


@asynccontextmanager
async def producer(broker: Broker) -> AsyncIterator[Any]:
    """A producer with the settings that the services use."""
    client = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap, enable_idempotence=True, acks="all", compression_type="zstd"
    )
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


@asynccontextmanager
async def consumer(broker: Broker, *topics: str, **settings: Any) -> AsyncIterator[Any]:
    """A consumer that commits only what it is told to."""
    client = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=broker.bootstrap,
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_wait_ms=20,
        **settings,
    )
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


@asynccontextmanager
async def admin(broker: Broker) -> AsyncIterator[Any]:
    """A client that only asks."""
    client = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def records(client: Any, count: int) -> list[Any]:
    """The next *count* records, or a failure after 10 s."""
    found: list[Any] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            for batch in (await client.getmany(timeout_ms=200)).values():
                found += batch
    return found


class BrokerContract:
    """The suite; a subclass gives the fixture `topics` of its broker."""

    async def test_records_come_back_with_key_value_and_headers(self, topics: Topics) -> None:
        topic = topics.create("whole", 1)
        headers = [("ce_id", b"1"), ("ce_type", "ticket.createdé".encode()), ("ce_id", b"")]
        async with producer(topics.broker) as sending, consumer(topics.broker) as reading:
            sent = await sending.send_and_wait(topic, b"\x00value", key=b"key", headers=headers)
            reading.assign([TopicPartition(topic, 0)])
            await reading.seek_to_beginning()
            [record] = await records(reading, 1)
        assert sent.offset == 0
        assert (record.key, record.value, list(record.headers)) == (b"key", b"\x00value", headers)

    async def test_a_tombstone_has_no_value(self, topics: Topics) -> None:
        topic = topics.create("tombstone", 1)
        async with producer(topics.broker) as sending, consumer(topics.broker) as reading:
            await sending.send_and_wait(topic, None, key=b"key")
            reading.assign([TopicPartition(topic, 0)])
            await reading.seek_to_beginning()
            [record] = await records(reading, 1)
        assert record.value is None

    async def test_records_of_one_partition_keep_their_order(self, topics: Topics) -> None:
        topic = topics.create("ordered", 2)
        async with producer(topics.broker) as sending, consumer(topics.broker) as reading:
            waiting = [await sending.send(topic, b"%d" % number, partition=number % 2) for number in range(2000)]
            await asyncio.gather(*waiting)
            reading.assign([TopicPartition(topic, 0), TopicPartition(topic, 1)])
            await reading.seek_to_beginning()
            found = await records(reading, 2000)
        for partition in (0, 1):
            values = [int(record.value) for record in found if record.partition == partition]
            assert values == list(range(partition, 2000, 2))

    async def test_reading_starts_where_it_is_told_to(self, topics: Topics) -> None:
        topic = topics.create("seek", 1)
        place = TopicPartition(topic, 0)
        async with producer(topics.broker) as sending, consumer(topics.broker, group_id=topics.name("seek")) as reading:
            for number in range(5):
                await sending.send_and_wait(topic, b"%d" % number)
            reading.assign([place])
            reading.seek(place, 3)
            found = await records(reading, 2)
            assert await reading.position(place) == 5
        assert [record.offset for record in found] == [3, 4]

    async def test_the_log_says_where_it_begins_and_ends(self, topics: Topics) -> None:
        topic = topics.create("ends", 2)
        places = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
        async with producer(topics.broker) as sending, consumer(topics.broker) as asking:
            for _ in range(3):
                await sending.send_and_wait(topic, b"x", partition=1)
            assert await asking.beginning_offsets(places) == {places[0]: 0, places[1]: 0}
            assert await asking.end_offsets(places) == {places[0]: 0, places[1]: 3}

    async def test_offsets_are_committed_without_membership_and_read_by_another_client(self, topics: Topics) -> None:
        topic, group = topics.create("commits", 2), topics.name("commits")
        places = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
        async with consumer(topics.broker, group_id=group) as reading, admin(topics.broker) as asking:
            reading.assign(places)
            await reading.commit({places[0]: OffsetAndMetadata(7, "")})
            found = await asking.list_consumer_group_offsets(group, partitions=places)
        assert {place: committed.offset for place, committed in found.items()} == {places[0]: 7, places[1]: -1}

    async def test_an_unknown_group_has_committed_nothing(self, topics: Topics) -> None:
        place = TopicPartition(topics.create("unknown", 1), 0)
        async with admin(topics.broker) as asking:
            found = await asking.list_consumer_group_offsets(topics.name("nobody"), partitions=[place])
        assert found[place].offset == -1

    async def test_a_group_of_one_member_reads_every_partition(self, topics: Topics) -> None:
        topic, group = topics.create("group", 2), topics.name("group")
        async with producer(topics.broker) as sending:
            for partition in (0, 1):
                await sending.send_and_wait(topic, b"x", partition=partition)
        async with consumer(topics.broker, topic, group_id=group, auto_offset_reset="earliest") as reading:
            found = await records(reading, 2)
            await reading.commit({TopicPartition(topic, 0): OffsetAndMetadata(1, "")})
            assert await reading.committed(TopicPartition(topic, 0)) == 1
        assert {record.partition for record in found} == {0, 1}

    async def test_a_topic_is_made_once(self, topics: Topics) -> None:
        topics.create("twice", 2)
        with pytest.raises(Refused, match="already exists"):
            topics.create("twice", 2)

    async def test_a_topic_has_the_partitions_that_were_asked_for(self, topics: Topics) -> None:
        topic = topics.create("partitions", 3)
        async with admin(topics.broker) as asking:
            [described] = await asking.describe_topics([topic])
        assert len(described["partitions"]) == 3
