"""The write lane: what becomes of a write set when the database answers, does not, or says no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest

from services.timer.held import Held
from services.timer.lane import Lane
from services.timer.write_set import WriteSet, unpack_headers
from shared.db import BadData
from shared.events import Topics
from tests.factories import item_row, outbox_row, ticket_event, write_set
from tests.fakes_timer import FakeStore, Tables, Time, soon

A, B = "default/ticket/a", "default/ticket/b"


class Desk:
    """A lane with its database, what it committed and what it lost."""

    def __init__(self, partitions: int = 3) -> None:
        self.tables = Tables(Time(), partitions)
        for row in self.tables.leases.values():
            row.epoch = 1
        self.store = FakeStore(self.tables)
        self.committed: list[WriteSet] = []
        self.lost: list[int] = []
        self.leaving = asyncio.Event()
        self.lane = Lane(self.store, committed=self.committed.append, lost=self.lost.append, topics=Topics())

    @property
    def positions(self) -> list[int]:
        """The outbox positions that were handed on, in order."""
        return [row.position for each in self.committed for row in each.outbox]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The lane at work; it ends with the block."""
        stop = asyncio.Event()
        async with asyncio.timeout(10.0), asyncio.TaskGroup() as group:
            group.create_task(self.lane.run(stop, self.leaving))
            yield
            stop.set()

    async def write(self, *write_sets: WriteSet, held: Sequence[Held] = ()) -> None:
        """Put write sets in, one after the other, and wait for their outcome."""
        async with self.running():
            for each in write_sets:
                await self.lane.put(each, list(held))
            await self.lane.drained()


def both(first: WriteSet, second: WriteSet) -> WriteSet:
    """Two write sets of different partitions as one."""
    return WriteSet(
        first.moves + second.moves,
        first.items + second.items,
        first.history + second.history,
        first.outbox + second.outbox,
        {**first.free, **second.free},
    )


def item(key: str) -> Held:
    """An item that is pinned by one write set."""
    held = Held(key)
    held.pin()
    held.recent[-1].append(ticket_event())
    return held


async def test_write_sets_are_committed_in_order_and_handed_on() -> None:
    desk = Desk()
    await desk.write(write_set(A), write_set(A, B, revision=1), write_set(B, revision=2))
    assert [each.moves[0].revision for each in desk.store.written] == [0, 1, 2]
    assert desk.positions == [1, 10_001, 10_002, 20_001]
    assert desk.tables.leases[0].next_offset == 30


@pytest.mark.parametrize(
    ("troubles", "writes"),
    [
        (["lost"], 1),  # nothing was written: the same bytes again
        (["unanswered"], 1),  # it was written, and must not be again
        (["lost", "lost", "unanswered"], 1),
        (["unanswered", "unanswered"], 2),  # both write sets were, each once
    ],
)
async def test_an_outcome_that_is_not_known_is_read(troubles: list[str], writes: int) -> None:
    desk = Desk()
    desk.store.troubles = troubles
    sets = [write_set(A, revision=number) for number in range(writes)]
    await desk.write(*sets)
    assert desk.store.written == sets
    assert desk.positions == [10_000 * number + 1 for number in range(writes)]
    assert desk.lost == []


async def test_the_next_begins_only_when_the_outcome_of_the_one_before_is_known() -> None:
    desk = Desk()
    async with desk.running():
        desk.store.down = True
        await desk.lane.put(write_set(A), [])
        await desk.lane.put(write_set(A, revision=1), [])
        await soon(lambda: desk.store.begun > 0)
        assert not desk.lane.idle
        assert desk.store.written == []
        desk.store.down = False
        await desk.lane.drained()
        assert desk.lane.idle
    assert [each.moves[0].revision for each in desk.store.written] == [0, 1]


async def test_a_partition_that_another_process_owns_is_dropped_and_the_others_are_written() -> None:
    desk = Desk()
    desk.tables.leases[1].epoch = 2
    await desk.write(both(both(write_set(A), write_set(B, partition=1)), write_set(A, partition=2)))
    assert desk.lost == [1]
    assert [move.partition for each in desk.store.written for move in each.moves] == [0, 2]
    assert {partition for partition, _ in desk.tables.items} == {0, 2}
    assert [row.partition for each in desk.committed for row in each.outbox] == [0, 2]


async def test_a_write_set_of_lost_partitions_alone_writes_nothing() -> None:
    desk = Desk()
    desk.tables.leases[0].epoch = 2
    await desk.write(write_set(A), write_set(A, revision=1))
    assert desk.lost == [0, 0]
    assert desk.store.written == []
    assert desk.positions == []


async def test_a_partition_without_a_row_is_not_ours() -> None:
    desk = Desk(partitions=1)
    await desk.write(write_set(A, partition=7))
    assert desk.lost == [7]


