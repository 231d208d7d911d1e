"""The Kafka loop and the producer on a broker: what is handled, what is committed, what is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.embedded_kafka import EmbeddedKafka
from shared.errors import Refused, Unavailable
from shared.kafka.connection import MAX_RECORD_BYTES, Connection, Outgoing, Place, Record
from shared.kafka.loop import Handle, Subscription, consume
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer
from tests.hostile_batches import write_unreadable
from tests.servers import Topics


@pytest.fixture
def connection(topics: Topics) -> Connection:
    return Connection(topics.broker.bootstrap)


@pytest.fixture
async def offsets(connection: Connection) -> AsyncIterator[Offsets]:
    asking = Offsets(connection, "test")
    yield asking
    await asking.stop()


@pytest.fixture
async def producer(connection: Connection) -> AsyncIterator[Producer]:
    sending = Producer(connection, "test")
    await sending.start()
    yield sending
    await sending.stop()


@asynccontextmanager
async def consuming(connection: Connection, topic: str, group: str, handle: Handle) -> AsyncIterator[asyncio.Event]:
    """The loop, running; ends it at the end."""
    stop, joined = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consume(connection, Subscription((topic,), group), handle, stop=stop, joined=joined))
        try:
            async with asyncio.timeout(20):
                await joined.wait()
                yield stop
        finally:
            stop.set()


async def committed(offsets: Offsets, group: str, topic: str, expected: int) -> bool:
    """Wait until the group's offset is *expected*."""
    async with asyncio.timeout(10):
        place = Place(topic, 0)
        while (await offsets.committed(group, [place]))[place] != expected:  # noqa: ASYNC110 # nobody tells
            await asyncio.sleep(0.02)
    return True


async def ignore(_records: Sequence[Record]) -> None:
    pass


class TestLoop:
    async def test_a_header_whose_name_is_no_text_ends_no_reader_and_loses_nothing_of_other_partitions(
        self, topics: Topics, connection: Connection, offsets: Offsets, producer: Producer
    ) -> None:
        topic, group = topics.create("names", 3), topics.name("names-group")
        for partition in range(3):
            await producer.send(topic, [Outgoing(b"k", b"%d" % n, partition=partition) for n in range(5)])
            await write_unreadable(topics.broker.bootstrap, topic, [b"5", b"6", b"7"], partition=partition)
            await producer.send(topic, [Outgoing(b"k", b"8", partition=partition)])
        found: dict[int, list[int]] = {0: [], 1: [], 2: []}

        async def keep(records: Sequence[Record]) -> None:
            for record in records:
                if int(record.value or b"") not in found[record.partition]:
                    found[record.partition].append(int(record.value or b""))
                if record.value == b"6":
                    assert [name for name, _ in record.headers] == ["ce_\ufffd\ufffd"]

        async with consuming(connection, topic, group, keep):
            assert await committed(offsets, group, topic, 9)
            async with asyncio.timeout(20):
                while not all(len(values) == 9 for values in found.values()):  # noqa: ASYNC110 # nobody tells
                    await asyncio.sleep(0.02)
        assert found == {partition: list(range(9)) for partition in range(3)}

    async def test_an_empty_topic_is_committed_at_once(
        self, topics: Topics, connection: Connection, offsets: Offsets
    ) -> None:
        topic, group = topics.create("empty", 1), topics.name("empty-group")
        async with consuming(connection, topic, group, ignore):
            assert await committed(offsets, group, topic, 0)

    async def test_a_batch_that_must_wait_comes_again_and_is_not_committed(
        self, topics: Topics, connection: Connection, offsets: Offsets, producer: Producer
    ) -> None:
        topic, group = topics.create("waits", 1), topics.name("waits-group")
        seen: list[list[int]] = []
        again, allowed = asyncio.Event(), asyncio.Event()

        async def handle(records: Sequence[Record]) -> None:
            if seen:
                again.set()
            seen.append([record.offset for record in records])
            if not allowed.is_set():
                raise Unavailable("not now")

        async with consuming(connection, topic, group, handle):
            assert await committed(offsets, group, topic, 0)
            await producer.send(topic, [Outgoing(b"k", b"1"), Outgoing(b"k", b"2")])
            await again.wait()
            assert await committed(offsets, group, topic, 0)
            allowed.set()
            assert await committed(offsets, group, topic, 2)
        assert all(places == [0, 1] for places in seen)

    async def test_a_stop_ends_the_wait_of_a_batch_and_commits_nothing(
        self, topics: Topics, connection: Connection, offsets: Offsets, producer: Producer
    ) -> None:
        topic, group = topics.create("stops", 1), topics.name("stops-group")
        tried = asyncio.Event()

        async def handle(_records: Sequence[Record]) -> None:
            tried.set()
            raise Unavailable("never")

        async with consuming(connection, topic, group, handle) as stop:
            await producer.send(topic, [Outgoing(b"k", b"1")])
            await tried.wait()
            stop.set()
        assert await committed(offsets, group, topic, 0)

    async def test_what_was_handled_while_stopping_is_committed(
        self, topics: Topics, connection: Connection, offsets: Offsets, producer: Producer
    ) -> None:
        topic, group = topics.create("finishes", 1), topics.name("finishes-group")
        stopping: list[asyncio.Event] = []

        async def handle(_records: Sequence[Record]) -> None:
            stopping[0].set()

        async with consuming(connection, topic, group, handle) as stop:
            stopping.append(stop)
            await producer.send(topic, [Outgoing(b"k", b"1")])
            await stop.wait()
        assert await committed(offsets, group, topic, 1)

    async def test_an_error_of_the_handler_ends_the_loop_and_commits_nothing(
        self, topics: Topics, connection: Connection, offsets: Offsets, producer: Producer
    ) -> None:
        topic, group = topics.create("fails", 1), topics.name("fails-group")
        async with consuming(connection, topic, group, ignore):
            assert await committed(offsets, group, topic, 0)
        await producer.send(topic, [Outgoing(b"k", b"1")])

        async def handle(_records: Sequence[Record]) -> None:
            raise ZeroDivisionError

        with pytest.raises(ExceptionGroup) as failed:
            async with consuming(connection, topic, group, handle) as stop:
                await stop.wait()
        assert failed.group_contains(ZeroDivisionError)
        assert await committed(offsets, group, topic, 0)

    @pytest.mark.kafka
    async def test_offsets_that_the_log_does_not_hold_stop_the_loop_with_a_sentence(
        self, topics: Topics, connection: Connection, offsets: Offsets
    ) -> None:
        topic, group = topics.create("lost", 1), topics.name("lost-group")
        await offsets.show(group, {Place(topic, 0): 999})
        with pytest.raises(Refused, match=f"does not hold what group {group} was to read next"):
            async with asyncio.timeout(20):
                await consume(
                    connection, Subscription((topic,), group), ignore, stop=asyncio.Event(), joined=asyncio.Event()
                )


