"""Beginning with a partition and finishing with it: what its lease says becomes what is held in memory."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from services.timer import fold, ledger
from services.timer.holdings import Holdings
from services.timer.lease import Lease
from services.timer.partitions import HORIZON, MOVE_HORIZON_S, SMALL, Partitions
from shared.errors import Unavailable
from shared.events import SECOND
from shared.kafka.connection import Place
from shared.metrics import Metrics
from tests.factories import item_row, outbox_row
from tests.fakes_timer import FakeBrokers, FakeLeases, FakeStore, Tables, Time, soon

STATE = msgspec.msgpack.encode(fold.EMPTY)
LEDGER = msgspec.msgpack.encode(ledger.EMPTY)


class Reading:
    """Which partitions are read, from where."""

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}

    def add(self, partition: int, offset: int) -> None:
        """Read one more."""
        self.offsets[partition] = offset

    def remove(self, partition: int) -> None:
        """Read one less."""
        self.offsets.pop(partition, None)

    def reads(self, partition: int) -> bool:
        """Whether it is read."""
        return partition in self.offsets


class Relay:
    """What is published, from which position on; it never gets done unless it is told so."""

    def __init__(self) -> None:
        self.resumed: dict[int, int] = {}
        self.done = asyncio.Event()

    def resume(self, partition: int, after: int) -> None:
        """Publish what was left."""
        self.resumed[partition] = after

    def drop(self, partition: int) -> None:
        """Forget a partition."""
        self.resumed.pop(partition, None)

    async def drained(self, partition: int) -> None:
        """Wait until everything is published."""
        assert partition in self.resumed
        await self.done.wait()


class Feed:
    """Where the states of clocks are told."""

    def __init__(self) -> None:
        self.begun: set[int] = set()

    def begin(self, partition: int, *, epoch: int, told_below: int, revision: int) -> None:
        """Begin with a partition."""
        assert epoch
        assert told_below <= revision
        self.begun.add(partition)

    def drop(self, partition: int) -> None:
        """Forget a partition."""
        self.begun.discard(partition)


class Lane:
    """A write lane that is drained when it is told so."""

    def __init__(self) -> None:
        self.empty = asyncio.Event()
        self.empty.set()

    async def drained(self) -> None:
        """Wait until everything has an outcome."""
        await self.empty.wait()


class Desk:
    """Two partitions in a database and on the brokers."""

    def __init__(self) -> None:
        self.time = Time()
        self.tables = Tables(self.time, 2)
        self.store = FakeStore(self.tables)
        self.brokers = FakeBrokers({Place("events", 0): 100, Place("events", 1): 100})
        self.holdings, self.reading, self.relay, self.feed, self.lane = Holdings(), Reading(), Relay(), Feed(), Lane()
        self.partitions = Partitions(
            holdings=self.holdings,
            rows=self.store,
            brokers=self.brokers,
            reading=self.reading,
            relay=self.relay,
            feed=self.feed,
            lane=self.lane,
            events_topic="events",
            now=self.time,
            metrics=Metrics("test", "test"),
        )

    async def lease(self, partition: int = 0) -> Lease:
        """The partition's lease, taken."""
        lease = await FakeLeases(self.tables).take("me", partition)
        assert lease is not None
        return lease

    def item(self, name: str, due_in_s: float | None = None, kind: str = "ticket") -> None:
        """Have an item in the database."""
        key = f"default/{kind}/{name}"
        due = None if due_in_s is None else self.time() + round(due_in_s * SECOND)
        self.tables.items[0, key] = item_row(key, state=STATE, ledger=LEDGER, next_due=due)
        self.tables.leases[0].items = len(self.tables.items)

    def deadlines(self, kind: str = "ticket") -> list[str]:
        """The names of the items whose deadlines are in memory, the earliest first."""
        return [key.rpartition("/")[2] for _, _, key in sorted(self.holdings.deadlines[kind]._heap)]


async def test_a_partition_begins_where_its_lease_says() -> None:
    desk = Desk()
    lease = desk.tables.leases[0]
    lease.next_offset, lease.revision, lease.published_through, lease.open_clocks = 42, 7, 5, {"running/high": 3}
    desk.tables.outbox = {(0, position): outbox_row(position) for position in (4, 6, 9)}
    desk.item("a", 10)
    desk.item("chat", 20, kind="chat")
    await desk.partitions.begin(await desk.lease())
    holding = desk.holdings.partitions[0]
    assert (holding.epoch, holding.revision, holding.next_offset, holding.folded_to) == (1, 7, 42, 42)
    assert (holding.outbox_position, holding.published_through) == (9, 5)
    assert holding.open_clocks == {"running/high": 3}
    assert holding.complete
    assert sorted(holding.items) == ["default/chat/chat", "default/ticket/a"]
    assert (desk.deadlines(), desk.deadlines("chat"), desk.deadlines("call")) == (["a"], ["chat"], [])
    assert desk.reading.offsets == {0: 42}
    assert desk.relay.resumed == {0: 5}
    assert desk.feed.begun == {0}


