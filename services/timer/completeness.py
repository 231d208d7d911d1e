"""Whether every process has read all that the brokers held at an instant: what a silence rests on.

A deadline that waits for evidence in vain fires at last, because a breach must be told. A silence is never told that
way: what was not read proves nothing about its source.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from services.timer.evidence import Reading
from services.timer.holdings import KINDS
from services.timer.lease import Lease
from shared.events import Instant
from shared.kafka.connection import Place
from shared.lifecycle import pause

LOOKS_S: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 0.8, 0.8)  # between two looks at what is still behind


class Gate(Protocol):
    """Who asks the brokers."""

    async def held(self, kinds: Collection[str]) -> dict[Place, int] | None:
        """The ends of the upstream partitions."""

    async def reading(self, held: Mapping[Place, int]) -> Reading | None:
        """How much of that ingest has read."""

    async def own_ends(self, partitions: Collection[int]) -> dict[int, int] | None:
        """The ends of partitions of the events topic."""


class Leases(Protocol):
    """Who knows how far each partition was folded, by whichever process."""

    async def leases(self) -> Sequence[Lease]:
        """Every lease."""


class Completeness:
    """Proves that everything has been read, if it has."""

    def __init__(
        self, gate: Gate, leases: Leases, now: Callable[[], Instant], *, looks_s: Sequence[float] = LOOKS_S
    ) -> None:
        self._gate = gate
        self._leases = leases
        self._now = now
        self._looks_s = looks_s

    async def proved(self, stop: asyncio.Event) -> Instant | None:
        """An instant of which all that the brokers held then is folded and committed; None where nobody can say.

        Raises:
            Unavailable: the database did not answer.
        """
        at = self._now()
        held = await self._gate.held(KINDS)
        if held is None or not await self._comes_true(lambda: self._is_read(held), stop):
            return None
        partitions = [lease.partition for lease in await self._leases.leases()]
        ends = await self._gate.own_ends(partitions)
        if ends is None or not await self._comes_true(lambda: self._is_folded(ends), stop):
            return None
        return at

    async def _comes_true(self, look: Callable[[], Awaitable[bool]], stop: asyncio.Event) -> bool:
        for wait_s in self._looks_s:
            if await look():
                return True
            if stop.is_set():
                return False
            await pause(wait_s, stop)
        return await look()

    async def _is_read(self, held: Mapping[Place, int]) -> bool:
        reading = await self._gate.reading(held)
        return reading is not None and not reading.missing

    async def _is_folded(self, ends: Mapping[int, int]) -> bool:
        # Committed, not just folded: what a process still has in memory is in no table of sources yet.
        leases = await self._leases.leases()
        return all((lease.next_offset or 0) >= ends[lease.partition] for lease in leases)
