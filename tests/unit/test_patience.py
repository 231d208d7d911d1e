"""Folding needs the database now and then, and waits for it, but not when the process is leaving."""

from __future__ import annotations

import asyncio

import pytest

from services.timer.holdings import Holdings
from services.timer.patience import PatientItems
from services.timer.turns import Turns
from shared.errors import Unavailable
from tests.factories import item_row
from tests.fakes_timer import FakeStore, Tables, Time, soon

A = (0, "default/ticket/a")


class Desk:
    """Items behind a database that is away."""

    def __init__(self) -> None:
        self.tables = Tables(Time(), 1)
        self.tables.items[A] = item_row(A[1])
        self.store = FakeStore(self.tables)
        self.store.down = True
        self.leaving = asyncio.Event()
        self.items = PatientItems(self.store, self.leaving)


async def test_a_question_waits_until_the_database_is_back() -> None:
    desk = Desk()
    asking = asyncio.create_task(desk.items.items([A]))
    await soon(lambda: bool(desk.leaving._waiters))
    desk.store.down = False
    async with asyncio.timeout(5.0):
        assert [row.key for row in await asking] == [A[1]]
        assert await desk.items.histories([A]) == []


async def test_who_is_leaving_does_not_wait() -> None:
    desk = Desk()
    asking = asyncio.create_task(desk.items.histories([A]))
    await soon(lambda: bool(desk.leaving._waiters))
    desk.leaving.set()
    async with asyncio.timeout(1.0):
        with pytest.raises(Unavailable):
            await asking


async def test_turns_that_wait_for_the_database_can_be_stopped() -> None:
    desk = Desk()

    class Work:
        drafted = 1

        async def close(self) -> None:
            await desk.items.items([A])

    stop = asyncio.Event()
    running = asyncio.create_task(Turns(Work(), Holdings(), lambda: True).run(stop))  # type: ignore[arg-type]  # it only closes
    await soon(lambda: bool(desk.leaving._waiters))
    stop.set()
    desk.leaving.set()
    async with asyncio.timeout(1.0):
        await running
