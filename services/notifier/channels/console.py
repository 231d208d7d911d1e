"""Alerts as lines at a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.notifier import message
from services.notifier.delivery import ChannelName, Delivery, Outcome
from shared.events import Instant

CONCURRENCY: Final = 64  # a line is written at once, so these keep their order


class ConsoleChannel:
    """Gives each alert as one line to *write*."""

    name: ChannelName = "console"

    def __init__(self, write: Callable[[str], None], *, concurrency: int = CONCURRENCY) -> None:
        self._write = write
        self.concurrency = concurrency

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:  # a line needs no time of its own
        """Write the line; nobody can refuse it."""
        self._write(message.line(delivery.record))
        return Outcome("delivered", "written")
