"""Everything that changes leases at once, on a real PostgreSQL: nobody waits for somebody who waits for him."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.timer.lease_store import LeaseStore
from services.timer.store import TimerStore
from services.timer.write_set import WriteSet
from shared.db import Database
from tests.factories import move

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
    epochs = {}
    for partition in (*range(COUNT // 3, COUNT), *range(COUNT // 3)):  # whoever takes begins somewhere
        lease = await leases.take("me", partition)
        assert lease is not None
        epochs[partition] = lease.epoch

    async def write() -> None:
        for revision in range(TIMES):
            moves = [move(partition, epoch=epochs[partition], revision=revision) for partition in range(COUNT)]
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
    assert all(lease.revision == TIMES for lease in await leases.leases())
