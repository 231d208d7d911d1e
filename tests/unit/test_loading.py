"""Bringing items into memory: in one question for many partitions, and never what is no longer so."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.timer import fold
from shared.events import Event
from tests.fakes import FakeRecord
from tests.histories import event
from tests.timer_desk import ITEM, RULES, Desk, created

OTHER = "default/ticket/2"


def other(number: int) -> Event:
    """The creation of another ticket."""
    return replace(created(number), subject="2")


async def prepared(desk: Desk, *batches: tuple[int, Event]) -> None:
    """Prepare the timer for one event of each of these partitions."""
    await desk.timer.prepare([(desk.holdings.partitions[number], desk.records([each])) for number, each in batches])


async def test_the_items_of_several_partitions_are_asked_for_together() -> None:
    desk = Desk(complete=False)
    await prepared(desk, (0, created()), (1, other(2)))
    assert desk.store.asked == [[(0, ITEM), (1, OTHER)]]
    await desk.fold(created())
    assert len(desk.store.asked) == 1


async def test_what_is_due_in_several_partitions_is_asked_for_together() -> None:
    desk = Desk(complete=False)
    await desk.fire((0, 0, ITEM), (0, 1, OTHER), (0, 0, OTHER))
    assert desk.store.asked == [[(0, ITEM), (0, OTHER), (1, OTHER)]]


async def test_an_item_that_was_not_there_and_came_to_be_is_asked_for_once_it_left_the_memory() -> None:
    desk = Desk(keep_items=0, complete=False)
    await prepared(desk, (0, created()))
    await desk.write(created())
    await desk.timer.close()
    assert desk.holding.items == {}
    await desk.write(event("09:05 agent_replied", number=2))
    assert desk.stored().state == fold.refold([created(), event("09:05 agent_replied", number=2)], RULES)


async def test_an_item_of_several_batches_is_read_once() -> None:
    desk = Desk(keep_items=0, complete=False)
    await desk.write(created())
    await desk.timer.close()
    batches = [(desk.holding, desk.records([event(f"09:0{number} updated", number=number)])) for number in (2, 3)]
    await desk.timer.prepare(batches)
    assert desk.store.asked[-1] == [(0, ITEM)]


async def test_what_leaves_the_memory_while_a_write_set_is_closed_first_is_read_again() -> None:
    desk = Desk(keep_items=2, complete=False)  # one in each partition
    await desk.write(other(1))
    await desk.write(created(2), event("09:30 resolved", number=3))
    desk.holding.use(desk.stored(OTHER))
    desk.timer.draft().remove(desk.holding, ITEM)
    await desk.fold(replace(created(4), subject="3"), replace(created(5), subject="4"))
    reply = replace(event("09:10 agent_replied", number=7), subject="2")
    await desk.write(event("11:00 reopened", number=6), reply)
    assert desk.stored(OTHER).state == fold.refold([other(1), reply], RULES)


async def test_a_record_without_a_readable_key_is_not_prepared_for() -> None:
    desk = Desk(complete=False)
    await desk.timer.prepare([(desk.holding, [FakeRecord(b"", key=None), FakeRecord(b"", key=b"\xff")])])
    assert desk.store.asked == [[(0, "\ufffd")]]


@pytest.mark.parametrize("complete", [True, False])
async def test_who_comes_back_while_it_is_being_forgotten_begins_anew(complete: bool) -> None:
    desk = Desk()
    await desk.write(created(), event("09:30 resolved", number=2))
    desk.holding.complete = complete
    desk.timer.draft().remove(desk.holding, ITEM)
    await desk.write(event("11:00 reopened", number=3))
    assert desk.stored().state == fold.refold([event("11:00 reopened", number=3)], RULES)
    assert desk.history() == ["003"]
    assert desk.holding.leaving == set()
    assert desk.tables.leases[0].items == 1
