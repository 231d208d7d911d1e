"""The SQL of records that the brokers did not take: they are kept until a person has them sent or forgets them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

from services.timer.write_set import OutboxRow
from shared.db import Database

# A process that no longer owns the partition may park a row that its next owner parks too.
_PARK = """
INSERT INTO timer.parked (partition, position, topic, key, headers, value, reason)
SELECT p.*, $7 FROM unnest($1::int[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[])
    AS p(partition, position, topic, key, headers, value)
ON CONFLICT (partition, position) DO NOTHING
"""


class ParkedRow(NamedTuple):
    """A record that was put aside, and why."""

    row: OutboxRow
    reason: str


class ParkedStore:
    """The table of parked records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _connection(self, what: str) -> AbstractAsyncContextManager[Any]:
        return self._database.raw(what)

    async def park(self, rows: Sequence[OutboxRow], reason: str) -> None:
        """Keep rows of the outbox; those that are kept already stay as they are.

        Raises:
            Unavailable: the database did not answer.
        """
        async with self._connection("park records") as connection:
            await connection.execute(_PARK, *[list(column) for column in zip(*rows, strict=True)], reason)

    async def parked(self, most: int) -> list[ParkedRow]:
        """The first *most* records, in the order of their partitions and positions."""
        async with self._connection("read what is parked") as connection:
            rows = await connection.fetch(
                "SELECT partition, position, topic, key, headers, value, reason FROM timer.parked"
                " ORDER BY partition, position LIMIT $1",
                most,
            )
        return [ParkedRow(OutboxRow(*row[:-1]), row["reason"]) for row in rows]

    async def forget(self, rows: Sequence[OutboxRow]) -> None:
        """Drop records that are with the brokers by now."""
        async with self._connection("forget parked records") as connection:
            await connection.execute(
                "DELETE FROM timer.parked p USING unnest($1::int[], $2::bigint[]) AS k(partition, position)"
                " WHERE p.partition = k.partition AND p.position = k.position",
                [row.partition for row in rows],
                [row.position for row in rows],
            )
