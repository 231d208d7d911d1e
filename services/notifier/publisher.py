"""Writes alerts to the topics that receive them, by a producer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from shared.kafka.connection import Outgoing


class Producer(Protocol):
    """Writes records to topics; see `shared.kafka.producer`."""

    async def start(self) -> None:
        """Connect."""

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write *records*."""

    async def stop(self) -> None:
        """Disconnect."""


class Publisher:
    """Opens *producer* when it is first needed: most installations alert nobody over Kafka."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._opening = asyncio.Lock()
        self._is_open = False

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Write *records* to *topic*.

        Raises:
            Unavailable, TooLarge, Refused: see `shared.kafka.producer`.
        """
        async with self._opening:
            if not self._is_open:
                await self._producer.start()
                self._is_open = True
        await self._producer.send(topic, records)

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()
