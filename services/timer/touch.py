"""Whether this process can reach Kafka, by the answers to what lag tools are shown each second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from services.timer.holdings import Holdings
from shared.errors import Unavailable
from shared.events import SECOND, Instant, Span
from shared.kafka.connection import Place

log = structlog.get_logger(__name__)
SHOW_S: Final = 1.0
ANSWER_S: Final = 5.0
SILENT: Final[Span] = 6 * SECOND  # without an answer: longer than one call may take


class Brokers(Protocol):
    """What is asked of the brokers."""

    async def show(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Let lag tools see offsets."""

    async def ends(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """End offsets."""


class Touch:
    """Shows lag tools how far the partitions are folded, and remembers when Kafka last answered."""

    def __init__(
        self, brokers: Brokers, holdings: Holdings, *, group: str, topic: str, now: Callable[[], Instant]
    ) -> None:
        self._brokers = brokers
        self._holdings = holdings
        self._group = group
        self._topic = topic
        self._now = now
        self._answered: Instant | None = None

    def __call__(self) -> bool:
        """Whether Kafka answered lately; before the first question, that is taken to be so."""
        if self._answered is None:
            self._answered = self._now()
        return self._now() - self._answered < SILENT

    async def round(self) -> float:
        """Show the offsets of all partitions; of none, ask for something else. The seconds until the next round."""
        offsets = {Place(self._topic, number): held.folded_to for number, held in self._holdings.partitions.items()}
        try:
            async with asyncio.timeout(ANSWER_S):
                if offsets:
                    await self._brokers.show(self._group, offsets)
                else:
                    await self._brokers.ends([Place(self._topic, 0)])
        except (Unavailable, TimeoutError) as exc:
            log.warning("Kafka does not answer", error=str(exc) or f"within {ANSWER_S} s")
        else:
            self._answered = self._now()
        return SHOW_S
