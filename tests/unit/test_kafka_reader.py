"""Which of the records that a client gives are taken: those that follow the last ones, of partitions that are ours."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import TopicPartition

from shared.kafka.connection import Connection
from shared.kafka.reader import Reader
from tests.fakes import FakeRecord


class Consumer:
    """A client that gives what it has fetched, wherever it was sent meanwhile."""

    def __init__(self) -> None:
        self.fetched: list[dict[int, Sequence[int]]] = []

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Begin with other partitions."""

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Go on from another place."""

    async def getmany(self, **_: int) -> dict[TopicPartition, list[FakeRecord]]:
        """What was fetched, by partition."""
        return {
            TopicPartition("events", partition): [FakeRecord(b"", partition=partition, offset=each) for each in offsets]
            for partition, offsets in self.fetched.pop(0).items()
        }


class Desk:
    """A reader, and what it takes."""

    def __init__(self) -> None:
        self.consumer = Consumer()
        self.reader = Reader(Connection("127.0.0.1:1"), "events", "test")
        self.reader._consumer = self.consumer  # in the place of one that is connected

    async def taken(self, fetched: dict[int, Sequence[int]]) -> dict[int, list[int]]:
        """The offsets that are taken of those that were fetched."""
        self.consumer.fetched.append(fetched)
        return {number: [each.offset for each in some] for number, some in (await self.reader.poll(0, 100)).items()}


async def test_what_was_fetched_before_a_place_was_sought_is_left_out() -> None:
    desk = Desk()
    desk.reader.add(0, 10)
    assert await desk.taken({0: range(8, 13)}) == {0: [10, 11, 12]}
    assert await desk.taken({0: [11, 12]}) == {}
    assert await desk.taken({0: [12, 13]}) == {0: [13]}


async def test_offsets_that_no_record_has_are_passed() -> None:
    desk = Desk()
    desk.reader.add(0, 10)
    assert await desk.taken({0: [11, 15]}) == {0: [11, 15]}  # of a transaction's marks, and of what compaction removed
    assert await desk.taken({0: [20]}) == {0: [20]}


async def test_what_was_fetched_of_a_partition_that_was_given_away_is_left_out() -> None:
    desk = Desk()
    desk.reader.add(0, 10)
    desk.reader.add(1, 0)
    desk.reader.remove(0)
    assert await desk.taken({0: [10], 1: [0]}) == {1: [0]}
