"""A small write set in one statement: what fires is in the database after one round trip, not six.

A statement by itself is a transaction. Where a lease is not as expected it writes nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from services.timer.write_set import WriteSet

SMALL: Final = 200  # rows up to which one statement is quicker than COPY

_WRITE: Final = """
WITH wanted AS (
    SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
        AS w(partition, epoch, revision, next_offset, published_through, items, open_clocks)
), locked AS (
    SELECT l.partition FROM timer.lease l JOIN wanted w USING (partition, epoch, revision)
    ORDER BY l.partition FOR UPDATE OF l
), ours AS (
    SELECT count(*) = cardinality($1::int[]) AS all_of_them FROM locked
), moved AS (
    UPDATE timer.lease l SET revision = w.revision + 1, next_offset = w.next_offset, items = w.items,
        published_through = greatest(l.published_through, w.published_through), open_clocks = w.open_clocks::jsonb
    FROM wanted w, ours WHERE l.partition = w.partition AND ours.all_of_them
    RETURNING l.partition
), items AS (
    INSERT INTO timer.item (partition, key, state, ledger, next_due, clock_states, quarantined, seen, revision, retired)
    SELECT i.* FROM unnest($8::int[], $9::text[], $10::bytea[], $11::bytea[], $12::bigint[], $13::int[], $14::bool[],
        $15::bytea[], $16::bigint[], $17::text[]) AS i, ours WHERE ours.all_of_them
    ON CONFLICT (partition, key) DO UPDATE SET state = excluded.state, ledger = excluded.ledger,
        next_due = excluded.next_due, clock_states = excluded.clock_states, quarantined = excluded.quarantined,
        seen = excluded.seen, revision = excluded.revision, retired = excluded.retired
), history AS (
    INSERT INTO timer.history (partition, key, revision, events)
    SELECT h.* FROM unnest($18::int[], $19::text[], $20::bigint[], $21::bytea[]) AS h, ours WHERE ours.all_of_them
), outbox AS (
    INSERT INTO timer.outbox (partition, position, topic, key, headers, value)
    SELECT o.* FROM unnest($22::int[], $23::bigint[], $24::text[], $25::bytea[], $26::bytea[], $27::bytea[]) AS o, ours
    WHERE ours.all_of_them
)
SELECT count(*) FROM moved
"""
_WIDTHS: Final = (7, 10, 4, 6)


def is_small(write_set: WriteSet) -> bool:
    """Whether one statement can write it, and does so sooner."""
    more = write_set.rewritten or write_set.removed or write_set.heard or write_set.sources or write_set.hearings
    return not more and max(len(write_set.items), len(write_set.history), len(write_set.outbox)) <= SMALL


async def write_small(connection: Any, write_set: WriteSet) -> int:
    """Write all of it, or nothing; how many of its leases were as expected and ours, if all of them were, else 0."""
    tables = (write_set.moves, write_set.items, write_set.history, write_set.outbox)
    arrays = [each for rows, width in zip(tables, _WIDTHS, strict=True) for each in columns(rows, width)]
    return int(await connection.fetchval(_WRITE, *arrays))


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """The columns of *rows*, as `unnest` takes them; empty ones where there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
