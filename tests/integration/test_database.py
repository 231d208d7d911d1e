"""The door to PostgreSQL: whatever keeps it from answering, callers hear `Unavailable`, and none waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from shared.db import BadData, Database
from shared.errors import Unavailable

SOON_S = 1.5


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """One connection, and little patience."""
    opened = Database(database_url, size=1, call_timeout_s=SOON_S)
    yield opened
    await opened.close()


async def test_a_transaction_whose_answer_does_not_come_is_given_up(database: Database) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable, match="wait for ever: TimeoutError"):
            async with database.transaction("wait for ever") as connection:
                await connection.exec_driver_sql("SELECT pg_sleep(30)")
        await database.check()  # the connection was not left to the next caller in the middle of an answer


async def test_a_raw_call_whose_answer_does_not_come_is_given_up(database: Database) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable, match="wait for ever: TimeoutError"):
            async with database.raw("wait for ever") as connection:
                await connection.execute("SELECT pg_sleep(30)")
        await database.check()


@pytest.mark.parametrize("way", ["transaction", "raw"])
async def test_whoever_finds_every_connection_taken_tries_again_later(database: Database, way: str) -> None:
    async with asyncio.timeout(10), database.transaction("hold the only connection"):
        with pytest.raises(Unavailable, match="find one: every connection is taken"):
            async with getattr(database, way)("find one"):
                pytest.fail("there is no other connection")


@pytest.mark.parametrize(
    "value",
    [
        "half a surrogate: \ud800",  # cannot be sent
        "a \0",  # cannot be stored
    ],
)
@pytest.mark.parametrize("way", ["transaction", "raw"])
async def test_a_value_that_cannot_be_sent_or_stored_is_to_blame_and_not_the_connection(
    database: Database, way: str, value: str
) -> None:
    with pytest.raises(BadData):
        await _store(database, way, value)
    await database.check()


async def _store(database: Database, way: str, value: str) -> None:
    if way == "raw":
        async with database.raw("store a text") as driver:
            await driver.fetchval("SELECT $1::text", value)
        return
    async with database.transaction("store a text") as connection:
        await connection.execute(text("SELECT CAST(:value AS text)"), {"value": value})
