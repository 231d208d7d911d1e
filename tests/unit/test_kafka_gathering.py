"""After a batch of few records more are gathered before the next is read; after a full one nothing is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition

from shared.kafka import loop
from shared.kafka.connection import Record
from shared.kafka.loop import FEW, Subscription, _Assignments, _read, _Reading

PLACE = TopicPartition("tickets", 0)


class Client:
    """A consumer that always has so many records more."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.polls = 0
        self.commits = 0
        self.committed = asyncio.Event()

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        """The next records."""
        assert timeout_ms, max_records
        self.polls += 1
        return {PLACE: [self.polls] * self.count}

    def assignment(self) -> set[TopicPartition]:
        """One partition."""
        return {PLACE}

    async def position(self, tp: TopicPartition) -> int:
        """What is read next."""
        assert tp == PLACE
        return self.polls * self.count

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Take the offsets."""
        assert offsets
        self.commits += 1
        self.committed.set()


async def nothing(_records: Sequence[Record]) -> None:
    await asyncio.sleep(0)


def reading(client: Client, stop: asyncio.Event) -> asyncio.Task[None]:
    subscribed = _Reading(client, Subscription(("tickets",), "ingest"), _Assignments())
    return asyncio.create_task(_read(subscribed, nothing, stop=stop, joined=asyncio.Event()))


@pytest.fixture(autouse=True)
def for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "GATHER_S", 3_600.0)


async def test_few_records_are_committed_and_then_others_are_waited_for_until_the_end() -> None:
    client, stop = Client(FEW), asyncio.Event()
    task = reading(client, stop)
    async with asyncio.timeout(10):
        await client.committed.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        assert (client.polls, client.commits) == (1, 1)
        stop.set()
        await task
    assert client.polls == 1


async def test_behind_a_full_batch_the_next_is_read_at_once() -> None:
    client, stop = Client(FEW + 1), asyncio.Event()
    task = reading(client, stop)
    async with asyncio.timeout(10):
        while client.commits < 5:  # noqa: ASYNC110 # nobody tells
            await asyncio.sleep(0)
        stop.set()
        await task
