"""Sleeps until the earliest deadline, asks for the evidence, and hands over what may fire.

One watch for each kind of item, so that a topic of calls that lags holds no tickets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from services.timer.evidence import Evidence, Hold
from services.timer.holdings import Deadline, Deadlines, Holdings
from shared.events import SECOND, Instant, Span
from shared.kafka.connection import Place
from shared.metrics import Metrics

MOST: Final = 10_000  # deadlines that fire together
IDLE_S: Final = 1.0
ASK_AGAIN_S: Final = (0.002, 0.005, 0.01, 0.02)  # between two looks at offsets that are still behind
CATCH_UP_S: Final = 0.05  # how long deadlines of partitions that are ready wait for the others

Fire = Callable[[Sequence[Deadline], Evidence], Awaitable[None]]


class Asks(Protocol):
    """What a watch asks of the gate."""

    async def held(self, kinds: Sequence[str]) -> dict[Place, int] | None:
        """The ends of the upstream partitions."""

    async def missing(self, held: Mapping[Place, int]) -> int | None:
        """How many of those records ingest has not read."""

    async def own_ends(self, partitions: Sequence[int]) -> dict[int, int] | None:
        """The ends of our partitions."""


class Watch:
    """Notices the time for one kind of item."""

    def __init__(  # noqa: PLR0913 # one argument for each thing that it stands between
        self,
        kind: str,
        *,
        holdings: Holdings,
        gate: Asks,
        fire: Fire,
        folded: asyncio.Event,
        now: Callable[[], Instant],
        hold_max: Span,
        metrics: Metrics,
    ) -> None:
        self._kind = kind
        self._holdings = holdings
        self._deadlines: Deadlines = holdings.deadlines[kind]
        self._gate = gate
        self._fire = fire
        self._folded = folded  # set whenever records were folded
        self._now = now
        self._upstream_hold = Hold(hold_max)
        self._own_hold = Hold(hold_max)
        self._metrics = metrics

    async def round(self) -> float:
        """Wait for the next deadline, and fire it once its evidence is complete; the seconds to rest afterwards."""
        self._deadlines.earlier.clear()
        earliest = self._deadlines.earliest()
        now = self._now()
        if earliest is None or earliest >= now:
            wait_s = IDLE_S if earliest is None else (earliest - now + 1) / SECOND
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, IDLE_S)):
                    await self._deadlines.earlier.wait()
            return 0.0
        entries = self._deadlines.take(now, MOST)
        evidence = await self._evidence(now, sorted({partition for _, partition, _ in entries}))
        ready = self._ready(evidence)
        await self._fire([entry for entry in entries if ready(entry[1])], evidence)
        waiting = [entry for entry in entries if not ready(entry[1])]
        self._deadlines.extend(waiting)
        self._metrics.held_time.observe((self._now() - now) / SECOND)
        return CATCH_UP_S if waiting else 0.0

    async def _evidence(self, through: Instant, partitions: Sequence[int]) -> Evidence:
        late_possible = not await self._upstream_read()
        ends = await self._gate.own_ends(partitions)
        while ends is None and not self._own_hold.over(self._now(), None):
            await asyncio.sleep(ASK_AGAIN_S[-1])
            ends = await self._gate.own_ends(partitions)
        if ends is None:
            return Evidence(through, None, late_possible=True)
        return await self._own_read(Evidence(through, ends, late_possible))

    async def _upstream_read(self) -> bool:
        """Wait until ingest has read what the brokers hold now; False when the wait was given up."""
        held = await self._gate.held((self._kind,))
        turn = 0
        while True:
            behind = None if held is None else await self._gate.missing(held)
            if behind == 0:
                self._upstream_hold.clear()
                return True
            if self._upstream_hold.over(self._now(), None if behind is None else -behind):
                return False
            self._metrics.fired.labels(outcome="held").inc()
            await asyncio.sleep(ASK_AGAIN_S[min(turn, len(ASK_AGAIN_S) - 1)])
            turn += 1
            if held is None:
                held = await self._gate.held((self._kind,))

    async def _own_read(self, evidence: Evidence) -> Evidence:
        """Wait a little until our partitions are folded to their ends; what is behind then is fired another time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_S):
                while not self._all_ready(evidence):
                    self._folded.clear()
                    await self._folded.wait()
        if self._all_ready(evidence):
            self._own_hold.clear()
        elif self._own_hold.over(self._now(), sum(h.folded_to for h in self._holdings.partitions.values())):
            return Evidence(evidence.through, None, late_possible=True)
        return evidence

    def _all_ready(self, evidence: Evidence) -> bool:
        ready = self._ready(evidence)
        return all(ready(partition) for partition in evidence.ends or ())

    def _ready(self, evidence: Evidence) -> Callable[[int], bool]:
        """Whether a partition was folded to its end, or is no longer ours, or is not waited for any longer."""
        ends = evidence.ends
        partitions = self._holdings.partitions

        def ready(partition: int) -> bool:
            holding = partitions.get(partition)
            return ends is None or holding is None or holding.folded_to >= ends[partition]

        return ready
