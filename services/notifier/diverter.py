"""Endpoints that are no more: nothing is sent there, and what waits for them is told to others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from services.notifier.endpoint_store import DIVERTED_AT_ONCE, Disabled, StandIn
from services.notifier.retry import SCHEDULE
from services.notifier.stand_in import stand_in
from services.notifier.switchboard import Switchboard
from shared.errors import Unavailable
from shared.events import Instant
from shared.lifecycle import every
from shared.metrics import Metrics

log = structlog.get_logger(__name__)
LOOK_S: Final = 5.0  # between two looks at what other processes and people have disabled and enabled
AWAY_S: Final = 1.0  # between two tries to reach the database


class Store(Protocol):
    """Where it is kept; every method may raise Unavailable."""

    async def disable(self, found: Sequence[Disabled]) -> None:
        """Note that these are disabled."""

    async def disabled(self) -> list[Disabled]:
        """Those that are."""

    async def enable(self, receiver: str, fingerprint: str | None = None) -> bool:
        """Enable one again; whether it was disabled."""

    async def divert(self, gone: Disabled, to: StandIn, now: Instant) -> int:
        """Let another be told some of what waits; how many ended with that."""

    async def give_up(self, gone: Disabled, before: Instant, now: Instant) -> int:
        """Give up what has waited for too long; how many."""


class Bells(NamedTuple):
    """What is rung between those who look and those who deliver."""

    look: asyncio.Event  # the file has changed, or an endpoint has gone
    deliver: asyncio.Event  # there may be something to deliver


class Diverter:
    """Keeps *board* told of what is disabled, which changes when *bells* ring, and wakes whoever delivers."""

    def __init__(
        self, store: Store, board: Switchboard, metrics: Metrics, *, now: Callable[[], Instant], bells: Bells
    ) -> None:
        self._store = store
        self._board = board
        self._metrics = metrics
        self._now = now
        self._wake = bells.deliver
        self._look = bells.look
        self._found: list[Disabled] = []  # and not stored yet

    def gone(self, receiver: str, reason: str) -> None:
        """Send nothing more to *receiver*, which said that it is no more; the rest follows at once."""
        found = Disabled(receiver, self._board.fingerprints.get(receiver, ""), reason, self._now())
        self._found.append(found)
        self._board.disabled = {**self._board.disabled, receiver: reason}
        log.error("a receiver is no more, and is disabled", receiver=receiver, answer=reason)
        self._look.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch and divert until *stop*."""
        await every(self.round, stop, wake=self._look)

    async def round(self) -> float:
        """Store, read and divert once; the seconds until the next look."""
        try:
            await self._store_found()
            known = await self._known()
            counts = [await self._divert(each, known) for each in known]
        except Unavailable as exc:
            log.warning("what is disabled is not known", error=str(exc))
            return AWAY_S
        self._metrics.endpoints.labels(state="disabled").set(len(known))
        if any(counts):
            self._wake.set()
        return 0.0 if max(counts, default=0) >= DIVERTED_AT_ONCE else LOOK_S

    async def _store_found(self) -> None:
        found = list(self._found)
        await self._store.disable(found)
        del self._found[: len(found)]

    async def _known(self) -> list[Disabled]:
        # What leads elsewhere since the file was changed is enabled again. What this file does not name stays noted.
        known = []
        for each in await self._store.disabled():
            leads_to = self._board.fingerprints.get(each.receiver)
            if leads_to in (None, each.fingerprint):
                known.append(each)
            elif await self._store.enable(each.receiver, each.fingerprint):
                log.info("a receiver is enabled again: the file leads elsewhere", receiver=each.receiver)
        before, meanwhile = self._board.disabled, {each.receiver: each.reason for each in self._found}
        self._board.disabled = {each.receiver: each.reason for each in known} | meanwhile
        if before.keys() - self._board.disabled.keys():
            self._wake.set()
        return [each for each in known if each.receiver in self._board.channels]

    async def _divert(self, gone: Disabled, known: Sequence[Disabled]) -> int:
        board, now = self._board, self._now()
        name = stand_in(board.routes, gone.receiver, {each.receiver for each in known})
        if name is None:
            if given_up := await self._store.give_up(gone, now - sum(SCHEDULE), now):
                log.error("nobody was told in the place of a disabled receiver", receiver=gone.receiver, lost=given_up)
            return 0
        count = await self._store.divert(gone, StandIn(name, board.channels[name].name), now)
        if count:
            self._metrics.diverted.inc(count)
            log.warning("another receiver is told", receiver=gone.receiver, instead=name, deliveries=count)
        return count
