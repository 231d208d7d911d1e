"""Remembers the breaches that are read, with who is to hear of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from services.notifier.alerts.deciding import Decide
from services.notifier.delivery import Notice
from services.notifier.inhibition import Inhibiting
from services.notifier.routing import route
from services.notifier.switchboard import Surroundings, Switchboard, Wakes
from shared.breach_records import PublishedRecord, decode_published
from shared.db import BadData
from shared.deadletters import dead_letter
from shared.dlq_limit import DlqMeter, Found, Standing
from shared.errors import BadRecord
from shared.events import SECOND, Instant
from shared.kafka.connection import Outgoing, Record

log = structlog.get_logger(__name__)
STAGE: Final = "notifier"

_Found = tuple[Record, PublishedRecord]
Chosen = tuple[PublishedRecord, Sequence[Notice]]  # something published, and who is to hear of it
_Dead = tuple[Record, BadRecord]
Bury = Callable[[Sequence[Outgoing]], Awaitable[None]]  # writes dead letters; may raise Unavailable


class Store(Protocol):
    """Where breaches and deliveries are kept; it may raise Unavailable."""

    async def remember(self, found: Sequence[Chosen], now: Instant, decide: Decide, inhibiting: Inhibiting) -> int:
        """Store what is new, its alerts and its deliveries in one transaction; how many records were new."""


@dataclass(frozen=True, slots=True)
class Grave:
    """Where dead letters go, and how many of them are borne."""

    bury: Bury
    meter: DlqMeter


class Inbox:
    """Takes breaches from the topic; *wake* is set when some are new, and *grave* keeps what cannot be read."""

    def __init__(self, store: Store, board: Switchboard, around: Surroundings, *, wake: Wakes, grave: Grave) -> None:
        self._store = store
        self._board = board
        self._around = around
        self._wake = wake
        self._grave = grave

    async def on_breach(self, records: Sequence[Record]) -> None:
        """Decode *records*, choose who hears of each, and remember that in one transaction.

        Raises:
            Unavailable: nothing was stored, or its outcome is not known; the same records may be handled again.
            TooManyDeadLetters: none of the dead letters was written: the records stay unread.
        """
        found, dead = self._sorted(records)
        now = self._around.now()
        fresh, refused = await self._remembered(found, now)
        dead += refused
        weighed = self._weighed(records, dead)
        if dead:
            await self._grave.bury([dead_letter(record, error, stage=STAGE) for record, error in dead])
        self._grave.meter.keep(weighed)
        self._count(dead, now)
        log.debug("records remembered", records=len(records), new=fresh)
        if fresh:
            self._wake.set()

    async def _remembered(self, found: Sequence[_Found], now: Instant) -> tuple[int, list[_Dead]]:
        # (how many were new, what the database refuses): halved down to the records that are to blame. Those that are
        # remembered by then do no harm when the batch is handled again: they are known by their ids.
        try:
            notices = [(each, route(self._board.routes, each, now)) for _, each in found]
            board = self._board
            return await self._store.remember(notices, now, board.decider.on_event, board.inhibiting), []
        except BadData as exc:
            if len(found) == 1:
                record, _ = found[0]
                log.error("the database refuses a record", place=_place(record), error=str(exc))  # noqa: TRY400 # not a bug here
                return 0, [(record, BadRecord("quarantined", "the database refuses what would be remembered of it"))]
        half = len(found) // 2
        (some, bad), (more, worse) = (
            await self._remembered(found[:half], now),
            await self._remembered(found[half:], now),
        )
        return some + more, bad + worse

    def _sorted(self, records: Sequence[Record]) -> tuple[list[_Found], list[_Dead]]:
        found: list[_Found] = []
        dead: list[_Dead] = []
        for record in records:
            try:
                found.append((record, decode_published(record.headers, record.value)))
            except BadRecord as exc:
                dead.append((record, exc))
                log.warning("a record cannot be read", place=_place(record), reason=exc.reason, error=str(exc))
        return found, dead

    def _weighed(self, records: Sequence[Record], dead: Sequence[_Dead]) -> Mapping[str, Standing]:
        if not dead and not self._grave.meter.suspects:
            return {}
        lost = {id(record) for record, _ in dead}
        try:
            return self._grave.meter.weighed(Found(record.topic, id(record) not in lost) for record in records)
        finally:
            self._around.metrics.dlq_limit_used.labels(stage=STAGE).set(self._grave.meter.used)

    def _count(self, dead: Sequence[_Dead], now: Instant) -> None:
        metrics = self._around.metrics
        for _, error in dead:
            metrics.dead_letters.labels(stage=STAGE, reason=error.reason).inc()
        metrics.dlq_limit_used.labels(stage=STAGE).set(self._grave.meter.used)
        metrics.heartbeat.labels(stage=STAGE).set(now / SECOND)


def _place(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
