"""Deleting from the outbox what was published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import structlog

from services.timer.holdings import Holdings
from shared.errors import Unavailable
from shared.failpoints import failpoint

log = structlog.get_logger(__name__)


class Tables(Protocol):
    """Where the outbox is."""

    async def trim_outbox(self, published: Mapping[tuple[int, int], int]) -> None:
        """Delete what was published: (partition, epoch) -> position, that one included."""


class Trimming:
    """Remembers how far each partition's outbox was published, and trims now and then."""

    def __init__(self, tables: Tables, holdings: Holdings) -> None:
        self._tables = tables
        self._holdings = holdings
        self._published: dict[tuple[int, int], int] = {}  # (partition, epoch) -> outbox position

    def note(self, partition: int, position: int) -> None:
        """Note that everything up to a position was published."""
        holding = self._holdings.partitions.get(partition)
        if holding is not None:
            holding.published_through = position
            self._published[partition, holding.epoch] = position

    async def round(self) -> float:
        """Trim once; the seconds until the next time."""
        published, self._published = self._published, {}
        if published:
            failpoint("before_marking")
            try:
                await self._tables.trim_outbox(published)
            except Unavailable as exc:
                self._published = {**published, **self._published}
                log.warning("the outbox is not trimmed", error=str(exc))
        return 1.0
