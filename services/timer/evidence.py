"""What the brokers held at an instant, and whether all of it has been read: the gate before every firing.

A breach is caused by the absence of an event, so it is only as right as the evidence that has been read. Unknown is
not "nothing to wait for": a partition that is missing, an error, an offset beyond the end all mean no evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from shared.configuration import Upstream
from shared.errors import PlazoError
from shared.events import SECOND, Instant, Span
from shared.kafka.connection import Place

log = structlog.get_logger(__name__)
COUNTS_AGE: Final[Span] = 5 * SECOND  # how old the partition counts of the upstream topics may be


class Brokers(Protocol):
    """What the gate asks the brokers, over a connection that fetches nothing."""

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 when it does not exist."""

    async def ends(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """End offsets."""

    async def beginnings(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """The first offsets that are still held."""

    async def committed(self, group: str, places: Sequence[Place]) -> Mapping[Place, int | None]:
        """What a group has committed."""


class Evidence(NamedTuple):
    """The answer of the gate: everything up to *through* has been read once the own partitions are folded to *ends*."""

    through: Instant
    ends: Mapping[int, int] | None  # partition -> offset; None: unknown, and waited for long enough
    late_possible: bool  # something was still missing when the wait was given up


class Hold:
    """How long to wait for evidence that is missing: as long as it advances, else *longest*."""

    def __init__(self, longest: Span) -> None:
        self._longest = longest
        self._progress: int | None = None
        self._since: Instant | None = None

    def over(self, now: Instant, progress: int | None) -> bool:
        """Whether to give up; *progress* grows while evidence comes in, and is None when nothing is known."""
        advanced = progress is not None and (self._progress is None or progress > self._progress)
        if advanced:
            self._progress = progress
        if advanced or self._since is None:
            self._since = now
        return now - self._since >= self._longest

    def clear(self) -> None:
        """Note that nothing is missing any more."""
        self._progress = self._since = None


class Gate:
    """Asks what upstream topics held at an instant, and waits until ingest has read it."""

    def __init__(
        self,
        brokers: Brokers,
        upstream: Sequence[Upstream],
        *,
        group: str,
        events_topic: str,
        now: Callable[[], Instant],
    ) -> None:
        self._brokers = brokers
        self._upstream = upstream
        self._group = group
        self._events_topic = events_topic
        self._now = now
        self._counts: dict[str, int] = {}
        self._counted_at: Instant | None = None

    async def held(self, kinds: Collection[str]) -> dict[Place, int] | None:
        """The ends of every upstream partition that can carry an event of *kinds*; None when any is unknown."""
        try:
            places = await self._places(kinds)
            ends = await self._brokers.ends(places) if places else {}
        except PlazoError as exc:
            log.warning("no evidence", error=str(exc))
            return None
        return {place: ends[place] for place in places} if places and all(p in ends for p in places) else None

    async def missing(self, held: Mapping[Place, int]) -> int | None:
        """How many records of *held* ingest has not read yet; None when it is not known."""
        try:
            committed = await self._brokers.committed(self._group, list(held))
        except PlazoError as exc:
            log.warning("no evidence", error=str(exc))
            return None
        behind = 0
        for place, end in held.items():
            offset = committed.get(place)
            if offset is None:
                return None
            behind += max(0, end - offset)
        return behind

    async def own_ends(self, partitions: Collection[int]) -> dict[int, int] | None:
        """The ends of our partitions of the events topic; None when any is unknown.

        Asked after `missing`, never beside it: what ingest read last is on the events topic only then.
        """
        try:
            ends = await self._brokers.ends([Place(self._events_topic, partition) for partition in partitions])
        except PlazoError as exc:
            log.warning("no evidence", error=str(exc))
            return None
        return {place.partition: end for place, end in ends.items()}

    async def _places(self, kinds: Collection[str]) -> list[Place]:
        now = self._now()
        if self._counted_at is None or now - self._counted_at > COUNTS_AGE:
            self._counts = {topic.topic: await self._brokers.partitions(topic.topic) for topic in self._upstream}
            self._counted_at = now
        topics = [topic.topic for topic in self._upstream if not topic.kinds.isdisjoint(kinds)]
        if any(not self._counts[topic] for topic in topics):
            self._counted_at = None
            return []  # a topic that does not exist says nothing about what it would hold
        return [Place(topic, partition) for topic in topics for partition in range(self._counts[topic])]
