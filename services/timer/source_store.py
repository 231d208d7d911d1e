"""The SQL of sources: when each was heard, its habits, and when everything could be heard."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

from services.timer.write_set import HearingRow, SourceRow, WriteSet
from shared.db import Database
from shared.events import Instant

_HEARD = """
INSERT INTO timer.heard AS h (partition, tenant, source, heard_at)
SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[])
ON CONFLICT (partition, tenant, source) DO UPDATE SET heard_at = greatest(h.heard_at, excluded.heard_at)
"""
_SOURCES = """
INSERT INTO timer.source (partition, tenant, source, since, latest, minutes, reported)
SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bigint[])
ON CONFLICT (partition, tenant, source) DO UPDATE SET since = excluded.since, latest = excluded.latest,
    minutes = excluded.minutes, reported = excluded.reported
"""
_HEARING = """
INSERT INTO timer.hearing (partition, through, breaks) VALUES ($1, $2, $3)
ON CONFLICT (partition) DO UPDATE SET through = excluded.through, breaks = excluded.breaks
"""


class Heard(NamedTuple):
    """When a source was last heard, on whichever partition."""

    tenant: str
    source: str
    at: Instant


class SourceStore:
    """What is read of the tables of sources; they are written with write sets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _connection(self, what: str) -> AbstractAsyncContextManager[Any]:
        return self._database.raw(what)

    async def heard(self) -> list[Heard]:
        """When each source was last heard, in no order."""
        async with self._connection("read when sources were heard") as connection:
            rows = await connection.fetch(
                "SELECT tenant, source, max(heard_at) FROM timer.heard GROUP BY tenant, source"
            )
        return [Heard(*row) for row in rows]

    async def sources(self, partition: int) -> list[SourceRow]:
        """The habits that the owner of a partition stored."""
        async with self._connection("load the habits of sources") as connection:
            rows = await connection.fetch("SELECT * FROM timer.source WHERE partition = $1", partition)
        return [SourceRow(*row) for row in rows]

    async def hearing(self, partition: int) -> HearingRow | None:
        """When everything could be heard, as the owner of a partition stored it last."""
        async with self._connection("load when sources could be heard") as connection:
            row = await connection.fetchrow("SELECT * FROM timer.hearing WHERE partition = $1", partition)
        return None if row is None else HearingRow(*row)

    async def forget(self, before: Instant) -> None:
        """Remove what was last heard before an instant."""
        async with self._connection("forget sources") as connection, connection.transaction():
            await connection.execute("DELETE FROM timer.heard WHERE heard_at < $1", before)
            await connection.execute("DELETE FROM timer.source WHERE latest < $1", before)


async def write_sources(connection: Any, write_set: WriteSet) -> None:
    """Write what a write set says about sources, within its transaction."""
    if write_set.heard:
        await connection.execute(_HEARD, *zip(*write_set.heard, strict=True))
    if write_set.sources:
        await connection.execute(_SOURCES, *zip(*write_set.sources, strict=True))
    for row in write_set.hearings:
        await connection.execute(_HEARING, *row)
