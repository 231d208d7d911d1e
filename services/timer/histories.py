"""What is stored of items: their states, and the events that made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final, Protocol

import msgspec

from services.timer.held import Held
from services.timer.holdings import Holding
from services.timer.write_set import ItemRow
from shared.events import Event

_EVENTS: Final = msgspec.msgpack.Decoder(list[Event])


class Items(Protocol):
    """What is read of the database between two turns."""

    async def items(self, keys: Sequence[tuple[int, str]]) -> list[ItemRow]:
        """The rows that exist."""

    async def histories(self, keys: Sequence[tuple[int, str]]) -> list[tuple[int, str, bytes]]:
        """The committed history rows."""


def held_of(row: ItemRow) -> Held:
    """An item as it was stored."""
    held = Held(row.key, row.state, row.ledger)
    held.next_due = row.next_due
    held.clock_states = row.clock_states
    held.quarantined = row.quarantined
    held.seen = row.seen
    held.retired = tuple(row.retired.split())
    return held


async def known_events(items: Items, wanted: Iterable[tuple[Holding, str]]) -> dict[tuple[int, str], list[Event]]:
    """(partition, key) -> every event that was folded of each item in memory that is wanted, perhaps some twice."""
    # What is not committed yet is noted before the database is asked, because it may be committed meanwhile.
    known = {(holding.partition, key): list(chain.from_iterable(holding.items[key].recent)) for holding, key in wanted}
    for partition, key, packed in await items.histories(list(known)):
        known[partition, key] += _EVENTS.decode(packed)
    return known
