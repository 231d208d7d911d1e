"""What the brokers held at an instant, and whether all of it has been read: the gate before every firing.

A breach is caused by the absence of an event, so it is only as right as the evidence that has been read. Unknown is
not "nothing to wait for": a partition that is missing, an error, an offset beyond the end all mean no evidence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, Protocol, TypeVar

import structlog

from shared.configuration import Upstream
from shared.errors import PlazoError, Unavailable
from shared.events import Instant, Span
from shared.kafka.connection import Place

log = structlog.get_logger(__name__)
Answer = TypeVar("Answer")
ANSWER_S: Final = 2.0  # a broker that answers does so in milliseconds; the client's own limits are far longer


class Brokers(Protocol):
    """What the gate asks the brokers, over a connection that fetches nothing."""

    async def counts(self, topics: Iterable[str]) -> Mapping[str, int]:
        """How many partitions each topic has; 0 when it does not exist."""

    async def ends(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """End offsets."""

    async def beginnings(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """The first offsets that are still held."""

    async def committed(self, group: str, places: Sequence[Place]) -> Mapping[Place, int | None]:
        """What a group has committed."""


class Evidence(NamedTuple):
    """What a firing rests on."""

    through: Instant  # everything that the brokers held then has been read
    late_possible: bool  # something was still missing when the wait was given up


class Reading(NamedTuple):
    """How far ingest has read what was held."""

    missing: int  # records that it has not read yet
    offsets: int  # the sum of its offsets, by which progress is seen


class Hold:
    """How long to wait for evidence that is missing: as long as it advances, else *longest*."""

    def __init__(self, longest: Span) -> None:
        self._longest = longest
        self._progress: int | None = None
        self._looked: Instant = 0
        self.since: Instant | None = None

    def begin(self, at: Instant) -> None:
        """Note since when something is missing, unless something was already when it was last looked at."""
        if self.since is None or at - self._looked > self._longest:
            self.since = at
            self._looked = at

    def go_on(self, other: Hold) -> None:
        """Count the time that *other* waited for the same, unless something is missing for longer already."""
        if self.since is None:
            self.since, self._looked = other.since, other._looked

    def over(self, now: Instant, progress: int | None) -> bool:
        """Whether to give up; *progress* changes while evidence comes in, and is None when nothing is known."""
        self.begin(now)
        self._looked = now
        if progress is not None and progress != self._progress:
            self._progress = progress
            self.since = now
        return self.since is not None and now - self.since >= self._longest

    def clear(self) -> None:
        """Note that nothing is missing any more."""
        self._progress = self.since = None


class Gate:
    """Asks what upstream topics hold, how far ingest has read it, and where our own partitions end."""

    def __init__(self, brokers: Brokers, upstream: Sequence[Upstream], *, group: str, events_topic: str) -> None:
        self._brokers = brokers
        self._upstream = upstream
        self._group = group
        self._events_topic = events_topic
        self._counts: dict[str, int] = {}  # upstream topic -> how many partitions it had when it was last asked about
        self._own_count: int | None = None  # how many partitions the events topic had at first
        self._trouble: str | None = None

    async def look(self, kinds: Collection[str]) -> tuple[dict[Place, int] | None, Reading | None]:
        """What the upstream topics hold that can carry an event of *kinds*, and how much of it ingest has read.

        Everything is asked at the same time, so where nothing is missing it takes one round trip. What ingest had
        committed when it was asked, it has committed by the time the ends are known. As `held` and `reading` give them.
        """
        topics = [topic.topic for topic in self._upstream if not topic.kinds.isdisjoint(kinds)]
        places = self._places(topics)
        try:
            async with _answered():
                counts, ends, committed = await asyncio.gather(
                    self._brokers.counts([*topics, self._events_topic]),
                    self._ends(places),
                    self._committed(places),
                    return_exceptions=True,
                )
                if not self._note(topics, _given(counts)):
                    return None, None
                if self._places(topics) != places:  # there are other partitions than were asked about
                    return await self._ends(self._places(topics)), None
                held = _given(ends)
        except PlazoError as exc:
            self._tell(exc)
            return None, None
        return held, None if held is None else await self._reading(held, committed)

    async def held(self, kinds: Collection[str]) -> dict[Place, int] | None:
        """The ends of every upstream partition that can carry an event of *kinds*; None when any is unknown.

        None also once our own topic has another number of partitions than at first: keys have moved then.
        """
        return (await self.look(kinds))[0]

    async def reading(self, held: Mapping[Place, int]) -> Reading | None:
        """How much of what was *held* ingest has read; None when that is not known.

        An offset beyond the end is one of another log: it says nothing about this one.
        """
        (committed,) = await asyncio.gather(self._committed(list(held)), return_exceptions=True)
        return await self._reading(held, committed)

    async def _reading(
        self, held: Mapping[Place, int], committed: Mapping[Place, int | None] | BaseException
    ) -> Reading | None:
        try:
            found = _given(committed)
            known = {place: offset for place in held if (offset := found.get(place)) is not None}
            if len(known) < len(held):
                return None
            # Ingest may have read on since the ends were asked for, so these are asked for again.
            ahead = [place for place, offset in known.items() if offset > held[place]]
            async with _answered():
                ends = await self._ends(ahead)
        except PlazoError as exc:
            self._tell(exc)
            return None
        self._tell(None)
        if ends is None or any(known[place] > ends[place] for place in ahead):
            return None
        return Reading(sum(max(0, end - known[place]) for place, end in held.items()), sum(known.values()))

    async def own_ends(self, partitions: Collection[int]) -> dict[int, int] | None:
        """The ends of our partitions of the events topic; None when any is unknown.

        Asked after `reading`, never beside it: what ingest read last is on the events topic only then.
        """
        try:
            async with _answered():
                ends = await self._ends([Place(self._events_topic, partition) for partition in partitions])
        except PlazoError as exc:
            self._tell(exc)
            return None
        return None if ends is None else {place.partition: end for place, end in ends.items()}

    def _note(self, topics: Sequence[str], counts: Mapping[str, int]) -> bool:
        """Remember how many partitions there are; False where a topic is missing and says nothing."""
        self._counts.update({topic: counts.get(topic, 0) for topic in topics})
        if not all(self._counts[topic] for topic in topics):
            return False
        # With another number of partitions the events of an item may be on one that nobody looks at for it.
        count = counts[self._events_topic]
        self._own_count = self._own_count or count
        if count != self._own_count:
            raise Unavailable(f"{self._events_topic} has {count} partitions, and had {self._own_count}")
        return True

    def _places(self, topics: Sequence[str]) -> list[Place]:
        return [Place(topic, partition) for topic in topics for partition in range(self._counts.get(topic, 0))]

    async def _committed(self, places: Sequence[Place]) -> Mapping[Place, int | None]:
        if not places:
            return {}
        async with _answered():
            return await self._brokers.committed(self._group, places)

    def _tell(self, trouble: PlazoError | None) -> None:
        # The gate asks many times a second, and gets the same answer each time.
        text = None if trouble is None else str(trouble)
        if text is not None and text != self._trouble:
            log.warning("no evidence", error=text)
        self._trouble = text

    async def _ends(self, places: Sequence[Place]) -> dict[Place, int] | None:
        if not places:
            return {}
        ends = await self._brokers.ends(places)
        return {place: ends[place] for place in places} if all(place in ends for place in places) else None


def _given(answer: Answer | BaseException) -> Answer:
    if isinstance(answer, BaseException):
        raise answer
    return answer


@asynccontextmanager
async def _answered() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except TimeoutError as exc:
        raise Unavailable(f"no answer within {ANSWER_S} s") from exc
