"""The relay: committed rows reach the brokers in order, at least once, and nothing is held up for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.timer.relay import KEPT, TRIES, Relay
from shared.errors import Refused
from shared.kafka.connection import Outgoing
from shared.metrics import Metrics
from tests.factories import outbox_row
from tests.fakes_timer import FakeParking, FakeSender, FakeStore, Tables, Time, soon


class Post:
    """A relay with its producer, its outbox and what it said was published."""

    def __init__(self) -> None:
        self.tables = Tables(Time(), 3)
        self.store = FakeStore(self.tables)
        self.sender = FakeSender()
        self.told: list[tuple[int, int]] = []
        self.parking = FakeParking()
        self.relay = Relay(
            self.sender,
            self.store,
            self.parking,
            breaches="sla.breaches.v1",
            published=self._published,
            metrics=Metrics("test", "test"),
        )

    def _published(self, partition: int, position: int) -> None:
        self.told.append((partition, position))

    def commit(self, *positions: int, partition: int = 0, topic: str = "sla.breaches.v1", value: bytes = b"") -> None:
        """Have rows committed, and hand them to the relay."""
        rows = [
            outbox_row(at, partition, topic=topic, key=b"%d" % partition, value=value or b"%d" % at) for at in positions
        ]
        self.tables.outbox.update({(row.partition, row.position): row for row in rows})
        self.relay.add(rows)

    def sent(self, partition: int = 0, topic: str = "sla.breaches.v1") -> list[int]:
        """The positions that are with the brokers, repeats included."""
        mine = [record for name, record in self.sender.sent if name == topic and record.key == b"%d" % partition]
        return [int(record.value or b"") for record in mine]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Event]:
        """The relay at work; it ends with the block."""
        stop = asyncio.Event()
        async with asyncio.timeout(10.0), asyncio.TaskGroup() as group:
            group.create_task(self.relay.run(stop))
            yield stop
            stop.set()


async def test_rows_are_sent_in_order_and_their_positions_told() -> None:
    post = Post()
    async with post.running():
        post.commit(1, 2, 3)
        post.commit(1, 2, partition=1)
        post.commit(4)
        await post.relay.drained(0)
        await post.relay.drained(1)
    assert post.sent() == [1, 2, 3, 4]
    assert post.sent(1) == [1, 2]
    assert dict(post.told) == {0: 4, 1: 2}


async def test_a_record_keeps_key_value_and_headers() -> None:
    post = Post()
    async with post.running():
        post.commit(7)
        await post.relay.drained(0)
    assert post.sender.sent == [("sla.breaches.v1", Outgoing(b"0", b"7", [("ce_id", b"7")]))]


@pytest.mark.parametrize("trouble", ["lost", "unanswered"])
async def test_what_was_not_acknowledged_is_sent_again_through_a_new_session(trouble: str) -> None:
    post = Post()
    post.sender.troubles = [trouble]
    async with post.running():
        post.commit(1, 2)
        await post.relay.drained(0)
    assert post.sent() == ([1, 2] if trouble == "lost" else [1, 2, 1, 2])
    assert post.sender.sessions == 2
    assert post.told == [(0, 2)]


async def test_nothing_is_told_before_it_is_with_the_brokers() -> None:
    post = Post()
    async with post.running():
        post.sender.gate.clear()
        post.commit(1)
        drained = asyncio.create_task(post.relay.drained(0))
        await soon(lambda: len(post.relay) == 1)
        assert not drained.done()
        assert post.told == []
        post.sender.gate.set()
        await drained
    assert post.told == [(0, 1)]


async def test_a_record_that_is_too_large_is_parked_and_does_not_hold_up_the_others() -> None:
    post = Post()
    post.sender.largest = 5
    async with post.running():
        post.commit(1)
        post.commit(2, value=b"123456")
        post.commit(3)
        await post.relay.drained(0)
    assert post.sent() == [1, 3]
    assert post.told[-1] == (0, 3)
    assert [row.place for row in post.parking.rows] == [(0, 2)]
    assert post.parking.reasons == ["a record is too large"]


async def test_a_topic_that_takes_nothing_while_another_does_is_parked_after_some_tries() -> None:
    post = Post()
    post.sender.refusing = {"sla.deadletters.v1"}
    async with post.running():
        post.commit(1, topic="sla.deadletters.v1")
        post.commit(2)
        await post.relay.drained(0)
    assert post.sent() == [2]  # once, and not again at every try of the other topic
    assert [row.place for row in post.parking.rows] == [(0, 1)]
    assert post.told == [(0, 2)]


@pytest.mark.parametrize(
    ("refusing", "is_down"),
    [
        # Breaches are what all of this is for: they wait.
        ({"sla.breaches.v1"}, False),
        # Brokers that are away say nothing about a topic.
        ({"sla.deadletters.v1"}, True),
    ],
)
async def test_breaches_and_brokers_that_are_away_are_waited_for(refusing: set[str], is_down: bool) -> None:
    post = Post()
    post.sender.refusing = refusing
    async with post.running():
        post.commit(1, topic="sla.deadletters.v1")
        post.commit(2)
        await soon(lambda: len(post.sent()) + len(post.sent(topic="sla.deadletters.v1")) == 1)
        post.sender.is_down = is_down
        tries = post.sender.tries
        await soon(lambda: post.sender.tries > tries + TRIES + 1)
        assert not post.parking.rows
        post.sender.refusing, post.sender.is_down = set(), False
        await post.relay.drained(0)
    assert post.sent() == [2]
    assert post.sent(topic="sla.deadletters.v1") == [1]


async def test_brokers_that_refuse_the_producer_lose_nothing() -> None:
    class Unauthorized(FakeSender):
        refusals = 1

        async def send(self, topic: str, records: object) -> None:
            if self.refusals:
                self.refusals -= 1
                raise Refused("not authorized to write the topic")
            await super().send(topic, records)  # type: ignore[arg-type]  # as it came

    post = Post()
    post.sender = post.relay._sender = Unauthorized()
    async with post.running():
        post.commit(1, 2)
        await post.relay.drained(0)
    assert post.sent() == [1, 2]


async def test_a_dropped_partition_is_sent_no_more_and_its_positions_are_not_told() -> None:
    post = Post()
    async with post.running():
        post.sender.gate.clear()
        post.commit(1, 2)
        post.commit(1, partition=1)
        await soon(lambda: post.sender.begun == 1)  # all three are on their way
        post.relay.drop(0)
        post.relay.add([outbox_row(3, 0, key=b"0")])  # the partition is ours again, and begins where it was left
        assert post.told == []
        post.sender.gate.set()
        await post.relay.drained(1)
        await post.relay.drained(0)
    assert (0, 2) not in post.told
    assert dict(post.told) == {0: 3, 1: 1}


async def test_what_an_earlier_owner_left_is_published_before_anything_new() -> None:
    post = Post()
    post.tables.outbox = {(0, at): outbox_row(at, key=b"0") for at in (3, 4, 5)}
    post.relay.resume(0, 3)
    post.commit(6)
    async with post.running():
        await post.relay.drained(0)
        post.commit(7)
        await post.relay.drained(0)
    assert post.sent() == [4, 5, 6, 7]


async def test_in_an_outage_rows_wait_in_the_outbox_and_not_in_memory() -> None:
    post = Post()
    post.sender.gate.clear()
    many = KEPT // 2 + 5_000
    async with post.running():
        for first in range(1, many, 1_000):
            post.commit(*range(first, first + 1_000))
            post.commit(*range(first, first + 1_000), partition=1)
        assert len(post.relay) == KEPT
        post.sender.gate.set()
        await post.relay.drained(0)
        await post.relay.drained(1)
        post.commit(many + 1)
        await post.relay.drained(0)
    assert post.sent(0) == list(range(1, many + 2))
    assert post.sent(1) == list(range(1, many + 1))


async def test_rows_committed_while_the_outbox_is_read_are_not_forgotten() -> None:
    post = Post()
    read = post.store.outbox

    async def outbox(partition: int, after: int, most: int) -> list[object]:
        found = await read(partition, after, most)
        if after == 0:
            post.commit(2)  # too late for the statement that has just run
        return list(found)

    post.store.outbox = outbox  # type: ignore[method-assign,assignment]  # a database that is busy just then
    post.tables.outbox[0, 1] = outbox_row(1, key=b"0")
    post.relay.resume(0, 0)
    async with post.running():
        await post.relay.drained(0)
    assert post.sent() == [1, 2]


async def test_an_outbox_that_cannot_be_read_is_asked_again() -> None:
    post = Post()
    post.tables.outbox[0, 1] = outbox_row(1, key=b"0")
    post.store.down = True
    post.relay.resume(0, 0)
    async with post.running():
        post.commit(1, partition=1)
        await soon(lambda: post.sent(1) == [1])
        post.store.down = False
        await post.relay.drained(0)
    assert post.sent() == [1]


async def test_what_is_not_sent_when_it_stops_stays_in_the_outbox() -> None:
    post = Post()
    post.sender.troubles = ["lost"] * 1000
    async with post.running() as stop:
        post.commit(1)
        await soon(lambda: post.sender.sessions > 1)
        stop.set()
    assert post.sent() == []
    assert post.told == []
    assert (0, 1) in post.tables.outbox


async def test_brokers_that_do_not_answer_do_not_hold_up_its_end() -> None:
    post = Post()
    async with post.running() as stop:
        post.sender.gate.clear()
        post.commit(1)
        await soon(lambda: len(post.relay) == 1 and bool(post.sender.gate._waiters))
        stop.set()
    assert post.told == []
    assert (0, 1) in post.tables.outbox
