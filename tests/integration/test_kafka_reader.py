"""Reading assigned partitions from offsets of one's own: every record once, in order, whatever is added or taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from shared.errors import Unavailable
from shared.kafka.connection import Connection, Outgoing
from shared.kafka.producer import Producer
from shared.kafka.reader import Reader
from tests.hostile_batches import write_unreadable
from tests.servers import Topics

NUMBERS = iter(range(1_000))


class Desk:
    """A topic of three partitions and a reader."""

    def __init__(self, topics: Topics) -> None:
        self.bootstrap = topics.broker.bootstrap
        self.topic = topics.create(f"read-{next(NUMBERS)}", 3)
        self.connection = Connection(self.bootstrap)
        self.reader = Reader(self.connection, self.topic, "test")
        self.producer = Producer(self.connection, "test")

    async def write(self, partition: int, numbers: Iterable[int]) -> None:
        """Write records."""
        await self.producer.send(self.topic, [Outgoing(b"k", b"%d" % n, partition=partition) for n in numbers])

    async def read(self, count: int, most: int = 10_000) -> dict[int, list[int]]:
        """The numbers of the next records, so many at least, by partition."""
        found: dict[int, list[int]] = {}
        for _ in range(200):
            for partition, records in (await self.reader.poll(100, most)).items():
                found.setdefault(partition, []).extend(int(record.value or b"") for record in records)
            if sum(map(len, found.values())) >= count:
                return found
        raise AssertionError(f"waited for {count} records, got {found}")


@pytest.fixture
async def desk(topics: Topics) -> AsyncIterator[Desk]:
    """A desk of the test's own."""
    made = Desk(topics)
    await made.producer.start()
    await made.reader.start()
    try:
        yield made
    finally:
        await made.reader.stop()
        await made.producer.stop()


async def test_a_header_whose_name_is_no_text_ends_no_reader_and_loses_nothing_of_other_partitions(desk: Desk) -> None:
    for partition in range(3):
        await desk.write(partition, range(5))
        await write_unreadable(desk.bootstrap, desk.topic, [b"5", b"6", b"7"], partition=partition)
        await desk.write(partition, [8])
        desk.reader.add(partition, 0)
    assert await desk.read(27) == {partition: list(range(9)) for partition in range(3)}


async def test_a_partition_is_read_from_the_offset_that_is_asked_for(desk: Desk) -> None:
    await desk.write(0, range(5))
    desk.reader.add(0, 3)
    assert await desk.read(2) == {0: [3, 4]}
    assert await desk.reader.positions() == {0: 5}


async def test_without_partitions_nothing_is_read(desk: Desk) -> None:
    await desk.write(0, range(5))
    assert await desk.reader.poll(10, 10) == {}
    assert await desk.reader.positions() == {}


async def test_partitions_that_stay_are_not_disturbed(desk: Desk) -> None:
    await desk.write(0, range(100))
    desk.reader.add(0, 0)
    found = (await desk.read(10, most=10))[0]
    desk.reader.add(1, 0)
    found += (await desk.read(10, most=10)).get(0, [])
    desk.reader.remove(1)
    desk.reader.add(2, 0)
    while len(found) < 100:
        found += (await desk.read(1, most=30)).get(0, [])
    assert found == list(range(100))


async def test_a_partition_that_was_given_away_is_read_no_more(desk: Desk) -> None:
    await desk.write(0, range(5))
    await desk.write(1, range(5))
    desk.reader.add(0, 0)
    desk.reader.add(1, 0)
    desk.reader.remove(0)
    desk.reader.remove(0)
    assert await desk.read(5) == {1: [0, 1, 2, 3, 4]}


async def test_a_partition_that_is_ours_again_is_read_from_where_its_lease_says(desk: Desk) -> None:
    await desk.write(0, range(50))
    desk.reader.add(0, 0)
    await desk.read(50)
    desk.reader.remove(0)
    desk.reader.add(0, 20)
    assert await desk.read(30) == {0: list(range(20, 50))}


@pytest.mark.kafka
async def test_a_position_passes_the_marks_of_transactions(desk: Desk) -> None:
    async with (
        AIOKafkaProducer(bootstrap_servers=desk.bootstrap, transactional_id=f"{desk.topic}-t") as producer,
        producer.transaction(),
    ):
        await producer.send_and_wait(desk.topic, b"7", partition=0)
    desk.reader.add(0, 0)
    assert await desk.read(1) == {0: [7]}
    for _ in range(50):
        await desk.reader.poll(100, 10)
        if await desk.reader.positions() == {0: 2}:
            break
    assert await desk.reader.positions() == {0: 2}


@pytest.mark.kafka
async def test_a_partition_whose_log_has_lost_what_comes_next_is_read_no_more_and_the_others_go_on(desk: Desk) -> None:
    await desk.write(0, range(10))
    admin = AIOKafkaAdminClient(bootstrap_servers=desk.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(desk.topic, 0): RecordsToDelete(before_offset=8)})
    finally:
        await admin.close()
    desk.reader.add(0, 3)
    desk.reader.add(1, 0)
    await desk.write(1, range(3))
    assert await desk.read(3) == {1: [0, 1, 2]}
    for _ in range(50):
        await desk.reader.poll(50, 10)
        if 0 not in await desk.reader.positions():
            break
    assert await desk.reader.positions() == {1: 3}


async def test_brokers_that_are_away_are_unavailable() -> None:
    away = Reader(Connection("127.0.0.1:1"), "topic", "test")
    with pytest.raises(Unavailable):
        await away.start()
    await away.stop()
    with pytest.raises(Unavailable):
        await away.poll(1, 1)
