"""Everything that changes leases at once, on a real PostgreSQL: nobody waits for somebody who waits for him."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.timer.lease_store import LeaseStore
from services.timer.store import TimerStore
from services.timer.write_set import WriteSet
from shared.db import Database
from shared.errors import Unavailable
from tests.factories import move, outbox_row

COUNT = 32
TIMES = 100


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


async def _again_and_again(change: Callable[[], Awaitable[object]]) -> None:
    for _ in range(TIMES):
        await change()


async def test_write_sets_renewals_and_notes_of_progress_never_lock_each_other_out(database: Database) -> None:
    leases, store = LeaseStore(database), TimerStore(database)
    await leases.install(COUNT)
    epochs, begun = {}, {}
    for partition in (*range(COUNT // 3, COUNT), *range(COUNT // 3)):  # whoever takes begins somewhere
        lease = await leases.take("me", partition)
        assert lease is not None
        epochs[partition], begun[partition] = lease.epoch, lease.revision

    async def write() -> None:
        for more in range(TIMES):
            moves = [move(each, epoch=epochs[each], revision=begun[each] + more) for each in range(COUNT)]
            await store.write(WriteSet(tuple(moves)))

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(write())
        published = dict.fromkeys(epochs.items(), 1)
        fed = {partition: (epoch, 1) for partition, epoch in epochs.items()}
        for change in (
            lambda: leases.renew("me", epochs),
            lambda: store.trim_outbox(published),
            lambda: store.fed(fed),
        ):
            group.create_task(_again_and_again(change))
    assert all(lease.revision == begun[lease.partition] + TIMES for lease in await leases.leases())


async def test_a_write_set_does_not_wait_for_what_is_trimmed(database: Database) -> None:
    leases, store = LeaseStore(database), TimerStore(database)
    await leases.install(COUNT)
    lease = await leases.take("me", 0)
    assert lease is not None
    moves = [move(epoch=lease.epoch, revision=lease.revision + more) for more in (0, 1)]
    position = lease.published_through + 1
    await store.write(WriteSet((moves[0],), outbox=(outbox_row(position),)))
    async with (
        asyncio.timeout(10),
        asyncio.TaskGroup() as group,
        database.raw("hold a row") as connection,
        connection.transaction(),
    ):
        await connection.fetch("SELECT 1 FROM timer.outbox FOR UPDATE")
        trimming = group.create_task(store.trim_outbox({(0, lease.epoch): position}))
        while (await leases.leases())[0].published_through < position:  # noqa: ASYNC110 # no event tells
            await asyncio.sleep(0)
        await store.write(WriteSet((moves[1],)))
        assert not trimming.done()
    assert await store.outbox(0, 0, 10) == []


async def stand_still(database: Database, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Be a process that is stopped in the middle of a write set, and goes on when others have done *meanwhile*."""
    async with database.raw("stand still") as connection, connection.transaction():
        await connection.execute("UPDATE timer.lease SET revision = revision + 1 WHERE partition = 0")
        await meanwhile()
        await connection.execute("SELECT 1")


async def test_who_stands_still_in_a_transaction_keeps_nobody_from_its_partitions(database: Database) -> None:
    leases = LeaseStore(database)
    await leases.install(COUNT)
    before, *_ = await leases.leases()

    async def taken() -> None:
        async with asyncio.timeout(2.0):  # at once, because what is owned already wants to be renewed
            assert await leases.take("me", 0) is None
        while await leases.take("me", 0) is None:  # noqa: ASYNC110 # the server ends the other one's session
            await asyncio.sleep(0.1)

    async with asyncio.timeout(30):
        with pytest.raises(Unavailable):
            await stand_still(database, taken)
    after, *_ = await leases.leases()
    assert (after.owner, after.epoch, after.revision) == ("me", before.epoch + 1, before.revision)
