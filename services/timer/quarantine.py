"""Finding the items that only the database refuses, and what is written in their stead."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

import msgspec

from services.timer.burial import folded_record
from services.timer.write_set import HistoryRow, OutboxRow, WriteSet, pack_headers
from shared.db import BadData
from shared.deadletters import dead_letter
from shared.errors import BadRecord
from shared.events import Event, Topics

_EVENTS: Final = msgspec.msgpack.Decoder(list[Event])
REASON: Final = "the database refuses what the item would become"

Name = tuple[int, str]  # partition, key of the item


class Tries(Protocol):
    """What is asked of the database."""

    async def try_out(self, write_set: WriteSet) -> None:
        """Write the rows and take them back."""


class Rejected(NamedTuple):
    """A write set that the database takes, and the items that it could not have in it."""

    write_set: WriteSet
    items: tuple[str, ...]  # their keys


async def set_aside(tables: Tries, write_set: WriteSet, topics: Topics) -> Rejected:
    """Quarantine the items that the database refuses; their events become dead letters.

    No item is to blame where the refusal has another cause; then the write set stays as it is.

    Raises:
        Unavailable: the database did not answer.
    """
    found = await refused_items(tables, write_set)
    for name in found:
        write_set = await _without(tables, write_set, name, topics)
    return Rejected(write_set, tuple(key for _, key in found))


async def refused_items(tables: Tries, write_set: WriteSet) -> list[Name]:
    """The items whose rows the database refuses, found by halving: two tries for each level and refused item."""
    names = {(row.partition, row.key): None for row in write_set.items}
    return await _refused(tables, write_set, list(names))


async def _refused(tables: Tries, write_set: WriteSet, names: list[Name]) -> list[Name]:
    if not names or await _fits(tables, _only(write_set, set(names))):
        return []
    if len(names) == 1:
        return names
    half = len(names) // 2
    first = await _refused(tables, write_set, names[:half])
    return first + await _refused(tables, write_set, names[half:])


async def _without(tables: Tries, write_set: WriteSet, name: Name, topics: Topics) -> WriteSet:
    """The write set with the item quarantined in it; without it where not even that is taken."""
    mine = _only(write_set, {name})
    others = _others(write_set, name)
    items = tuple(row._replace(quarantined=True) for row in mine.items)
    set_apart = replace(mine, items=items, history=(), rewritten=())
    letters_before = tuple(row for row in mine.outbox if row.topic == topics.deadletters)
    kept = set_apart if await _fits(tables, set_apart) else WriteSet((), outbox=letters_before)
    letters = _letters(mine.history + mine.rewritten, write_set.free[name[0]], topics)
    return replace(
        others,
        items=others.items + kept.items,
        outbox=_ordered(others.outbox + kept.outbox) + letters,
        free={**write_set.free, name[0]: write_set.free[name[0]] + len(letters)},
    )


def _letters(history: tuple[HistoryRow, ...], first: int, topics: Topics) -> tuple[OutboxRow, ...]:
    rows: list[OutboxRow] = []
    for kept in history:
        for event in _EVENTS.decode(kept.events):
            record = folded_record(event, topics.events, kept.partition)
            letter = dead_letter(record, BadRecord("quarantined", REASON), stage="timer")
            packed = pack_headers(letter.headers)
            rows.append(
                OutboxRow(kept.partition, first + len(rows), topics.deadletters, letter.key, packed, letter.value)
            )
    return tuple(rows)


async def _fits(tables: Tries, write_set: WriteSet) -> bool:
    try:
        await tables.try_out(write_set)
    except BadData:
        return False
    return True


def _only(write_set: WriteSet, names: Collection[Name]) -> WriteSet:
    keys = {(partition, key.encode(errors="replace")) for partition, key in names}
    return WriteSet(
        (),
        tuple(row for row in write_set.items if (row.partition, row.key) in names),
        tuple(row for row in write_set.history if (row.partition, row.key) in names),
        tuple(row for row in write_set.outbox if (row.partition, row.key) in keys),
        rewritten=tuple(row for row in write_set.rewritten if (row.partition, row.key) in names),
    )


def _others(write_set: WriteSet, name: Name) -> WriteSet:
    mine = _only(write_set, {name})
    return replace(
        write_set,
        items=tuple(row for row in write_set.items if row not in mine.items),
        history=tuple(row for row in write_set.history if row not in mine.history),
        outbox=tuple(row for row in write_set.outbox if row not in mine.outbox),
        rewritten=tuple(row for row in write_set.rewritten if row not in mine.rewritten),
    )


def _ordered(rows: tuple[OutboxRow, ...]) -> tuple[OutboxRow, ...]:
    return tuple(sorted(rows, key=lambda row: (row.partition, row.position)))
