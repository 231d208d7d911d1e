"""What the gauges say: open clocks, the next deadline, lag, the outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Final, Protocol

import structlog

from services.timer.holdings import Holdings
from shared.errors import Unavailable
from shared.events import SECOND, Instant
from shared.kafka.connection import Place
from shared.metrics import Metrics

log = structlog.get_logger(__name__)
REPORT_S: Final = 2.0


class Ends(Protocol):
    """Who knows where partitions end."""

    async def ends(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """End offsets."""


class Outbox(Protocol):
    """Who knows what is committed and not published."""

    async def outbox_oldest(self, published: Mapping[int, int]) -> Instant | None:
        """When the oldest of it was committed."""


class Report:
    """Sets the gauges, now and then."""

    def __init__(  # noqa: PLR0913 # one argument for each thing that it looks at
        self,
        holdings: Holdings,
        waiting: Sized,
        outbox: Outbox,
        brokers: Ends,
        events_topic: str,
        *,
        reads: Callable[[int], bool],
        now: Callable[[], Instant],
        metrics: Metrics,
    ) -> None:
        self._holdings = holdings
        self._waiting = waiting
        self._outbox = outbox
        self._brokers = brokers
        self._reads = reads  # whether a partition is read
        self._events_topic = events_topic
        self._now = now
        self._metrics = metrics
        self._told: set[int] = set()  # the partitions whose lag stands in the gauges

    async def round(self) -> float:
        """Set every gauge; the seconds until the next round."""
        metrics = self._metrics
        for state in ("running", "paused", "breached"):
            for severity in ("low", "medium", "high", "critical"):
                metrics.open_clocks.labels(state=state, severity=severity).set(0)
        for name, count in self._holdings.open_clocks().items():
            state, _, severity = name.partition("/")
            metrics.open_clocks.labels(state=state, severity=severity).set(count)
        dues = [due for deadlines in self._holdings.deadlines.values() if (due := deadlines.earliest()) is not None]
        metrics.next_due.set(min(dues) / SECOND if dues else 0)
        metrics.outbox_pending.set(len(self._waiting))
        metrics.heartbeat.labels(stage="timer").set(self._now() / SECOND)
        await self._oldest()
        await self._lag()
        return REPORT_S

    async def _oldest(self) -> None:
        published = {holding.partition: holding.published_through for holding in self._holdings.partitions.values()}
        try:
            oldest = await self._outbox.outbox_oldest(published) if len(self._waiting) else None
        except Unavailable as exc:
            log.warning("the age of the outbox is not known", error=str(exc))
            return
        self._metrics.outbox_oldest.set((oldest or 0) / SECOND)

    async def _lag(self) -> None:
        held = list(self._holdings.partitions.values())
        self._forget(self._told - {holding.partition for holding in held})
        try:
            ends = await self._brokers.ends([Place(self._events_topic, holding.partition) for holding in held])
        except Unavailable as exc:
            log.warning("lag is not known", error=str(exc))
            return
        for holding in held:
            self._metrics.unread.labels(partition=holding.partition).set(not self._reads(holding.partition))
            behind = max(0, ends[Place(self._events_topic, holding.partition)] - holding.folded_to)
            self._metrics.lag.labels(topic=self._events_topic, partition=holding.partition).set(behind)
            self._metrics.caught_up.labels(partition=holding.partition).set(0 if behind else 1)
            self._told.add(holding.partition)

    def _forget(self, gone: set[int]) -> None:
        # Somebody else tells them now: what this process knew last would stand there for ever.
        for partition in gone:
            self._metrics.lag.remove(self._events_topic, partition)
            self._metrics.caught_up.remove(partition)
            self._metrics.unread.remove(partition)
        self._told -= gone
