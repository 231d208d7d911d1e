"""Explanations of stored items: the history is read, and folded again apart from the timer's own work."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from services.timer.explaining.explanation import Explanation, explain
from services.timer.heartbeat import rulebook_of
from services.timer.lease_store import LeaseStore
from services.timer.policy_versions import PolicyVersions
from services.timer.query_store import QueryStore
from services.timer.rulebook import Rulebook
from shared.db import Database
from shared.errors import Refused
from shared.events import DELETIONS, Event, Instant
from shared.kafka.producer import partition_of

_EVENTS: Final = msgspec.msgpack.Decoder(list[Event])


class Forgotten(Refused):
    """The item was deleted, and what is kept of its events does not explain it."""


class Explainer:
    """Explains items out of the database, one at a time.

    It works in a thread, and on calendars of its own, which are not for several threads at once: so the timer's loop
    goes on meanwhile, however long a history is.
    """

    def __init__(self, database: Database) -> None:
        self._items = QueryStore(database)
        self._leases = LeaseStore(database)
        self._policies = PolicyVersions(self._leases)
        self._turn = asyncio.Lock()

    async def explain(self, key: str, at: Instant | None) -> Explanation | None:
        """Why the clocks of an item (`tenant/kind/id`) are as they are at an instant, by default now.

        Returns:
            None when there is no such item.

        Raises:
            Unavailable: the database did not answer, or no policies are registered.
            Forgotten: the item was deleted.
        """
        packed = await self._history(key)
        if not packed:
            return None
        if at is None:
            at = await self._leases.now()
        async with self._turn:
            await self._policies.look()
            return await asyncio.to_thread(_explained, key, packed, rulebook_of(key, self._policies.rulebook()), at)

    async def _history(self, key: str) -> list[bytes]:
        count = 0 if "\0" in key else await self._items.partitions()  # no item has that in its key, and no query may
        return await self._items.history(partition_of(key.encode(), count), key) if count else []


def _explained(key: str, packed: list[bytes], rulebook: Rulebook, at: Instant) -> Explanation:
    events = [event for each in packed for event in _EVENTS.decode(each)]
    if any(event.type in DELETIONS for event in events):
        raise Forgotten(f"{key} was deleted, and its attributes with it: its clocks cannot be explained any more")
    return explain(key, events, rulebook, at)
