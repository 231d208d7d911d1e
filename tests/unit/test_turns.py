"""Whose turn it is: the order of folding and firing, back-pressure, and a clean end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from services.timer.evidence import Evidence
from services.timer.holdings import Deadline, Holding, Holdings
from services.timer.turns import CLOSE_AT, PREPARED, READ_AHEAD, SLICE, Turns
from shared.kafka.connection import Record
from tests.fakes import FakeRecord
from tests.fakes_timer import soon

EVIDENCE = Evidence(0, late_possible=False)


class Work:
    """Notes what is done, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.prepared: list[dict[int, int]] = []  # of each time, partition -> how many records
        self.begun = 0
        self.drafted = 0
        self.open = asyncio.Event()  # while it is not set, folding takes its time
        self.open.set()
        self.known = asyncio.Event()  # while it is not set, preparing takes its time
        self.known.set()
        self.writable = asyncio.Event()  # while it is not set, closing waits for the lane
        self.writable.set()

    async def prepare(self, batches: Sequence[tuple[Holding, Sequence[Record]]]) -> None:
        """Note whose items are needed."""
        self.prepared.append({holding.partition: len(records) for holding, records in batches})
        await self.known.wait()

    async def on_batch(self, holding: Holding, records: Sequence[Record]) -> None:
        """Fold records."""
        self.begun += 1
        await self.open.wait()
        self.done.append(f"fold {holding.partition}: {records[0].offset}-{records[-1].offset}")
        self.drafted += len(records)

    async def fire_due(self, entries: Sequence[Deadline], _: Evidence) -> None:
        """Fire."""
        self.done.append("fire " + " ".join(name for _, _, name in entries))
        await self.close()

    async def close(self) -> None:
        """Close the write set."""
        if self.drafted:
            self.done.append(f"close {self.drafted}")
            self.drafted = 0
            await self.writable.wait()


class Desk:
    """Turns over two partitions."""

    def __init__(self) -> None:
        self.work = Work()
        self.holdings = Holdings()
        for number in (0, 1):
            self.holdings.partitions[number] = Holding(number, 1, revision=0, next_offset=0)
        self.lane_idle = True
        self.turns = Turns(self.work, self.holdings, lambda: self.lane_idle)

    def folded_to(self, partition: int = 0) -> int:
        """Up to where a partition is folded."""
        return self.holdings.partitions[partition].folded_to

    async def take_in(self, first: int, last: int, partition: int = 0) -> None:
        """Hand over records of a partition."""
        await self.turns.take_in({partition: records(first, last)}, {})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Event]:
        """The turns at work; they end with the block."""
        stop = asyncio.Event()
        async with asyncio.timeout(5.0), asyncio.TaskGroup() as group:
            group.create_task(self.turns.run(stop))
            yield stop
            stop.set()


def records(first: int, last: int) -> list[Record]:
    """Records of these offsets, the last one included."""
    return [FakeRecord(b"", offset=offset) for offset in range(first, last + 1)]


def deadline(name: str) -> Deadline:
    """A deadline of an item."""
    return (0, 0, name)


async def test_records_are_folded_in_order_and_written_at_once_when_the_lane_is_idle() -> None:
    desk = Desk()
    async with desk.running():
        await desk.take_in(0, 9)
        await soon(lambda: desk.folded_to() == 10)
        await desk.take_in(10, 11)
        await soon(lambda: desk.folded_to() == 12)
    assert desk.work.done == ["fold 0: 0-9", "close 10", "fold 0: 10-11", "close 2"]


async def test_what_is_due_does_not_wait_for_the_other_partitions_of_a_slice() -> None:
    desk = Desk()
    desk.work.open.clear()
    async with desk.running():
        await desk.turns.take_in({0: records(0, 1), 1: records(5, 6)}, {})
        await soon(lambda: desk.work.begun == 1)
        firing = asyncio.create_task(desk.turns.fire([deadline("a")], EVIDENCE))
        await soon(lambda: bool(desk.turns._firings))
        desk.work.open.set()
        await firing
        await soon(lambda: desk.folded_to(1) == 7)
    assert desk.work.done == ["fold 0: 0-1", "close 2", "fire a", "fold 1: 5-6", "close 2"]


async def test_a_slice_is_of_as_many_partitions_as_it_takes() -> None:
    desk = Desk()
    told = desk.turns.listen()
    desk.work.open.clear()
    async with desk.running():
        await desk.turns.take_in({0: records(0, SLICE - 2), 1: records(0, 9)}, {})
        await soon(lambda: desk.work.begun == 1)
        desk.work.open.set()
        await told.wait()
        assert (desk.folded_to(0), desk.folded_to(1)) == (SLICE - 1, 1)
        await soon(lambda: desk.folded_to(1) == 10)