class TestProducer:
    async def test_large_and_odd_records_arrive_as_they_are(
        self, topics: Topics, connection: Connection, producer: Producer
    ) -> None:
        topic = topics.create("odd", 1)
        headers: Any = [("none", None), ("empty", b""), ("é", b"\xff")]
        sent = [
            Outgoing(b"k", b"x" * MAX_RECORD_BYTES, headers),
            Outgoing(b"k", None, headers),
            *(Outgoing(b"k", b"y" * 100_000) for _ in range(5)),  # more than one batch
        ]
        await producer.send(topic, iter(sent))
        reading = AIOKafkaConsumer(bootstrap_servers=connection.bootstrap, max_partition_fetch_bytes=4_000_000)
        await reading.start()
        reading.assign([TopicPartition(topic, 0)])
        await reading.seek_to_beginning()
        found: list[Any] = []
        async with asyncio.timeout(10):
            while len(found) < len(sent):
                for records in (await reading.getmany(timeout_ms=100)).values():
                    found += records
        await reading.stop()
        assert [(each.key, each.value) for each in found] == [(each.key, each.value) for each in sent]
        assert list(found[0].headers) == headers

    @pytest.mark.kafka
    async def test_a_record_that_the_broker_never_takes_is_refused_and_harms_no_later_one(
        self, topics: Topics, producer: Producer
    ) -> None:
        topic = topics.create("large", 1)
        with pytest.raises(Refused):
            await producer.send(topic, [Outgoing(b"k", b"x" * 1_100_000)])
        await producer.send(topic, [Outgoing(b"k", b"x")])

    async def test_after_an_outage_the_same_producer_goes_on(self) -> None:
        with EmbeddedKafka() as broker:
            broker.create_topic("t", 2)
            producer = Producer(Connection(broker.bootstrap), "test")
            await producer.start()
            await producer.send("t", [Outgoing(b"k", b"1")])
            broker.take_down()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await producer.send("t", [Outgoing(b"k", b"2")])
            broker.bring_up()
            await producer.send("t", [Outgoing(b"k", b"2")])
            await producer.stop()

    async def test_without_a_broker_it_is_unavailable(self) -> None:
        with EmbeddedKafka() as broker:
            address = broker.bootstrap
        with pytest.raises(Unavailable, match=address):
            await Producer(Connection(address), "test").start()
