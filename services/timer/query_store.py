"""The SQL behind the timer's API: reads only, built by SQLAlchemy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    func,
    select,
    true,
    tuple_,
)

from shared.db import Database
from shared.events import Instant

_metadata: Final = MetaData(schema="timer")
_item: Final = Table(
    "item",
    _metadata,
    Column("partition", Integer, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("state", LargeBinary),
    Column("ledger", LargeBinary),
    Column("next_due", BigInteger),
    Column("clock_states", Integer),
    Column("quarantined", Boolean),
)
_history: Final = Table(
    "history",
    _metadata,
    Column("partition", Integer, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("events", LargeBinary),
)
_LEASE: Final = Table("lease", _metadata, Column("partition", Integer, primary_key=True))
_SHOWN: Final = (_item.c.partition, _item.c.key, _item.c.state, _item.c.ledger, _item.c.next_due, _item.c.quarantined)


class StoredItem(NamedTuple):
    """An item as it is stored."""

    partition: int
    key: str
    state: bytes
    ledger: bytes
    next_due: Instant | None
    quarantined: bool


class Page(NamedTuple):
    """Where a page of items begins, how long it is, and whose they are."""

    after: tuple[int, int, str] | None  # (next_due, partition, key) of the last item of the page before
    limit: int
    tenant: str | None = None  # None: everybody's


class QueryStore:
    """Reads items."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def item(self, partition: int, key: str) -> StoredItem | None:
        """One item, or None."""
        query = select(*_SHOWN).where(_item.c.partition == partition, _item.c.key == key)
        found = await self._rows(query)
        return found[0] if found else None

    async def history(self, partition: int, key: str) -> list[bytes]:
        """The packed events of each committed history row of an item, the oldest first; empty without such an item."""
        query = select(_history.c.events).where(_history.c.partition == partition, _history.c.key == key)
        async with self._database.transaction("read a history") as connection:
            return list((await connection.execute(query.order_by(_history.c.revision))).scalars())

    async def due(self, states: int, before: Instant | None, page: Page) -> list[StoredItem]:
        """Items that have something to come, the earliest first, with a clock in one of *states* (bits).

        Each partition gives its first ones by its index, and the page is chosen among these: sorting all open items
        for every page would take a second for a million of them.
        """
        place = tuple_(_item.c.next_due, _item.c.partition, _item.c.key)
        wanted = [_item.c.next_due.is_not(None), _item.c.clock_states.op("&")(states) != 0]
        wanted += _of(page.tenant)
        if before is not None:
            wanted.append(_item.c.next_due < before)
        if page.after is not None:
            wanted += [_item.c.next_due >= page.after[0], place > page.after]
        first = (
            select(*_SHOWN)
            .where(_item.c.partition == _LEASE.c.partition, *wanted)
            .order_by(_item.c.next_due, _item.c.key)
            .limit(page.limit)
            .lateral("first")
        )
        query = select(first).select_from(_LEASE.join(first, true()))
        return await self._rows(query.order_by(first.c.next_due, first.c.partition, first.c.key).limit(page.limit))

    async def all(self, states: int, page: Page) -> list[StoredItem]:
        """Items in the order of their keys, with a clock in one of *states* (bits)."""
        query = select(*_SHOWN).where(_item.c.clock_states.op("&")(states) != 0, *_of(page.tenant))
        if page.after is not None:
            query = query.where(tuple_(_item.c.partition, _item.c.key) > page.after[1:])
        return await self._rows(query.order_by(_item.c.partition, _item.c.key).limit(page.limit))

    async def partitions(self) -> int:
        """The number of partitions that the installation was frozen at."""
        async with self._database.transaction("read the partition count") as connection:
            return int((await connection.execute(select(func.count()).select_from(_LEASE))).scalar_one())

    async def quarantined(self) -> list[str]:
        """The keys of all items that are set aside, in order; it reads the whole table."""
        query = select(_item.c.key).where(_item.c.quarantined).order_by(_item.c.key)
        async with self._database.transaction("read quarantined items") as connection:
            return list((await connection.execute(query)).scalars())

    async def _rows(self, query: Select[Any]) -> list[StoredItem]:
        async with self._database.transaction("read items") as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
        return [StoredItem(*row) for row in rows]


def _of(tenant: str | None) -> list[ColumnElement[bool]]:
    return [] if tenant is None else [func.starts_with(_item.c.key, f"{tenant}/")]