async def test_items_are_unpinned_once_the_outcome_is_known() -> None:
    desk = Desk()
    held = item(A)
    held.pin()
    await desk.write(write_set(A), held=[held])
    assert held.recent == ([],)  # what was committed is forgotten, also while the item is in another write set
    await desk.write(write_set(A, revision=1), held=[held])
    assert held.pins == 0


async def test_drained_waits_for_what_was_put_in_before_and_for_no_more() -> None:
    desk = Desk()
    async with desk.running():
        desk.store.down = True
        await desk.lane.put(write_set(A), [])
        draining = asyncio.create_task(desk.lane.drained())
        await desk.lane.put(write_set(A, revision=1), [])
        blocked = asyncio.create_task(desk.lane.put(write_set(A, revision=2), []))
        assert not draining.done()
        desk.store.down = False
        # Something is always on its way here, as under load.
        await soon(draining.done)
        await blocked


async def test_stopping_while_the_database_is_away_does_not_hang() -> None:
    desk = Desk()
    desk.store.down = True
    async with asyncio.timeout(5.0):
        async with desk.running():
            await desk.lane.put(write_set(A), [])
            await desk.lane.put(write_set(A, revision=1), [])
            blocked = asyncio.create_task(desk.lane.put(write_set(A, revision=2), []))
            desk.leaving.set()
            await blocked
            await desk.lane.drained()
    assert desk.store.written == []
    assert desk.positions == []


async def test_what_was_given_up_at_a_stop_is_not_overtaken() -> None:
    desk = Desk()
    desk.store.troubles = ["lost"]
    desk.leaving.set()
    await desk.write(write_set(A), write_set(A, revision=1))
    assert desk.store.written == []
    assert desk.lost == []


async def test_an_item_that_the_database_refuses_is_quarantined_and_the_others_are_written() -> None:
    desk = Desk()
    desk.store.refuses = {A}
    bad, good = item(A), item(B)
    await desk.write(write_set(A, B, *(f"default/ticket/{n}" for n in range(100))), held=[bad, good])
    assert (bad.quarantined, good.quarantined) == (True, False)
    assert len(desk.tables.items) == 101
    assert (0, A) not in desk.tables.items
    letters = [row for row in desk.tables.outbox.values() if row.topic == "sla.deadletters.v1"]
    assert [letter.key for letter in letters] == [A.encode()]
    headers = dict(unpack_headers(letters[0].headers))
    assert headers["plazo_reason"] == b"quarantined"
    assert headers["ce_id"] == b"a-0"
    breaches = [row.key for row in desk.tables.outbox.values() if row.topic == "sla.breaches.v1"]
    assert len(breaches) == 101
    assert A.encode() not in breaches


async def test_dead_letters_take_positions_that_nothing_else_has() -> None:
    desk = Desk()
    desk.store.refuses = {A, B}
    first = write_set(A, "default/ticket/c", B)
    await desk.write(first, write_set("default/ticket/c", revision=1))
    assert desk.positions == [2, 4, 5, 10_001]


async def test_an_item_whose_history_alone_is_refused_keeps_its_row() -> None:
    desk = Desk()
    original = desk.store.try_out

    async def try_out(write_set: WriteSet) -> None:
        if any(row.key == A for row in write_set.history):
            raise BadData("the row is there already")
        await original(write_set)

    desk.store.try_out = try_out  # type: ignore[method-assign]  # the fake refuses by other rules here
    await desk.write(write_set(A, B))
    assert {key: row.quarantined for (_, key), row in desk.tables.items.items()} == {A: True, B: False}
    assert [row.topic for _, row in sorted(desk.tables.outbox.items())] == ["sla.breaches.v1"] * 2 + [
        "sla.deadletters.v1"
    ]


async def test_dead_letters_of_a_refused_item_are_kept() -> None:
    desk = Desk()
    desk.store.refuses = {A}
    letter = outbox_row(50, topic="sla.deadletters.v1", key=A.encode())
    refused = write_set(A)
    await desk.write(replace(refused, outbox=(*refused.outbox, letter), free={0: 51}))
    assert desk.positions == [50, 51]


async def test_a_refusal_that_no_item_is_to_blame_for_ends_the_process() -> None:
    desk = Desk()

    async def write(write_set: WriteSet) -> None:
        raise BadData("a number is out of range")

    desk.store.write = write  # type: ignore[method-assign]  # the fake refuses by other rules here
    with pytest.raises(ExceptionGroup) as caught:
        await desk.write(write_set(A))
    assert caught.group_contains(BadData)


async def test_the_outcome_of_a_healed_write_set_is_read_too() -> None:
    desk = Desk()
    desk.store.refuses = {A}
    desk.store.troubles = ["", "unanswered"]
    await desk.write(write_set(A, B))
    assert len(desk.store.written) == 1
    assert desk.positions == [2, 3]
    assert msgspec.msgpack.decode(desk.committed[-1].outbox[-1].headers)
    assert item_row(B) in desk.committed[-1].items
