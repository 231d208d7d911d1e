"""The SQL of forgetting items: which rows may be done with, and deleting them within a write set."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from services.timer.write_set import ItemRow
from shared.db import Database

_AT_REST = "SELECT * FROM timer.item WHERE partition = $1 AND key > $2 AND next_due IS NULL ORDER BY key LIMIT $3"
_HISTORIES = """
DELETE FROM timer.history h USING unnest($1::int[], $2::text[]) AS k(partition, key)
WHERE h.partition = k.partition AND h.key = k.key
"""
_ITEMS = """
DELETE FROM timer.item i USING unnest($1::int[], $2::text[]) AS k(partition, key)
WHERE i.partition = k.partition AND i.key = k.key
"""


class RetentionStore:
    """What is read to find items that are over."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _connection(self, what: str) -> AbstractAsyncContextManager[Any]:
        return self._database.raw(what)

    async def at_rest(self, partition: int, after: str, most: int) -> list[ItemRow]:
        """The first *most* rows of a partition behind a key in which nothing is due, in order of their keys."""
        async with self._connection("look for items that are over") as connection:
            rows = await connection.fetch(_AT_REST, partition, after, most)
        return [ItemRow(*row) for row in rows]


async def delete_histories(connection: Any, names: Sequence[tuple[int, str]]) -> None:
    """Delete all history rows of these (partition, key)."""
    if names:
        await connection.execute(_HISTORIES, [partition for partition, _ in names], [key for _, key in names])


async def delete_items(connection: Any, names: Sequence[tuple[int, str]]) -> None:
    """Delete the rows of these (partition, key)."""
    if names:
        await connection.execute(_ITEMS, [partition for partition, _ in names], [key for _, key in names])