async def test_a_firing_leaves_out_what_was_lost_and_taken_again_while_it_waited() -> None:
    desk = Desk()
    desk.work.open.clear()
    async with desk.running():
        await desk.take_in(0, 0)
        await soon(lambda: desk.work.begun == 1)
        firing = asyncio.create_task(desk.turns.fire([deadline("a"), (0, 1, "b")], EVIDENCE))
        await soon(lambda: bool(desk.turns._firings))
        desk.holdings.drop(0)
        desk.holdings.partitions[0] = Holding(0, 3, revision=0, next_offset=0)
        desk.work.open.set()
        await firing
    assert "fire b" in desk.work.done


async def test_a_firing_goes_between_two_slices() -> None:
    desk = Desk()
    desk.work.open.clear()
    async with desk.running():
        await desk.take_in(0, 3 * SLICE - 1)
        firing = asyncio.create_task(desk.turns.fire([deadline("a")], EVIDENCE))
        await soon(lambda: bool(desk.turns._firings))
        desk.work.open.set()
        await firing
        await soon(lambda: desk.folded_to() == 3 * SLICE)
    assert desk.work.done[:3] == [f"fold 0: 0-{SLICE - 1}", f"close {SLICE}", "fire a"]
    assert [each for each in desk.work.done if each.startswith("fold")][1:] == [
        f"fold 0: {SLICE}-{2 * SLICE - 1}",
        f"fold 0: {2 * SLICE}-{3 * SLICE - 1}",
    ]


async def test_firings_keep_their_order_and_nothing_due_is_no_turn() -> None:
    desk = Desk()
    async with desk.running():
        await asyncio.gather(*(desk.turns.fire([deadline(name)], EVIDENCE) for name in "abc"))
        await desk.turns.fire([], EVIDENCE)
    assert desk.work.done == ["fire a", "fire b", "fire c"]


async def test_while_the_lane_is_busy_a_write_set_grows_to_its_limit() -> None:
    desk = Desk()
    desk.lane_idle = False
    desk.work.open.clear()
    async with desk.running():
        for first in range(0, CLOSE_AT + SLICE, SLICE):
            await desk.take_in(first, first + SLICE - 1)
        desk.work.open.set()
        await soon(lambda: desk.folded_to() == CLOSE_AT + SLICE)
    assert [each for each in desk.work.done if each.startswith("close")] == [f"close {CLOSE_AT}", f"close {SLICE}"]


async def test_who_reads_waits_while_too_much_is_queued() -> None:
    desk = Desk()
    desk.work.open.clear()
    async with desk.running():
        reading = asyncio.create_task(desk.take_in(0, READ_AHEAD - 1))
        await soon(lambda: desk.turns._count == READ_AHEAD)
        assert not reading.done()
        desk.work.open.set()
        await reading
        await soon(lambda: desk.folded_to() == READ_AHEAD)


async def test_an_end_without_records_counts_only_when_nothing_is_queued() -> None:
    desk = Desk()
    desk.work.open.clear()
    async with desk.running():
        await desk.take_in(0, 4)
        await desk.turns.take_in({}, {0: 7, 1: 3})
        assert (desk.folded_to(0), desk.folded_to(1)) == (0, 0)
        desk.work.open.set()
        await soon(lambda: desk.folded_to() == 5)
        await desk.turns.take_in({}, {0: 7, 1: 3})
        assert (desk.folded_to(0), desk.folded_to(1)) == (7, 3)


async def test_a_call_amid_the_turns_finds_the_write_set_open_and_none_runs_after_the_end() -> None:
    desk = Desk()
    desk.lane_idle = False
    found: list[int] = []

    async def call() -> None:
        found.append(desk.work.drafted)

    async with desk.running():
        desk.work.open.clear()
        await desk.take_in(0, 9)
        await soon(lambda: desk.work.begun == 1)
        await desk.take_in(10, 19)
        asked = asyncio.create_task(desk.turns.amid(call))
        await soon(lambda: bool(desk.turns._asked))
        desk.work.open.set()
        await asked
    await desk.turns.amid(call)
    assert found == [10]


async def test_what_is_queued_is_prepared_in_one_go_and_not_again_until_it_is_folded() -> None:
    desk = Desk()
    async with desk.running():
        await desk.turns.take_in({0: records(0, PREPARED - 101), 1: records(0, 199)}, {})
        await soon(lambda: desk.folded_to(1) == 200)
    assert desk.work.prepared == [{0: PREPARED - 100, 1: 100}, {1: 100}]


async def test_what_comes_while_others_are_prepared_is_not_folded_with_them() -> None:
    desk = Desk()
    desk.work.known.clear()
    async with desk.running():
        await desk.take_in(0, 9)
        await soon(lambda: len(desk.work.prepared) == 1)
        await desk.take_in(10, 19)
        desk.work.known.set()
        await soon(lambda: desk.folded_to() == 20)
    assert desk.work.prepared == [{0: 10}, {0: 10}]
    assert desk.work.done[0] == "fold 0: 0-9"


