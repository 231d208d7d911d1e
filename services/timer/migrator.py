"""Going through all items for a migration: what it would change, and sending each item that changes its event.

What was decided about a page is recorded before its events are sent, so a migration that is cut off is taken up where
it was: the last page's events are sent again, with the ids that they had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from services.timer.heartbeat import is_heartbeat
from services.timer.item import ItemState
from services.timer.migration import Foreseen, Migration, Selection, foreseen, may_change, recounted
from services.timer.migration_store import MigrationStore, Place, Progress, StoredItem
from services.timer.rulebook import Rulebook
from shared.events import Event
from shared.kafka.connection import Outgoing
from shared.recounts import encode_event

PAGE: Final = 200  # items read at once: with their histories some MB
_STATE: Final = msgspec.msgpack.Decoder(ItemState)
_EVENTS: Final = msgspec.msgpack.Decoder(list[Event])


class Sender(Protocol):
    """Where events go."""

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write *records* and wait until the brokers have them all."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A page of items, and what a migration would do to those that it changes."""

    last: Place
    items: int  # how many of them the migration is about
    quarantined: int  # how many were left alone, because folding them failed before
    foreseen: list[Foreseen]

    @property
    def counts(self) -> Counter[str]:
        """items, quarantined, events, and each effect on clocks -> how many."""
        effects = Counter[str](change.effect for each in self.foreseen for change in each.changes)
        return effects + Counter(items=self.items, quarantined=self.quarantined, events=len(self.foreseen))


class Migrator:
    """Foresees migrations, and carries them out."""

    def __init__(self, store: MigrationStore, rulebook: Rulebook, *, page: int = PAGE) -> None:
        self._store = store
        self._rulebook = rulebook
        self._page = page

    async def look(self, migration: Migration, selection: Selection, after: Place) -> AsyncGenerator[Looked]:
        """What the migration would do, page by page, from the items behind *after* on."""
        while True:
            looked = await self._look(migration, selection, after)
            if looked is None:
                return
            yield looked
            after = looked.last

    async def carry_out(self, progress: Progress, sender: Sender, topic: str) -> AsyncGenerator[Progress]:
        """Send its event to every item that the migration changes; how far it has come, after each page and at the end.

        Raises:
            Unavailable: the database or the brokers do not answer; the migration can be taken up again.
            Fenced: somebody else goes on with it.
        """
        await self._send(progress, sender, topic)
        migration, selection = progress.migration, progress.selection
        async for looked in self.look(migration, selection, progress.after):
            changing = [each.item for each in looked.foreseen]
            counts = Counter(progress.counts) + looked.counts
            progress = await self._store.decided(progress, looked.last, changing, counts)
            await self._send(progress, sender, topic)
            yield progress
        yield await self._store.finished(progress)

    async def _look(self, migration: Migration, selection: Selection, after: Place) -> Looked | None:
        states: dict[str, ItemState] = {}
        looked_at = Counter[str]()

        def is_wanted(row: StoredItem) -> bool:
            state = _STATE.decode(row.state)
            if not selection.takes(state):
                return False
            looked_at["quarantined" if row.quarantined else "items"] += 1
            if row.quarantined or is_heartbeat(row.key) or not may_change(migration, row.key, state, self._rulebook):
                return False
            states[row.key] = state
            return True

        rows, histories = await self._store.page(after, selection, limit=self._page, wanted=is_wanted)
        if not rows:
            return None
        found = [
            foreseen(migration, key, state, _events(histories[key]), self._rulebook) for key, state in states.items()
        ]
        changing = [each for each in found if each.is_needed]
        return Looked(Place(rows[-1].partition, rows[-1].key), looked_at["items"], looked_at["quarantined"], changing)

    async def _send(self, progress: Progress, sender: Sender, topic: str) -> None:
        if progress.sending:
            records = [encode_event(recounted(progress.migration, item)) for item in progress.sending]
            await sender.send(topic, [Outgoing(key, value, headers) for key, value, headers in records])


def _events(packed: list[bytes]) -> list[Event]:
    return [event for each in packed for event in _EVENTS.decode(each)]
