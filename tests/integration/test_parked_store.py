"""Records that the brokers did not take stay in the database until somebody has them sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.timer.parked_store import ParkedRow, ParkedStore
from shared.db import Database
from tests.factories import outbox_row


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[ParkedStore]:
    """The table of a fresh database."""
    database = Database(database_url, size=1)
    yield ParkedStore(database)
    await database.close()


async def test_what_is_parked_is_kept_once_with_its_first_reason_until_it_is_forgotten(store: ParkedStore) -> None:
    first, second = outbox_row(1, 0, value=b"a"), outbox_row(2, 1, value=None)
    await store.park([first], "too large")
    await store.park([first, second], "another owner found it too")
    assert await store.parked(10) == [ParkedRow(first, "too large"), ParkedRow(second, "another owner found it too")]
    assert await store.parked(1) == [ParkedRow(first, "too large")]
    await store.forget([first])
    assert [row.row for row in await store.parked(10)] == [second]
