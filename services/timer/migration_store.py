"""The SQL of migrations: items with their histories page by page, and how far a migration has come."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from services.timer.migration import Migration, Selection
from shared.db import BadData, Database
from shared.errors import Fenced, Refused

_PAGE: Final = """
SELECT partition, key, state, quarantined FROM timer.item
WHERE (partition, key) > ($1, $2) AND ($3::text IS NULL OR split_part(key, '/', 1) = $3)
    AND ($4::text IS NULL OR split_part(key, '/', 2) = $4)
ORDER BY partition, key LIMIT $5
"""
_HISTORIES: Final = """
SELECT h.partition, h.key, h.events FROM unnest($1::int[], $2::text[]) AS k(partition, key)
JOIN timer.history h USING (partition, key)
"""
_COLUMNS: Final = (
    "id, at, version, selection::text AS selection, reason, decided_by, started_at, finished_at, abandoned,"
    " after_partition, after_key, sending::text AS sending, counts::text AS counts"
)


class Place(NamedTuple):
    """An item's place among all; a page begins behind one."""

    partition: int
    key: str


START: Final = Place(-1, "")


class StoredItem(NamedTuple):
    """An item as its row says."""

    partition: int
    key: str
    state: bytes
    quarantined: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """A migration, and how far it has come."""

    migration: Migration
    selection: Selection
    started_at: datetime
    finished_at: datetime | None
    abandoned: bool
    after: Place  # the last item that was decided about
    sending: tuple[str, ...]  # items whose events may not have been sent
    counts: Mapping[str, int]


class MigrationStore:
    """Reads items for a migration, and keeps its record."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, after: Place, selection: Selection, *, limit: int, wanted: Callable[[StoredItem], bool]
    ) -> tuple[list[StoredItem], Mapping[str, list[bytes]]]:
        """(the next items in the order of partition and key, item -> packed events of those that are *wanted*).

        Both are as of one instant, so that a state and its history belong together.
        """
        async with (
            self._database.raw("read items and their histories") as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await connection.fetch(_PAGE, *after, selection.tenant, selection.kind, limit)
            items = [StoredItem(*row) for row in rows]
            chosen = [item for item in items if wanted(item)]
            found = await connection.fetch(
                _HISTORIES, [each.partition for each in chosen], [each.key for each in chosen]
            )
        histories: dict[str, list[bytes]] = {each.key: [] for each in chosen}
        for row in found:
            histories[row["key"]].append(row["events"])
        return items, histories

    async def item_count(self) -> int:
        """How many items there are, as the partitions count them."""
        async with self._database.raw("count items") as connection:
            return int(await connection.fetchval("SELECT coalesce(sum(items), 0) FROM timer.lease"))

    async def positions(self) -> Mapping[int, int]:
        """partition -> where the next record to be folded is at least."""
        async with self._database.raw("read positions") as connection:
            rows = await connection.fetch("SELECT partition, coalesce(next_offset, 0) AS next FROM timer.lease")
        return {row["partition"]: row["next"] for row in rows}

    async def begin(self, migration: Migration, selection: Selection) -> Progress:
        """Record that a migration begins.

        Raises:
            Refused: another one is not finished.
        """
        try:
            async with self._database.raw("begin a migration") as connection:
                row = await connection.fetchrow(
                    "INSERT INTO timer.migration (id, at, version, selection, reason, decided_by)"  # noqa: S608 # constant
                    f" VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_COLUMNS}",
                    migration.id,
                    migration.at,
                    migration.version,
                    json.dumps(asdict(selection)),
                    migration.reason,
                    migration.by,
                )
        except BadData as exc:
            raise Refused(
                "another migration is not finished: `--list` shows it, `--resume ID` goes on with it, `--abandon ID`"
                " gives it up"
            ) from exc
        return _progress(row)

    async def decided(
        self, before: Progress, after: Place, sending: Sequence[str], counts: Mapping[str, int]
    ) -> Progress:
        """Record what was decided about one more page, before its events are sent.

        Raises:
            Fenced: somebody else went on with the migration.
        """
        return await self._updated(
            before,
            "after_partition = $4, after_key = $5, sending = $6, counts = $7",
            *after,
            json.dumps(list(sending)),
            json.dumps(counts),
        )

    async def finished(self, before: Progress, *, abandoned: bool = False) -> Progress:
        """Record that everything was sent, or that the rest is given up.

        Raises:
            Fenced: somebody else went on with the migration.
        """
        return await self._updated(before, "finished_at = clock_timestamp(), sending = '[]', abandoned = $4", abandoned)

    async def _updated(self, before: Progress, change: str, *values: Any) -> Progress:
        async with self._database.raw("record how far a migration has come") as connection:
            row = await connection.fetchrow(
                f"UPDATE timer.migration SET {change} WHERE id = $1 AND (after_partition, after_key) = ($2, $3)"  # noqa: S608 # constant
                f" AND finished_at IS NULL RETURNING {_COLUMNS}",
                before.migration.id,
                *before.after,
                *values,
            )
        if row is None:
            raise Fenced("another process has gone on with this migration")
        return _progress(row)

    async def migrations(self) -> list[Progress]:
        """All migrations, the latest first."""
        async with self._database.raw("read migrations") as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM timer.migration ORDER BY started_at DESC, id"  # noqa: S608 # constant
            )
        return [_progress(row) for row in rows]

    async def migration(self, wanted: UUID) -> Progress:
        """The migration with this id.

        Raises:
            Refused: there is none.
        """
        found = [each for each in await self.migrations() if each.migration.id == wanted]
        if not found:
            raise Refused(f"there is no migration {wanted}; `--list` shows those that there are")
        return found[0]


def _progress(row: Mapping[str, Any]) -> Progress:
    return Progress(
        Migration(row["id"], row["at"], row["version"], row["reason"], row["decided_by"]),
        Selection(**json.loads(row["selection"])),
        row["started_at"],
        row["finished_at"],
        row["abandoned"],
        Place(row["after_partition"], row["after_key"]),
        tuple(json.loads(row["sending"])),
        json.loads(row["counts"]),
    )
