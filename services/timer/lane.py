"""The one ordered write lane: write sets are committed in the order in which they were folded, one at a time.

While one is on its way to the database the next is folded. The next begins only when the outcome is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

import structlog

from services.timer.held import Held
from services.timer.quarantine import set_aside
from services.timer.write_set import WriteSet
from shared.db import BadData
from shared.errors import Fenced, Unavailable
from shared.events import Topics
from shared.failpoints import failpoint
from shared.lifecycle import pause

log = structlog.get_logger(__name__)
RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 1.0


class Tables(Protocol):
    """What the lane needs of the database."""

    async def write(self, write_set: WriteSet) -> None:
        """Write everything in one transaction."""

    async def try_out(self, write_set: WriteSet) -> None:
        """Write the rows and take them back."""

    async def standing(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        """partition -> (epoch, revision)."""


class Lane:
    """Commits frozen write sets."""

    def __init__(
        self,
        tables: Tables,
        *,
        committed: Callable[[WriteSet], None],
        lost: Callable[[int], None],
        topics: Topics,
    ) -> None:
        self._tables = tables
        self._committed = committed  # takes each write set once it is known to be in the database
        self._lost = lost  # takes a partition that is no longer ours
        self._topics = topics
        self._waiting: asyncio.Queue[tuple[WriteSet, list[Held]]] = asyncio.Queue(maxsize=1)
        self._put = 0  # write sets put in so far
        self._known = 0  # of these, how many have an outcome
        self._outcome = asyncio.Event()  # wakes its waiters at each
        self._given_up = False

    @property
    def idle(self) -> bool:
        """Whether nothing is waiting or on its way: a write set that is put in now is written at once."""
        return self._known == self._put

    async def put(self, write_set: WriteSet, held: list[Held]) -> None:
        """Queue a write set; waits while another one is queued."""
        self._put += 1
        await self._waiting.put((write_set, held))

    async def drained(self) -> None:
        """Wait until everything that was put in before has an outcome, whatever is put in meanwhile."""
        last = self._put
        while self._known < last:
            await self._outcome.wait()

    async def run(self, stop: asyncio.Event, leaving: asyncio.Event) -> None:
        """Commit what is put in, until *stop* is set and nothing is left.

        Once *leaving* is set, a database that does not answer is not waited for: what is not committed then is folded
        again from the stored offsets, by whoever owns the partitions next.
        """
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
                await self._commit_next(*getting.result(), leaving)
        finally:
            stopping.cancel()

    async def _commit_next(self, write_set: WriteSet, held: list[Held], leaving: asyncio.Event) -> None:
        await self._commit(write_set, held, leaving)
        for item in held:
            item.unpin()
        self._known += 1
        self._outcome.set()
        self._outcome.clear()

    async def _commit(self, write_set: WriteSet, held: list[Held], leaving: asyncio.Event) -> None:
        # After an error the outcome is read, never guessed: the same bytes again, or committed, or not ours.
        wait_s = RETRY_FIRST_S
        while write_set.moves and not self._given_up:
            last_try = leaving.is_set()
            try:
                write_set = await self._written(write_set, held)
            except (Fenced, Unavailable) as exc:
                log.warning("write set not confirmed", error=str(exc), partitions=len(write_set.moves))
                before, write_set = write_set, await self._sort_out(write_set)
                if write_set.moves and (isinstance(exc, Unavailable) or write_set is before):
                    self._given_up = last_try
                    await pause(wait_s, leaving)
                    wait_s = min(2 * wait_s, RETRY_MAX_S)

    async def _written(self, write_set: WriteSet, held: list[Held]) -> WriteSet:
        """What is still to be written: nothing, or the write set without the items that the database refuses."""
        try:
            failpoint("before_commit")
            await self._tables.write(write_set)
            failpoint("after_commit")
        except BadData as exc:
            rejected = await set_aside(self._tables, write_set, self._topics)
            if not rejected.items:
                raise
            log.error(  # noqa: TRY400 # the database's words say it all
                "items quarantined: the database refuses them", items=rejected.items, error=str(exc)
            )
            for item in held:
                item.quarantined = item.quarantined or item.key in rejected.items
            return rejected.write_set
        self._committed(write_set)
        return replace(write_set, moves=())

    async def _sort_out(self, write_set: WriteSet) -> WriteSet:
        """What is to be written again; publishes what was committed after all, drops what is no longer ours."""
        try:
            standing = await self._tables.standing([move.partition for move in write_set.moves])
        except Unavailable as exc:
            log.warning("the outcome of a write set is not known yet", error=str(exc))
            return write_set
        committed, again = self._sorted_out(write_set, standing)
        self._committed(committed)
        return again

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
        rewritten=tuple(row for row in write_set.rewritten if row.partition in partitions),
        heard=tuple(row for row in write_set.heard if row.partition in partitions),
        sources=tuple(row for row in write_set.sources if row.partition in partitions),
        hearings=tuple(row for row in write_set.hearings if row.partition in partitions),
        removed=tuple(name for name in write_set.removed if name[0] in partitions),
    )
