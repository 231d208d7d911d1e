"""The number of partitions of `sla.events.v1`, which must not change: items would move away from their clocks."""

from __future__ import annotations

from typing import Final, Protocol

import structlog

from shared.errors import Refused, Unavailable

log = structlog.get_logger(__name__)
CHECK_S: Final = 30.0


class Brokers(Protocol):
    """Who knows the topics; may raise Unavailable."""

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 when it does not exist."""


class Leases(Protocol):
    """Where the number is kept; may raise Unavailable."""

    async def install(self, partitions: int) -> int:
        """Keep the number at the first start; the number that is kept."""


class FrozenCount:
    """Holds the topic to the number of partitions with which the installation was set up."""

    def __init__(self, brokers: Brokers, leases: Leases, topic: str) -> None:
        self._brokers = brokers
        self._leases = leases
        self._topic = topic

    async def check(self) -> None:
        """Refuse to work on a topic whose keys have moved.

        Raises:
            Refused: the topic has another number of partitions than before.
            Unavailable: it is not known.
        """
        there = await self._brokers.partitions(self._topic)
        frozen = await self._leases.install(there) if there else 0  # a topic that is gone has moved no keys
        if there != frozen:
            raise Refused(
                f"{self._topic} has {there} partitions, and this installation was set up with {frozen}:"
                " changing the number moves items, so it must not"
            )

    async def round(self) -> float:
        """Check once; the seconds until the next look.

        Raises:
            Refused: as `check`.
        """
        try:
            await self.check()
        except Unavailable as exc:
            log.warning("the topics were not checked", error=str(exc))
        return CHECK_S