async def test_positions_of_an_outbox_that_was_emptied_are_not_given_out_again() -> None:
    desk = Desk()
    desk.tables.leases[0].published_through = 17
    await desk.partitions.begin(await desk.lease())
    assert desk.holdings.partitions[0].outbox_position == 17


async def test_a_large_partition_is_loaded_item_by_item() -> None:
    desk = Desk()
    desk.item("a", 10)
    desk.tables.leases[0].items = SMALL + 1
    await desk.partitions.begin(await desk.lease())
    assert not desk.holdings.partitions[0].complete
    assert desk.holdings.partitions[0].items == {}
    assert desk.deadlines() == ["a"]


@pytest.mark.parametrize(
    ("next_offset", "read_from"),
    [
        (None, 10),  # never read: from where the log begins now
        (10, 10),  # just where it begins
        (100, 100),  # just where it ends
        (9, None),  # records were lost unread
        (101, None),  # the log ends before: it is another one
    ],
)
async def test_what_the_log_does_not_hold_is_not_read(next_offset: int | None, read_from: int | None) -> None:
    desk = Desk()
    desk.tables.leases[0].next_offset = next_offset
    desk.brokers.begin_at[Place("events", 0)] = 10
    await desk.partitions.begin(await desk.lease())
    assert desk.reading.offsets.get(0) == read_from
    assert 0 in desk.holdings.partitions  # its deadlines fire all the same, once nobody waits for it any longer
    assert (desk.partitions.trouble() is not None) == (read_from is None)


@pytest.mark.parametrize("what", ["database", "brokers"])
async def test_where_something_does_not_answer_nothing_is_held(what: str) -> None:
    desk = Desk()
    lease = await desk.lease()
    desk.store.down = what == "database"
    desk.brokers.down = Unavailable("no broker answers") if what == "brokers" else None
    with pytest.raises(Unavailable):
        await desk.partitions.begin(lease)
    assert (desk.holdings.partitions, desk.reading.offsets, desk.relay.resumed) == ({}, {}, {})


async def test_deadlines_reach_to_the_horizon_and_further_once_it_moves() -> None:
    desk = Desk()
    desk.item("overdue", -1_000)
    desk.item("near", 10)
    desk.item("far", HORIZON / SECOND + 60)
    await desk.partitions.begin(await desk.lease())
    assert desk.deadlines() == ["overdue", "near"]
    desk.time.pass_s(120)
    assert await desk.partitions.move_horizon() == MOVE_HORIZON_S
    assert desk.deadlines() == ["overdue", "near", "far"]  # each once


async def test_the_horizon_is_raised_before_write_sets_are_waited_for_and_deadlines_read_after() -> None:
    desk = Desk()
    await desk.partitions.begin(await desk.lease())
    desk.time.pass_s(120)
    desk.lane.empty.clear()
    moving = asyncio.create_task(desk.partitions.move_horizon())
    await soon(lambda: desk.holdings.deadlines["ticket"].horizon == desk.time() + HORIZON)
    desk.item("in-the-lane", HORIZON / SECOND - 60)
    desk.lane.empty.set()
    await moving
    assert desk.deadlines() == ["in-the-lane"]


async def test_a_horizon_that_cannot_be_moved_is_tried_again_soon() -> None:
    desk = Desk()
    await desk.partitions.begin(await desk.lease())
    desk.store.down = True
    assert await desk.partitions.move_horizon() < 10
    desk.store.down = False
    desk.item("a", HORIZON / SECOND)
    assert await desk.partitions.move_horizon() == MOVE_HORIZON_S
    assert desk.deadlines() == ["a"]


async def test_a_partition_that_is_lost_leaves_nothing_behind() -> None:
    desk = Desk()
    desk.item("a", 10)
    await desk.partitions.begin(await desk.lease())
    holding = desk.holdings.partitions[0]
    desk.partitions.lose(0)
    desk.partitions.lose(0)
    assert holding.lost
    assert (desk.holdings.partitions, desk.reading.offsets, desk.relay.resumed) == ({}, {}, {})
    assert (desk.deadlines(), desk.feed.begun) == ([], set())


async def test_a_partition_is_finished_with_when_its_write_sets_are_known_and_its_records_published() -> None:
    desk = Desk()
    await desk.partitions.begin(await desk.lease())
    desk.lane.empty.clear()
    finishing = asyncio.create_task(desk.partitions.finish(0))
    await asyncio.wait([finishing], timeout=0.01)
    assert desk.reading.offsets == {}
    assert 0 in desk.holdings.partitions
    desk.lane.empty.set()
    await asyncio.wait([finishing], timeout=0.01)
    assert 0 in desk.holdings.partitions
    desk.relay.done.set()
    await finishing
    assert desk.holdings.partitions == {}


async def test_brokers_that_do_not_take_the_last_records_do_not_hold_up_the_hand_over() -> None:
    desk = Desk()
    await desk.partitions.begin(await desk.lease())
    async with asyncio.timeout(1.9):
        await desk.partitions.finish(0)
    assert (desk.holdings.partitions, desk.relay.resumed) == ({}, {})
