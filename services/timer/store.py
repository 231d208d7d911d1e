"""The timer's SQL: one statement, one function, one sentence. All on asyncpg's own connection, the hot path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from services.timer.retention_store import delete_histories, delete_items
from services.timer.small_write import SMALL, columns, is_small, write_small
from services.timer.source_store import write_sources
from services.timer.write_set import ItemRow, OutboxRow, WriteSet
from shared.db import Database
from shared.errors import Fenced
from shared.events import Instant

# Whatever changes several leases locks them in partition order, because two statements that lock them in different
# orders wait for each other for a second, and then one fails.
_MOVE = """
WITH wanted AS (
    SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
        AS w(partition, epoch, revision, next_offset, published_through, items, open_clocks)
), locked AS (
    SELECT l.partition FROM timer.lease l JOIN wanted w USING (partition, epoch, revision)
    ORDER BY l.partition FOR UPDATE OF l
)
UPDATE timer.lease l SET revision = w.revision + 1, next_offset = w.next_offset, items = w.items,
    published_through = greatest(l.published_through, w.published_through), open_clocks = w.open_clocks::jsonb
FROM wanted w, locked WHERE l.partition = w.partition AND locked.partition = w.partition
RETURNING l.partition
"""
# A position is never given out twice, so it must be known which were, also when the rows are gone.
_NOTE_PUBLISHED = """
WITH wanted AS (
    SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS w(partition, epoch, position)
), locked AS (
    SELECT l.partition FROM timer.lease l JOIN wanted w USING (partition, epoch) ORDER BY l.partition FOR UPDATE OF l
)
UPDATE timer.lease l SET published_through = greatest(l.published_through, w.position)
FROM wanted w, locked WHERE l.partition = w.partition AND locked.partition = w.partition
RETURNING l.partition, l.published_through
"""
# By itself: a write set that waited for the leases of 2,000 rows that are deleted came 100 ms late.
_TRIM = """
DELETE FROM timer.outbox o USING unnest($1::int[], $2::bigint[]) AS p(partition, position)
WHERE o.partition = p.partition AND o.position <= p.position
"""
_FED = """
WITH wanted AS (
    SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS w(partition, epoch, revision)
), locked AS (
    SELECT l.partition FROM timer.lease l JOIN wanted w USING (partition, epoch) ORDER BY l.partition FOR UPDATE OF l
)
UPDATE timer.lease l SET told_below = greatest(l.told_below, w.revision)
FROM wanted w, locked WHERE l.partition = w.partition AND locked.partition = w.partition
"""
_STAGE = """
CREATE TEMP TABLE IF NOT EXISTS staged_item (partition int, key text, state bytea, ledger bytea, next_due bigint,
    clock_states int, quarantined boolean, seen bytea, revision bigint, retired text) ON COMMIT DELETE ROWS
"""
_MERGE = """
INSERT INTO timer.item (partition, key, state, ledger, next_due, clock_states, quarantined, seen,
    revision, retired)
SELECT * FROM staged_item
ON CONFLICT (partition, key) DO UPDATE SET state = excluded.state, ledger = excluded.ledger,
    next_due = excluded.next_due, clock_states = excluded.clock_states, quarantined = excluded.quarantined,
    seen = excluded.seen, revision = excluded.revision, retired = excluded.retired
"""
_UPSERT = """
INSERT INTO timer.item (partition, key, state, ledger, next_due, clock_states, quarantined, seen,
    revision, retired)
SELECT * FROM unnest($1::int[], $2::text[], $3::bytea[], $4::bytea[], $5::bigint[], $6::int[], $7::bool[], $8::bytea[],
    $9::bigint[], $10::text[])
ON CONFLICT (partition, key) DO UPDATE SET state = excluded.state, ledger = excluded.ledger,
    next_due = excluded.next_due, clock_states = excluded.clock_states, quarantined = excluded.quarantined,
    seen = excluded.seen, revision = excluded.revision, retired = excluded.retired
