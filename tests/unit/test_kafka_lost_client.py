"""A client that has lost its group: it reads on, and what it commits is never answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors

from shared.kafka.connection import Record
from shared.kafka.loop import UNANSWERED_MOST, Subscription, _Assignments, _read, _Reading

PLACE = TopicPartition("tickets", 0)


@dataclass
class Client:
    """A consumer whose position moves with every poll; its commits end as they are told to, and then well."""

    ends: list[BaseException]
    polls: int = 0
    commits: list[int] = field(default_factory=list)

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        """Nothing, but the position has moved."""
        assert timeout_ms, max_records
        await asyncio.sleep(0)
        self.polls += 1
        return {}

    def assignment(self) -> set[TopicPartition]:
        """One partition."""
        return {PLACE}

    async def position(self, tp: TopicPartition) -> int:
        """What is read next."""
        assert tp == PLACE
        return self.polls

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Take the offsets, or not."""
        self.commits.append(offsets[PLACE])
        if self.ends:
            raise self.ends.pop(0)


async def no_records(records: Sequence[Record]) -> None:
    raise AssertionError(records)


async def read(client: Client, stop: asyncio.Event) -> None:
    reading = _Reading(client, Subscription(("tickets",), "ingest"), _Assignments())
    async with asyncio.timeout(10):
        await _read(reading, no_records, stop=stop, joined=asyncio.Event())


async def test_a_client_whose_commits_are_not_answered_is_given_up() -> None:
    client = Client([TimeoutError()] * 10)
    await read(client, asyncio.Event())
    assert len(client.commits) == UNANSWERED_MOST


async def test_an_answer_in_between_shows_that_it_is_not_lost() -> None:
    client = Client([TimeoutError(), kafka_errors.RebalanceInProgressError(), TimeoutError()])
    stop = asyncio.Event()
    reading = asyncio.create_task(read(client, stop))
    async with asyncio.timeout(10):
        while len(client.commits) < 6:  # noqa: ASYNC110 # nobody tells
            await asyncio.sleep(0)
    assert not reading.done()
    stop.set()
    await reading


async def test_rebalances_are_no_sign_of_loss_however_many() -> None:
    client = Client([kafka_errors.CommitFailedError()] * 10)
    stop = asyncio.Event()
    reading = asyncio.create_task(read(client, stop))
    async with asyncio.timeout(10):
        while len(client.commits) < 11:  # noqa: ASYNC110 # nobody tells
            await asyncio.sleep(0)
    assert not reading.done()
    stop.set()
    await reading
