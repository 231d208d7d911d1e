"""Keeps each process's silences as the database has them, and notices when one is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol
from uuid import UUID

import structlog

from services.notifier.holding.silences import Silence
from services.notifier.releaser import Ruling
from shared.errors import Unavailable
from shared.events import SECOND, Instant
from shared.lifecycle import every

log = structlog.get_logger(__name__)
LOOK_S: Final = 5.0  # between two looks at the silences: so late one that another process took counts here
SOON_S: Final = 0.05


class Ended(Protocol):
    """A silence that is over."""

    @property
    def id(self) -> UUID:
        """Which one."""

    @property
    def author(self) -> str:
        """Whose it was."""

    @property
    def told(self) -> int:
        """How much of what it hid is told now."""


class Store(Protocol):
    """Where silences are kept; every method may raise Unavailable."""

    async def current(self, now: Instant) -> tuple[Silence, ...]:
        """Those in force or to come."""

    async def end(self, now: Instant) -> Sequence[Ended]:
        """Notice those that are over, and hold, due at once, what they hid and is still open."""


class SilenceWatch:
    """Looks at the silences every few seconds, and at once when *changed* is set."""

    def __init__(self, store: Store, ruling: Ruling, changed: asyncio.Event) -> None:
        self._store = store
        self._ruling = ruling
        self._changed = changed

    async def look(self, now: Instant) -> float:
        """Take the silences over as they are; the seconds until they should be looked at again."""
        try:
            ended = await self._store.end(now)
            silences = await self._store.current(now)
        except Unavailable as exc:
            log.warning("the silences known so far hold on", error=str(exc))
            return LOOK_S
        self._ruling.rules = replace(self._ruling.rules, silences=silences)
        metrics = self._ruling.metrics
        metrics.silences.set(sum(each.state(now) == "active" for each in silences))
        for each in ended:
            metrics.silences_ended.inc()
            log.info("a silence is over", silence=str(each.id), author=each.author, told=each.told)
        if any(each.told for each in ended):
            self._ruling.release.set()
        first = min((each.ends_at for each in silences), default=now + round(LOOK_S * SECOND))
        return min(LOOK_S, max((first - now) / SECOND, SOON_S))

    async def run(self, now: Callable[[], Instant], stop: asyncio.Event) -> None:
        """Look until *stop*."""
        await every(lambda: self.look(now()), stop, wake=self._changed)