"""


class TimerStore:
    """The timer's tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _connection(self, what: str) -> AbstractAsyncContextManager[Any]:
        return self._database.raw(what)

    # --- the write lane ---

    async def write(self, write_set: WriteSet) -> None:
        """Write everything in one transaction.

        Raises:
            Fenced: a lease is not as the write set expects; nothing was written.
            Unavailable: the database did not answer; it may have been written, see `standing`.
            BadData: the database refuses a value; nothing was written.
        """
        wanted = len(write_set.moves)
        async with self._connection("write a batch") as connection:
            if is_small(write_set):
                if await write_small(connection, write_set) != wanted:
                    raise Fenced(f"some of {wanted} leases are not ours")
                return
            async with connection.transaction():
                moved = await connection.fetch(_MOVE, *columns(write_set.moves, 7))
                if len(moved) != wanted:
                    raise Fenced(f"{wanted - len(moved)} of {wanted} leases are not ours")
                await _write_rows(connection, write_set)

    async def try_out(self, write_set: WriteSet) -> None:
        """Write the rows, without the moves, and take them back.

        Raises:
            BadData: the database refuses a value.
            Unavailable: the database did not answer.
        """
        async with self._connection("try out a batch") as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await _write_rows(connection, write_set)
            finally:
                await transaction.rollback()

    async def standing(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        """partition -> (epoch, revision) as the database has them."""
        async with self._connection("read leases") as connection:
            rows = await connection.fetch(
                "SELECT partition, epoch, revision FROM timer.lease WHERE partition = ANY($1::int[])", list(partitions)
            )
        return {row["partition"]: (row["epoch"], row["revision"]) for row in rows}

    async def trim_outbox(self, published: Mapping[tuple[int, int], int]) -> None:
        """Delete what was published: (partition, epoch) -> position, that one included; of other epochs nothing."""
        partitions, epochs = [partition for partition, _ in published], [epoch for _, epoch in published]
        async with self._connection("trim the outbox") as connection:
            ours = await connection.fetch(_NOTE_PUBLISHED, partitions, epochs, list(published.values()))
            through = [row["published_through"] for row in ours]
            await connection.execute(_TRIM, [row["partition"] for row in ours], through)

    # --- items ---

    async def items(self, keys: Sequence[tuple[int, str]]) -> list[ItemRow]:
        """The rows of the (partition, key) that exist, in no order."""
        async with self._connection("load items") as connection:
            rows = await connection.fetch(
                "SELECT i.* FROM unnest($1::int[], $2::text[]) AS k(partition, key)"
                " JOIN timer.item i USING (partition, key)",
                [partition for partition, _ in keys],
                [key for _, key in keys],
            )
        return [ItemRow(*row) for row in rows]

    async def partition_items(self, partition: int) -> list[ItemRow]:
        """All rows of a partition; for one that is known to be small."""
        async with self._connection("load a partition") as connection:
            rows = await connection.fetch("SELECT * FROM timer.item WHERE partition = $1", partition)
        return [ItemRow(*row) for row in rows]

    async def changed(self, partition: int, revision: int) -> list[str]:
        """The keys of the items that were written by a revision or later."""
        async with self._connection("look for changed items") as connection:
            rows = await connection.fetch(
                "SELECT key FROM timer.item WHERE partition = $1 AND revision >= $2", partition, revision
            )
        return [row["key"] for row in rows]

    async def fed(self, revisions: Mapping[int, tuple[int, int]]) -> None:
        """Store below which revision the states of clocks were told: partition -> (epoch, revision)."""
        async with self._connection("note how far the feed has come") as connection:
            await connection.execute(
                _FED,
                list(revisions),
                [epoch for epoch, _ in revisions.values()],
                [revision for _, revision in revisions.values()],
            )

    async def histories(self, keys: Sequence[tuple[int, str]]) -> list[tuple[int, str, bytes]]:
        """(partition, key, events) of each committed history row of these items, the oldest first for an item."""
        async with self._connection("load histories") as connection:
            rows = await connection.fetch(
                "SELECT h.partition, h.key, h.events FROM unnest($1::int[], $2::text[]) AS k(partition, key)"
                " JOIN timer.history h USING (partition, key) ORDER BY h.partition, h.key, h.revision",
                [partition for partition, _ in keys],
                [key for _, key in keys],
            )
        return [tuple(row) for row in rows]

    async def deadlines(self, partitions: Sequence[int], horizon: Instant) -> list[tuple[Instant, int, str]]:
        """(next_due, partition, key) of every item that is due up to *horizon*."""
        async with self._connection("load deadlines") as connection:
            rows = await connection.fetch(
                "SELECT next_due, partition, key FROM timer.item WHERE partition = ANY($1::int[]) AND next_due <= $2",
                list(partitions),
                horizon,
            )
        return [tuple(row) for row in rows]

    async def outbox(self, partition: int, after: int, most: int) -> list[OutboxRow]:
        """The first *most* rows that were committed beyond a position, in order."""
        async with self._connection("load the outbox") as connection:
            rows = await connection.fetch(
                "SELECT partition, position, topic, key, headers, value FROM timer.outbox"
                " WHERE partition = $1 AND position > $2 ORDER BY position LIMIT $3",
                partition,
                after,
                most,
            )
        return [OutboxRow(*row) for row in rows]

    async def outbox_oldest(self, published: Mapping[int, int]) -> Instant | None:
        """When the oldest record beyond the *published* position of its partition was committed; None without one."""
        async with self._connection("look at the outbox") as connection:
            found = await connection.fetchval(
                "SELECT (extract(epoch FROM min(first.created_at)) * 1000000)::bigint"
                " FROM unnest($1::int[], $2::bigint[]) AS p(partition, position), LATERAL"
                " (SELECT o.created_at FROM timer.outbox o WHERE o.partition = p.partition AND o.position > p.position"
                " ORDER BY o.position LIMIT 1) AS first",
                list(published),
                list(published.values()),
            )
        return None if found is None else int(found)

    async def outbox_end(self, partition: int) -> int:
        """The highest position in a partition's outbox; 0 when it is empty."""
        async with self._connection("read the outbox's end") as connection:
            return int(
                await connection.fetchval(
                    "SELECT coalesce(max(position), 0) FROM timer.outbox WHERE partition = $1", partition
                )
            )


async def _write_rows(connection: Any, write_set: WriteSet) -> None:
    await delete_histories(connection, [*(row[:2] for row in write_set.rewritten), *write_set.removed])
    await delete_items(connection, write_set.removed)
    await _write_items(connection, write_set.items)
    if history := write_set.history + write_set.rewritten:
        await connection.copy_records_to_table("history", records=history, schema_name="timer")
    if write_set.outbox:
        await connection.copy_records_to_table(
            "outbox", records=write_set.outbox, columns=OutboxRow._fields, schema_name="timer"
        )
    await write_sources(connection, write_set)


async def _write_items(connection: Any, items: Sequence[ItemRow]) -> None:
    if not items:
        return
    if len(items) <= SMALL:
        await connection.execute(_UPSERT, *columns(items, 10))
        return
    await connection.execute(_STAGE)
    await connection.copy_records_to_table("staged_item", records=items)
    await connection.execute(_MERGE)