async def test_what_is_next_is_prepared_again_after_a_call_that_may_have_let_go_of_it() -> None:
    desk = Desk()
    desk.work.open.clear()

    async def call() -> None:
        """Let go of items."""

    async with desk.running():
        await desk.turns.take_in({0: records(0, 9), 1: records(0, 9)}, {})
        await soon(lambda: desk.work.begun == 1)
        asked = asyncio.create_task(desk.turns.amid(call))
        await soon(lambda: bool(desk.turns._asked))
        desk.work.open.set()
        await asked
        await soon(lambda: desk.folded_to(1) == 10)
    assert desk.work.prepared == [{0: 10, 1: 10}, {1: 10}]


async def test_what_is_lost_is_not_prepared() -> None:
    desk = Desk()
    await desk.turns.take_in({0: records(0, 1), 1: records(0, 1)}, {})
    desk.holdings.drop(0)
    async with desk.running():
        await soon(lambda: not desk.turns._records)
    assert desk.work.prepared == [{1: 2}]


async def test_who_waits_for_records_to_be_folded_is_woken() -> None:
    desk = Desk()
    async with desk.running():
        first, second = desk.turns.listen(), desk.turns.listen()
        await desk.take_in(0, 0)
        await first.wait()
        first.clear()
        await desk.turns.take_in({}, {0: 5})
        await first.wait()
        await second.wait()


async def test_records_of_a_partition_that_was_lost_are_not_folded() -> None:
    desk = Desk()
    desk.work.open.clear()
    async with desk.running():
        await desk.take_in(0, 4)
        await desk.take_in(0, 4, partition=1)
        await desk.take_in(5, 9)
        await soon(lambda: len(desk.turns._records) == 2)  # the first is in hand
        desk.holdings.drop(0)
        desk.holdings.partitions[0] = Holding(0, 3, revision=0, next_offset=2)  # ours again, under another epoch
        desk.work.open.set()
        await soon(lambda: not desk.turns._count)
        await desk.take_in(0, 4, partition=7)  # never ours
    assert desk.work.done == ["fold 0: 0-4", "fold 1: 0-4", "close 10"]
    assert desk.folded_to() == 2


async def test_a_call_runs_between_two_turns_with_no_write_set_open() -> None:
    desk = Desk()
    desk.lane_idle = False
    seen: list[int] = []

    async def call() -> None:
        seen.append(desk.work.drafted)

    async with desk.running():
        desk.work.open.clear()
        await desk.take_in(0, 2 * SLICE - 1)
        calling = asyncio.create_task(desk.turns.between(call))
        await soon(lambda: bool(desk.turns._asked))
        desk.work.open.set()
        await calling
    assert seen == [0]
    await desk.turns.between(call)  # also after the end
    assert seen == [0, 0]


async def test_what_was_folded_before_a_stop_is_handed_to_the_lane() -> None:
    desk = Desk()
    desk.lane_idle = False
    desk.work.open.clear()
    async with desk.running() as stop:
        await desk.take_in(0, 2 * SLICE - 1)
        await soon(lambda: desk.work.begun == 1)
        stop.set()
        desk.work.open.set()
    assert desk.work.done == [f"fold 0: 0-{SLICE - 1}", f"close {SLICE}"]


async def test_after_the_end_nobody_waits_for_a_turn() -> None:
    desk = Desk()
    async with desk.running():
        pass
    async with asyncio.timeout(1.0):
        await desk.take_in(0, READ_AHEAD)
        await desk.turns.fire([deadline("a")], EVIDENCE)
    assert desk.work.done == []


async def test_a_stop_while_the_lane_is_blocked_leaves_nobody_waiting() -> None:
    desk = Desk()
    desk.work.writable.clear()
    async with desk.running() as stop:
        await desk.take_in(0, 0)
        await soon(lambda: desk.work.done == ["fold 0: 0-0", "close 1"])
        firing = asyncio.create_task(desk.turns.fire([deadline("a")], EVIDENCE))
        called = asyncio.create_task(desk.turns.between(desk.work.close))
        reading = asyncio.create_task(desk.take_in(1, READ_AHEAD))
        await soon(lambda: desk.turns._count >= READ_AHEAD)
        stop.set()
        desk.work.writable.set()
        async with asyncio.timeout(1.0):
            await asyncio.gather(firing, called, reading)


async def test_an_error_in_a_turn_ends_everything() -> None:
    desk = Desk()

    async def broken(holding: Holding, records: Sequence[Record]) -> None:
        raise RuntimeError("a bug")

    desk.work.on_batch = broken  # type: ignore[method-assign]  # a bug
    with pytest.raises(ExceptionGroup) as caught:
        async with desk.running():
            await desk.take_in(0, READ_AHEAD)
    assert caught.group_contains(RuntimeError, match="a bug")
