"""Takes the steps of escalations when their time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from services.notifier.alerts.deciding import Decider, DecideStep
from services.notifier.escalation_store import TAKEN_AT_ONCE, Taken
from services.notifier.switchboard import Wakes
from shared.errors import Unavailable
from shared.events import SECOND, Instant
from shared.lifecycle import every
from shared.metrics import Metrics

log = structlog.get_logger(__name__)
AWAY_S: Final = 1.0  # between two tries to reach the database
SOON_S: Final = 0.05  # the least that a round sleeps, unless there is more to take
IDLE_S: Final = 5.0  # the most: another process may have stored an earlier step meanwhile


class Store(Protocol):
    """Where alerts and their steps are kept; every method may raise Unavailable."""

    async def take(self, decide: DecideStep, now: Instant) -> Sequence[Taken]:
        """Take the steps that are due, in one transaction."""

    async def next_due(self) -> Instant | None:
        """When the next step of any alert is due."""


class Board(Protocol):
    """What is in use; a reload changes it."""

    @property
    def decider(self) -> Decider:
        """Decides by the escalations of the file."""


class Escalator:
    """Takes steps that are due; *wake* is set when they have messages to send."""

    def __init__(
        self, store: Store, board: Board, now: Callable[[], Instant], *, metrics: Metrics, wake: Wakes
    ) -> None:
        self._store = store
        self._board = board
        self._now = now
        self._metrics = metrics
        self._wake = wake

    async def run(self, stop: asyncio.Event) -> None:
        """Take steps until *stop*."""
        await every(self._round, stop)

    async def _round(self) -> float:
        now = self._now()
        try:
            taken = await self._store.take(self._board.decider.on_step, now)
            self._tell(taken)
            if len(taken) == TAKEN_AT_ONCE:
                return 0.0
            due = await self._store.next_due()
        except Unavailable as exc:
            log.warning("escalations wait", error=str(exc))
            return AWAY_S
        return IDLE_S if due is None else min(IDLE_S, max((due - now) / SECOND, SOON_S))

    def _tell(self, taken: Sequence[Taken]) -> None:
        for each in taken:
            self._metrics.escalation_steps.inc(len(each.steps))
            log.info(
                "escalated",
                alert=str(each.alert),
                item=each.item,
                steps=list(each.steps),
                receivers=list(each.receivers),
            )
        if taken:
            self._wake.set()
