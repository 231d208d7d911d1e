"""The one ordered write lane: write sets are committed in the order in which they were folded, one at a time.

While one is on its way to the database the next is folded. The next begins only when the outcome is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

import stamina
import structlog

from services.timer.holdings import Held
from services.timer.write_set import OutboxRow, WriteSet
from shared.errors import Fenced, Unavailable

log = structlog.get_logger(__name__)
RETRY_MAX_S: Final = 1.0


class Tables(Protocol):
    """What the lane needs of the database."""

    async def write(self, write_set: WriteSet) -> None:
        """Write everything in one transaction."""

    async def standing(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        """partition -> (epoch, revision)."""


class Lane:
    """Commits frozen write sets."""

    def __init__(
        self, tables: Tables, *, published: Callable[[tuple[OutboxRow, ...]], None], lost: Callable[[int], None]
    ) -> None:
        self._tables = tables
        self._published = published  # takes the committed outbox rows, in order
        self._lost = lost  # takes a partition that is no longer ours
        self._waiting: asyncio.Queue[tuple[WriteSet, list[Held]]] = asyncio.Queue(maxsize=1)
        self._busy = False

    @property
    def idle(self) -> bool:
        """Whether nothing is waiting or on its way: a write set that is put in now is written at once."""
        return not self._busy and self._waiting.empty()

    async def put(self, write_set: WriteSet, held: list[Held]) -> None:
        """Queue a write set; waits while another one is queued."""
        await self._waiting.put((write_set, held))

    async def drained(self) -> None:
        """Wait until everything that was put in has an outcome."""
        await self._waiting.join()

    async def run(self, stop: asyncio.Event) -> None:
        """Commit what is put in, until *stop* is set and nothing is left."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not (stop.is_set() and self._waiting.empty()):
                getting = asyncio.create_task(self._waiting.get())
                await asyncio.wait([getting, stopping], return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    getting.cancel()
                    with suppress(asyncio.CancelledError):
                        await getting
                    continue
                await self._commit_next(*getting.result(), stop)
        finally:
            stopping.cancel()

    async def _commit_next(self, write_set: WriteSet, held: list[Held], stop: asyncio.Event) -> None:
        self._busy = True
        try:
            await self._commit(write_set, stop)
        finally:
            self._busy = False
            for item in held:
                item.pins -= 1
                if not item.pins:
                    item.recent.clear()
            self._waiting.task_done()

    async def _commit(self, write_set: WriteSet, stop: asyncio.Event) -> None:
        # After an error the outcome is read, never guessed: the same bytes again, or committed, or not ours.
        while write_set.moves:
            try:
                await self._tables.write(write_set)
            except (Fenced, Unavailable) as exc:
                log.warning("write set not confirmed", error=str(exc), partitions=len(write_set.moves))
                standing = await self._standing(write_set, stop)
                if standing is None:
                    return  # stopping without a database: the events are folded again from the stored offsets
                committed, write_set = self._sorted_out(write_set, standing)
                self._published(committed.outbox)
            else:
                self._published(write_set.outbox)
                return

    async def _standing(self, write_set: WriteSet, stop: asyncio.Event) -> Mapping[int, tuple[int, int]] | None:
        partitions = [move.partition for move in write_set.moves]
        async for attempt in stamina.retry_context(on=Unavailable, attempts=None, timeout=None, wait_max=RETRY_MAX_S):
            if stop.is_set():
                return None
            with attempt:
                return await self._tables.standing(partitions)
        return None

    def _sorted_out(self, write_set: WriteSet, standing: Mapping[int, tuple[int, int]]) -> tuple[WriteSet, WriteSet]:
        """(what was committed after all, what is to be written again); drops what is no longer ours."""
        done, again = set(), set()
        for partition, (epoch, revision) in write_set.expected.items():
            found = standing.get(partition)
            if found == (epoch, revision + 1):
                done.add(partition)
            elif found == (epoch, revision):
                again.add(partition)
            else:
                log.error("partition lost", partition=partition, expected=(epoch, revision), found=found)
                self._lost(partition)
        return _only(write_set, done), _only(write_set, again)


def _only(write_set: WriteSet, partitions: set[int]) -> WriteSet:
    return replace(
        write_set,
        moves=tuple(row for row in write_set.moves if row.partition in partitions),
        items=tuple(row for row in write_set.items if row.partition in partitions),
        history=tuple(row for row in write_set.history if row.partition in partitions),
        outbox=tuple(row for row in write_set.outbox if row.partition in partitions),
    )
