"""Reading items in the middle of folding: while the database does not answer, there is nothing else to do than wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

import structlog

from services.timer.write_set import ItemRow
from shared.errors import Unavailable
from shared.lifecycle import pause

log = structlog.get_logger(__name__)
RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 1.0

Answer = TypeVar("Answer")


class Items(Protocol):
    """What is read between two turns."""

    async def items(self, keys: Sequence[tuple[int, str]]) -> list[ItemRow]:
        """The rows that exist."""

    async def histories(self, keys: Sequence[tuple[int, str]]) -> list[tuple[int, str, bytes]]:
        """The committed history rows."""


class PatientItems:
    """Asks again until there is an answer, or until the process is leaving."""

    def __init__(self, items: Items, leaving: asyncio.Event) -> None:
        self._items = items
        self._leaving = leaving

    async def items(self, keys: Sequence[tuple[int, str]]) -> list[ItemRow]:
        """The rows that exist.

        Raises:
            Unavailable: the database does not answer, and the process is leaving.
        """
        return await self.answered(lambda: self._items.items(keys))

    async def histories(self, keys: Sequence[tuple[int, str]]) -> list[tuple[int, str, bytes]]:
        """The committed history rows.

        Raises:
            Unavailable: the database does not answer, and the process is leaving.
        """
        return await self.answered(lambda: self._items.histories(keys))

    async def answered(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What *ask* answers once the database does.

        Raises:
            Unavailable: the database does not answer, and the process is leaving.
        """
        wait_s = RETRY_FIRST_S
        while True:
            last_try = self._leaving.is_set()
            try:
                return await ask()
            except Unavailable as exc:
                if last_try:
                    raise
                log.warning("folding waits for the database", error=str(exc))
                await pause(wait_s, self._leaving)
                wait_s = min(2 * wait_s, RETRY_MAX_S)
