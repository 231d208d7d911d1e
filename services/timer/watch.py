"""Sleeps until the earliest deadline, asks for the evidence, and hands over what may fire.

One watch for each kind of item, so that a topic of calls that lags holds no tickets. In a round the upstream topics
come first: once ingest has read what they hold, each partition's own end is asked for. From then on the partitions
are waited for one by one, so that those that are folded fire while others catch up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from services.timer.evidence import Evidence, Hold, Reading
from services.timer.holdings import Deadline, Deadlines, Holding, Holdings
from shared.events import SECOND, Instant, Span
from shared.kafka.connection import Place
from shared.lifecycle import pause
from shared.metrics import Metrics

MOST: Final = 2_000  # deadlines that fire together: 0.2 s
IDLE_S: Final = 1.0
ASK_AGAIN_S: Final = (0.002, 0.005, 0.01, 0.02)  # between two looks at offsets that are still behind
UNKNOWN_S: Final = 0.1  # between two looks where nobody says how far ingest is
CATCH_UP_S: Final = 0.05  # between two looks at partitions that are still behind, if nothing is folded meanwhile

Fire = Callable[[Sequence[Deadline], Evidence], Awaitable[None]]


class Asks(Protocol):
    """What a watch asks of the gate."""

    async def look(self, kinds: Collection[str]) -> tuple[dict[Place, int] | None, Reading | None]:
        """The ends of the upstream partitions, and how much of that ingest has read."""

    async def reading(self, held: Mapping[Place, int]) -> Reading | None:
        """How much of that ingest has read."""

    async def own_ends(self, partitions: Collection[int]) -> dict[int, int] | None:
        """The ends of our partitions."""


@dataclass(slots=True)
class _Waiting:
    """Deadlines of a partition that fire once it is folded to an end."""

    holding: Holding
    evidence: Evidence
    entries: list[Deadline]
    hold: Hold
    end: int | None = None  # None: not known yet
    later: list[Deadline] = field(default_factory=list)  # came up meanwhile, and need evidence of their own

    def is_folded(self) -> bool:
        """Whether every record below the end has been folded."""
        return self.end is not None and self.holding.folded_to >= self.end


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
        self._folded = folded  # set whenever records were folded; cleared here
        self._now = now
        self._hold_max = hold_max
        self._upstream_hold = Hold(hold_max)
        # Of the partitions that are behind. What is held of one that is let go must not stay in memory for it.
        self._holds: WeakKeyDictionary[Holding, Hold] = WeakKeyDictionary()
        self._waiting: dict[int, _Waiting] = {}
        self._metrics = metrics

    async def round(self, stop: asyncio.Event) -> float:
        """Look at the time and at the evidence once, and fire what may; then rest until there is more to see.

        Once *stop* is set, nothing is waited for: what is due is found again by whoever owns its partition next.
        """
        self._deadlines.earlier.clear()
        await self._settle()
        now = self._now()
        due = self._due(now)
        if due:
            late_possible = not await self._upstream_read(now, stop)
            for holding, entries in due.items():
                hold = self._hold_of(holding, late_possible)
                self._waiting[holding.partition] = _Waiting(holding, Evidence(now, late_possible), entries, hold)
        if not stop.is_set():
            await self._ask_ends()
            await self._settle()
            await self._rest(stop)
        return 0.0

    def _due(self, now: Instant) -> dict[Holding, list[Deadline]]:
        """Take what is due; what its partition still waits for an earlier end with waits behind it."""
        due: dict[Holding, list[Deadline]] = {}
        for entry in self._deadlines.take(now, MOST):
            partition = entry[1]
            holding = self._holdings.partitions.get(partition)
            if holding is None:  # it was lost, and is somebody else's to fire
                continue
            waiting = self._waiting.get(partition)
            if waiting is not None and waiting.holding is holding:  # not what was held of it before it was lost
                waiting.later.append(entry)
            else:
                due.setdefault(holding, []).append(entry)
        return due

    async def _upstream_read(self, now: Instant, stop: asyncio.Event) -> bool:
        """Wait until ingest has read what the brokers hold now; False when the wait was given up."""
        self._upstream_hold.begin(now)
        held: dict[Place, int] | None = None
        turn = 0
        while not stop.is_set():
            if held is None:
                held, reading = await self._gate.look((self._kind,))
            else:
                reading = await self._gate.reading(held)
            if reading is not None and not reading.missing:
                self._upstream_hold.clear()
                return True
            if self._upstream_hold.over(self._now(), None if reading is None else reading.offsets):
                return False
            if not turn:
                self._metrics.fired.labels(outcome="held").inc()
            wait_s = UNKNOWN_S if reading is None else ASK_AGAIN_S[min(turn, len(ASK_AGAIN_S) - 1)]
            await pause(wait_s, stop)
            await self._settle()
            turn += 1
        return False

    def _hold_of(self, holding: Holding, given_up: bool) -> Hold:  # noqa: FBT001 # a fact, not a switch
        hold = self._holds.setdefault(holding, Hold(self._hold_max))
        if given_up:
            hold.go_on(self._upstream_hold)  # the same outage is not waited for twice
        return hold

    async def _ask_ends(self) -> None:
        """Ask where the partitions end that are waited for.

        An end before what had been folded when it was asked for is that of another log: it says nothing about what is
        still to be read.
        """
        folded = {place: each.holding.folded_to for place, each in self._waiting.items() if each.end is None}
        ends = await self._gate.own_ends(folded) if folded else None
        for partition, end in (ends or {}).items():
            if partition in self._waiting and end >= folded[partition]:
                self._waiting[partition].end = end

    async def _settle(self) -> None:
        """Fire what is folded to its end, or has waited long enough; forget what is no longer ours."""
        self._folded.clear()
        now = self._now()
        firing: dict[Evidence, list[Deadline]] = {}
        for waiting in list(self._waiting.values()):
            if waiting.holding.lost:
                self._forget(waiting)
            elif waiting.is_folded():
                waiting.hold.clear()
                self._forget(waiting)
                firing.setdefault(waiting.evidence, []).extend(waiting.entries)
            elif waiting.hold.over(now, None if waiting.end is None else waiting.holding.folded_to):
                self._forget(waiting)
                firing.setdefault(waiting.evidence._replace(late_possible=True), []).extend(waiting.entries)
        for evidence, entries in firing.items():
            await self._fire(entries, evidence)
            self._metrics.held_time.observe((self._now() - evidence.through) / SECOND)

    def _forget(self, waiting: _Waiting) -> None:
        del self._waiting[waiting.holding.partition]
        if not waiting.holding.lost:
            self._deadlines.extend(waiting.later)

    async def _rest(self, stop: asyncio.Event) -> None:
        """Sleep until the next deadline, or until something is folded that is waited for."""
        earliest = self._deadlines.earliest()
        wait_s = IDLE_S if earliest is None else max(0.0, (earliest - self._now() + 1) / SECOND)
        if self._waiting:
            await pause(min(wait_s, CATCH_UP_S), stop, wake=self._folded)
        else:
            await pause(min(wait_s, IDLE_S), stop, wake=self._deadlines.earlier)
