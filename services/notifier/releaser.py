"""Lets go what was held, once it is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog

from services.notifier.alerts.standing import StandingAlert
from services.notifier.delivery import Notice
from services.notifier.holding.hold import hold
from services.notifier.holding.release import Release
from services.notifier.holding.rules import Rules, rules_of
from services.notifier.inhibition import Rule, Sources
from services.notifier.routing import Routes
from shared.breach_records import PublishedRecord
from shared.errors import Unavailable
from shared.events import SECOND, Instant
from shared.failpoints import failpoint
from shared.lifecycle import every
from shared.metrics import Metrics

log = structlog.get_logger(__name__)
AWAY_S: Final = 1.0  # between two tries to reach the database
IDLE_S: Final = 5.0  # how long a round sleeps at most: what another process held comes due meanwhile
SOON_S: Final = 0.05  # the least that a round sleeps, unless it is woken


class Store(Protocol):
    """Where it is held; every method may raise Unavailable."""

    async def due(self, now: Instant) -> tuple[Sequence[str], Instant | None]:
        """The receivers of which something is due, and when the first of all that is held is."""

    async def release(self, receiver: str, rules: Rules, now: Instant) -> Release | None:
        """Put what is due where it belongs; None where another process is at it."""

    async def repeat(self, now: Instant) -> int:
        """Hold again what is still open of groups whose repeat is due."""


@dataclass(slots=True)
class Ruling:
    """The rules in use: a reload puts others in their place, and so does every look at the silences."""

    rules: Rules
    metrics: Metrics
    deliver: asyncio.Event  # set when there is something to deliver
    release: asyncio.Event = field(default_factory=asyncio.Event)  # set when there may be something to release
    has_held: bool = False  # something since that was said

    def reload(self, routes: Routes) -> None:
        """Go by what the file says now."""
        self.rules = replace(rules_of(routes), silences=self.rules.silences)

    def hold(self, notice: Notice, record: PublishedRecord, alert: StandingAlert | None, now: Instant) -> Notice:
        """*notice*, as it is to be remembered."""
        found = hold(notice, record, alert=alert, rules=self.rules, now=now)
        if found.state != notice.state:
            self.metrics.notices.labels(outcome=found.state).inc()
            self.has_held |= found.state == "held"
        return found

    @property
    def inhibit(self) -> tuple[Rule, ...]:
        """The rules by which something is muted while something else is open."""
        return self.rules.inhibit

    @contextmanager
    def knowing(self, sources: Sources) -> Iterator[None]:
        """For a while, in which nothing is awaited, *sources* are open."""
        self.rules = replace(self.rules, sources=sources)
        try:
            yield
        finally:
            self.rules = replace(self.rules, sources={})

    def set(self) -> None:
        """Say that something was remembered: it is delivered at once, and what is held is looked at."""
        self.deliver.set()
        if self.has_held:
            self.has_held = False
            self.release.set()


class Releaser:
    """Takes what is held and due: one of a group goes as it is, several go as one."""

    def __init__(self, store: Store, ruling: Ruling) -> None:
        self._store = store
        self._ruling = ruling

    async def run(self, now: Callable[[], Instant], stop: asyncio.Event) -> None:
        """Release until *stop*."""
        await every(lambda: self._round(now()), stop, wake=self._ruling.release)

    async def _round(self, now: Instant) -> float:
        try:
            if repeated := await self._store.repeat(now):
                log.info("told again, because it is still open", notices=repeated)
            receivers, first = await self._store.due(now)
            for receiver in receivers:
                await self._release(receiver, now)
        except Unavailable as exc:
            log.warning("what is held waits on", error=str(exc))
            return AWAY_S
        if receivers:
            return SOON_S  # there may be more of one receiver than is released at once
        return IDLE_S if first is None else min(IDLE_S, max((first - now) / SECOND, SOON_S))

    async def _release(self, receiver: str, now: Instant) -> None:
        found = await self._store.release(receiver, self._ruling.rules, now)
        failpoint("after_release")
        if found is None or not (found.go or found.digests or found.ends):
            return
        outcomes = self._ruling.metrics.notices
        outcomes.labels(outcome="released").inc(len(found.go))
        outcomes.labels(outcome="digested").inc(sum(len(each.members) for each in found.digests))
        for _, ending in found.ends:
            outcomes.labels(outcome=ending.state).inc()
        counts = {"sent": len(found.go), "digests": len(found.digests), "not_sent": len(found.ends)}
        log.info("released what was held", receiver=receiver, **counts)
        self._ruling.deliver.set()
