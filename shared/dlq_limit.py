"""How much of a topic may be unusable before its reader stops: a stream that is all bad is to be mended, not drained.

A dead letter is for the one record that is wrong. When everything is, the fault is the stream's or ours (another
format, a wrong setting, a bug), and to go on would move hours of events to where no clock sees them. PURE.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from shared.errors import TooManyDeadLetters

_CHUNKS: Final = 100  # into so many the window is cut: what leaves it, leaves it in steps of a hundredth


@dataclass(frozen=True, slots=True)
class DlqLimit:
    """How many records of a topic may be unusable."""

    in_a_row: int = 1_000  # 0: any number
    share: float = 0.9  # of the last *window* records; 1: any share
    window: int = 10_000  # records, counted from the first unusable one


USUAL: Final = DlqLimit()


class Found(NamedTuple):
    """Whether a record of a topic could be used."""

    topic: str
    usable: bool


class Standing(NamedTuple):
    """What became of the last records of a topic."""

    streak: int = 0  # unusable ones in a row, up to now
    chunks: tuple[tuple[int, int], ...] = ()  # (records, unusable ones among them), the oldest first

    @property
    def records(self) -> int:
        """How many records it is about."""
        return sum(records for records, _ in self.chunks)

    @property
    def unusable(self) -> int:
        """How many of them could not be used."""
        return sum(unusable for _, unusable in self.chunks)


class DlqMeter:
    """Counts what of each topic could not be used. A restart begins anew.

    In two steps, because a batch that cannot be handled now is handled again: `weighed` says where what was found
    would lead, and `keep` makes it so once the batch is done with.
    """

    def __init__(self, limit: DlqLimit) -> None:
        self._limit = limit
        self._standings: Mapping[str, Standing] = {}  # only of topics with something unusable in their window
        self.stopped: str | None = None  # why nothing more is read

    @property
    def suspects(self) -> bool:
        """Whether usable records have to be weighed too: of late some were not."""
        return bool(self._standings)

    @property
    def used(self) -> float:
        """How much of the limit is used up by the topic that is nearest to it: from 0 to 1, where it stops."""
        if self.stopped is not None:
            return 1.0
        return max((self._used(standing) for standing in self._standings.values()), default=0.0)

    def weighed(self, found: Iterable[Found]) -> Mapping[str, Standing]:
        """Where *found*, in the order of the records, leads; for `keep`.

        Raises:
            TooManyDeadLetters: beyond the limit. Of the batch nothing more should be done: it stays unread.
        """
        by_topic: dict[str, list[bool]] = {}
        for topic, usable in found:
            by_topic.setdefault(topic, []).append(usable)
        standings = dict(self._standings)
        for topic, in_order in by_topic.items():
            standing = self._moved(topic, standings.pop(topic, Standing()), in_order)
            if standing.unusable:
                standings[topic] = standing
        return standings

    def keep(self, standings: Mapping[str, Standing]) -> None:
        """Count from here on."""
        self._standings = standings

    def _moved(self, topic: str, standing: Standing, found: list[bool]) -> Standing:
        streak = standing.streak
        for usable in found:
            streak = 0 if usable else streak + 1
            if 0 < self._limit.in_a_row <= streak:
                raise self._refusal(f"{streak} records of {topic} in a row cannot be used")
        first = 0 if standing.chunks else next((place for place, usable in enumerate(found) if not usable), len(found))
        moved = Standing(streak, self._trimmed([*standing.chunks, (len(found) - first, found.count(False))]))
        if moved.records >= self._limit.window and moved.unusable > self._limit.share * moved.records:
            raise self._refusal(f"{moved.unusable} of the last {moved.records} records of {topic} cannot be used")
        return moved

    def _trimmed(self, chunks: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        if len(chunks) > 1 and chunks[-2][0] < self._limit.window // _CHUNKS:
            (some, unusable), (more, too) = chunks[-2:]
            chunks[-2:] = [(some + more, unusable + too)]
        left = sum(records for records, _ in chunks)
        begin = 0
        while left - chunks[begin][0] >= self._limit.window:
            left -= chunks[begin][0]
            begin += 1
        return tuple(chunks[begin:])

    def _used(self, standing: Standing) -> float:
        in_a_row = standing.streak / self._limit.in_a_row if self._limit.in_a_row else 0.0
        share = standing.unusable / max(standing.records, self._limit.window) / self._limit.share
        return min(1.0, max(in_a_row, share if self._limit.share < 1 else 0.0))

    def _refusal(self, what: str) -> TooManyDeadLetters:
        self.stopped = (
            f"{what}: that is more than single mistakes, so nothing more is read. Mend the cause and start again: "
            "reading goes on at the first of them that is not among the dead letters"
        )
        return TooManyDeadLetters(self.stopped)
