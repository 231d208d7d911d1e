"""Reading on behind records that were lost: a person says where, and the lease remembers it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.timer.lease_store import LeaseStore
from shared.db import Database


@pytest.fixture
async def leases(database_url: str) -> AsyncIterator[LeaseStore]:
    """The leases of two partitions, of which "one" owns the first."""
    database = Database(database_url, size=1)
    store = LeaseStore(database)
    await store.install(2)
    await store.take("one", 0)
    yield store
    await database.close()


async def test_a_partition_that_is_read_on_elsewhere_is_taken_from_its_owner(leases: LeaseStore) -> None:
    before = await leases.now()
    await leases.resume(0, 17)
    assert await leases.renew("one", {0: 1}) == set()
    taken = await leases.take("two", 0)
    assert taken is not None
    assert (taken.epoch, taken.next_offset) == (3, 17)
    assert taken.loss_at is not None
    assert taken.loss_at >= before
    other = await leases.take("two", 1)
    assert other is not None
    assert (other.next_offset, other.loss_at) == (None, None)
