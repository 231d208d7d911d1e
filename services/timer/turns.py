"""Whose turn it is: records to fold, deadlines to fire, write sets to close. One task, so that nothing is locked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

import structlog

from services.timer.evidence import Evidence
from services.timer.holdings import Deadline, Holding, Holdings
from shared.errors import Unavailable
from shared.kafka.connection import Record

log = structlog.get_logger(__name__)
SLICE: Final = 500
"""Records folded without looking up, of as many partitions as it takes: a deadline waits no longer. To pause after each
partition costs more than to fold the few records that it may have."""
PREPARED: Final = 2_000  # records whose items are brought into memory together, in one question
CLOSE_AT: Final = 10_000  # events in one write set
READ_AHEAD: Final = 12_000  # records taken from Kafka and not folded yet: a write set, and how the next begins


class Works(Protocol):
    """What is done in a turn."""

    @property
    def drafted(self) -> int:
        """How many events, firings and items to be forgotten are in the open write set."""

    async def prepare(self, batches: Sequence[tuple[Holding, Sequence[Record]]]) -> None:
        """Bring into memory what folding these records needs."""

    async def on_batch(self, holding: Holding, records: Sequence[Record]) -> None:
        """Fold records of one partition into the open write set."""

    async def fire_due(self, entries: Sequence[Deadline], evidence: Evidence) -> None:
        """Publish what became due."""

    async def close(self) -> None:
        """Freeze the open write set and hand it to the lane."""


class _Firing(NamedTuple):
    """Deadlines that wait for their turn."""

    entries: Sequence[Deadline]
    evidence: Evidence
    held: Mapping[int, Holding | None]  # of each partition, what the evidence is about
    done: asyncio.Future[None]

    def entries_of(self, holdings: Holdings) -> list[Deadline]:
        """The entries of partitions that are still held.

        One that was lost and taken again meanwhile may not be folded so far: what is due there needs other evidence.
        """
        return [entry for entry in self.entries if holdings.partitions.get(entry[1]) is self.held[entry[1]]]


class _Call(NamedTuple):
    """Something that waits for its turn."""

    call: Callable[[], Awaitable[None]]
    closed: bool  # whether no write set may be open
    done: asyncio.Future[None]


class Turns:
    """Runs the work in order."""

    def __init__(self, work: Works, holdings: Holdings, lane_idle: Callable[[], bool]) -> None:
        self._work = work
        self._holdings = holdings
        self._lane_idle = lane_idle
        self._records: deque[tuple[Holding, Sequence[Record]]] = deque()
        self._count = 0
        self._prepared = 0  # of the records that are next
        self._firings: deque[_Firing] = deque()
        self._asked: deque[_Call] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False
        self._listeners: list[asyncio.Event] = []

    def listen(self) -> asyncio.Event:
        """An event of the caller's own, set whenever records were folded or an end was reached without any."""
        self._listeners.append(listener := asyncio.Event())
        return listener

    async def take_in(self, polled: Mapping[int, Sequence[Record]], ends: Mapping[int, int]) -> None:
        """Queue what was read; *ends* are the positions of partitions with nothing left to read.

        Waits while too much is queued already.
        """
        if self._ended:
            return
        for partition, records in polled.items():
            holding = self._holdings.partitions.get(partition)
            if holding is not None and records:
                self._records.append((holding, records))
                self._count += len(records)
        if not self._count:
            self._reached(ends)
        if self._count >= READ_AHEAD:
            self._room.clear()
        self._wake.set()
        await self._room.wait()

    async def fire(self, entries: Sequence[Deadline], evidence: Evidence) -> None:
        """Have deadlines fired between two slices of records; returns once they are in the write lane.

        After the end nothing fires: whoever owns the partitions next finds what is due.
        """
        if not entries or self._ended:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        held = {partition: self._holdings.partitions.get(partition) for _, partition, _ in entries}
        self._firings.append(_Firing(entries, evidence, held, done))
        self._wake.set()
        await done

    async def between(self, call: Callable[[], Awaitable[None]]) -> None:
        """Have *call* run between two turns, with no write set open; returns once it has run."""
        if self._ended:
            await call()
        else:
            await self._asked_for(call, closed=True)

    async def amid(self, call: Callable[[], Awaitable[None]]) -> None:
        """Have *call* run between two turns, and add to the write set that is open; returns once it has run.

        After the end it does not run.
        """
        if not self._ended:
            await self._asked_for(call, closed=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Take turns until *stop* is set; what was folded by then is handed to the lane."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set() or self._asked:
                await self._turn(stopping)
            await self._work.close()
        except Unavailable as exc:
            if not stop.is_set():
                raise
            # What is not in the lane by now is folded again from the stored offsets, by whoever is next.
            log.warning("stopped without the database", error=str(exc))
        finally:
            self._ended = True
            stopping.cancel()
            self._room.set()
            left = [firing.done for firing in self._firings] + [asked.done for asked in self._asked]
            for done in left:
                if not done.done():
                    done.set_result(None)

    async def _asked_for(self, call: Callable[[], Awaitable[None]], *, closed: bool) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(_Call(call, closed, done))
        self._wake.set()
        await done

    async def _turn(self, stopping: asyncio.Task[bool]) -> None:
        if self._asked:
            call, closed, done = self._asked.popleft()
            if closed:
                await self._work.close()
            await _answered(call(), done)
            self._prepared = 0  # it may have let go of items
        elif self._firings:
            firing = self._firings.popleft()
            await self._work.close()
            entries = firing.entries_of(self._holdings)
            await _answered(self._work.fire_due(entries, firing.evidence), firing.done)
        elif self._records:
            await self._fold_slice()
        elif self._work.drafted:
            await self._work.close()
        else:
            await self._sleep(stopping)

    async def _fold_slice(self) -> None:
        if not self._prepared:
            await self._prepare()
        left = min(SLICE, self._prepared)
        while self._records and left:  # at least once, however much is due
            holding, records = self._records.popleft()
            some, rest = records[:left], records[left:]
            if rest:
                self._records.appendleft((holding, rest))
            if not holding.lost:
                await self._work.on_batch(holding, some)
                holding.folded_to = max(holding.folded_to, some[-1].offset + 1)
            left -= len(some)
            self._count -= len(some)
            self._prepared -= len(some)
            if self._firings or self._asked:
                break
        if self._count < READ_AHEAD:
            self._room.set()
        self._tell_folded()
        full = self._work.drafted >= CLOSE_AT
        if full or (not self._records and self._lane_idle()):
            await self._work.close()
        await asyncio.sleep(0)  # let deadlines, requests and the lane have their turn

    async def _prepare(self) -> None:
        batches: list[tuple[Holding, Sequence[Record]]] = []
        self._prepared = 0
        for holding, records in self._records:
            some = records[: PREPARED - self._prepared]
            batches.append((holding, some))
            self._prepared += len(some)
            if self._prepared == PREPARED:
                break
        await self._work.prepare([batch for batch in batches if not batch[0].lost])

    async def _sleep(self, stopping: asyncio.Task[bool]) -> None:
        waking = asyncio.create_task(self._wake.wait())
        await asyncio.wait([waking, stopping], return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()
        with suppress(asyncio.CancelledError):
            await waking
        self._wake.clear()

    def _reached(self, ends: Mapping[int, int]) -> None:
        for partition, end in ends.items():
            holding = self._holdings.partitions.get(partition)
            if holding is not None:
                holding.folded_to = max(holding.folded_to, end)
        self._tell_folded()

    def _tell_folded(self) -> None:
        for listener in self._listeners:
            listener.set()


async def _answered(call: Awaitable[None], done: asyncio.Future[None]) -> None:
    try:
        await call
    except BaseException as exc:
        if not done.cancelled():
            done.set_exception(exc)
        raise
    if not done.cancelled():
        done.set_result(None)
