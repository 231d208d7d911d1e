"""What the notifier does: remembers the breaches that it reads, and delivers what is due."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from services.notifier.alerts.deciding import Decide, Decider
from services.notifier.delivery import Attempt, Channel, Delivery, Notice, Outcome
from services.notifier.retry import Finished, Verdict, judge
from services.notifier.routing import Routes, route
from shared.breach_records import PublishedRecord, decode_published
from shared.db import BadData
from shared.deadletters import dead_letter
from shared.dlq_limit import DlqMeter, Found, Standing
from shared.errors import BadRecord, Unavailable
from shared.events import SECOND, Instant, Span, rfc3339
from shared.failpoints import failpoint
from shared.kafka.connection import Outgoing, Record
from shared.lifecycle import every
from shared.metrics import Metrics

log = structlog.get_logger(__name__)
STAGE: Final = "notifier"
AWAY_S: Final = 1.0  # between two tries to reach the database
SOON_S: Final = 0.05  # the least that a round sleeps, unless it is woken
LONGEST_REST: Final[Span] = 3600 * SECOND  # whoever asks for more is asked again after an hour
RECORDED_AT_ONCE: Final = 200
IDLE_S: Final = 5.0  # how long a round sleeps at most: what a process that died had claimed comes free meanwhile
PATIENCE_S: Final = 3.0  # how long a stopping process waits for attempts that are under way

_Found = tuple[Record, PublishedRecord]
_Dead = tuple[Record, BadRecord]
Bury = Callable[[Sequence[Outgoing]], Awaitable[None]]  # writes dead letters; may raise Unavailable
OnDelivered = Callable[[Delivery, Outcome], None]


class Store(Protocol):
    """Where breaches and deliveries are kept; every method may raise Unavailable."""

    async def remember(
        self, found: Sequence[tuple[PublishedRecord, Sequence[Notice]]], now: Instant, decide: Decide
    ) -> int:
        """Store what is new, its alerts and its deliveries in one transaction; how many records were new."""

    async def claim(self, free: Mapping[str, int], now: Instant, *, lease: Span) -> list[Delivery]:
        """Take up what is due, up to *free* deliveries of each receiver."""

    async def next_due(self, receivers: Sequence[str]) -> Instant | None:
        """When the earliest delivery of *receivers* that nobody is at is due."""

    async def record(self, finished: Sequence[Finished]) -> Sequence[UUID]:
        """Store attempts; the deliveries that another process has taken up since."""

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give back what was claimed and not finished."""


@dataclass(slots=True)
class Switchboard:
    """The routes and the open channels in use; a reload puts others in their place, both at once."""

    routes: Routes
    channels: Mapping[str, Channel]
    decider: Decider = field(default_factory=Decider)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decides nothing itself: time, chance, and who watches."""

    now: Callable[[], Instant]
    chance: Callable[[], float]  # in [0, 1)
    metrics: Metrics
    lease: Span = 90 * SECOND
    on_delivered: OnDelivered = field(default=lambda _delivery, _outcome: None)


@dataclass(frozen=True, slots=True)
class Grave:
    """Where dead letters go, and how many of them are borne."""

    bury: Bury
    meter: DlqMeter


class Inbox:
    """Takes breaches from the topic; *wake* is set when some are new, and *grave* keeps what cannot be read."""

    def __init__(
        self, store: Store, board: Switchboard, around: Surroundings, *, wake: asyncio.Event, grave: Grave
    ) -> None:
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
            return await self._store.remember(notices, now, self._board.decider.on_event), []
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


class Courier:
    """Delivers what is due, each receiver's within its own limit, so that a slow one delays no other."""

    def __init__(self, store: Store, board: Switchboard, around: Surroundings, *, wake: asyncio.Event) -> None:
        self._store = store
        self._board = board
        self._around = around
        self._wake = wake
        self._under_way: dict[asyncio.Task[None], Delivery] = {}
        self._finished: list[Finished] = []  # and not recorded yet
        self._resting: dict[Channel, Instant] = {}  # until when it asked to be left alone

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until *stop*; attempts under way then get a moment to end, the others are given back."""
        async with asyncio.TaskGroup() as group:
            await every(lambda: self._round(group), stop, wake=self._wake)
            await self._end()

    async def _round(self, group: asyncio.TaskGroup) -> float:
        # The seconds until something more may be due; the end of an attempt wakes the loop before.
        now = self._around.now()
        try:
            await self._record()
            claimed = await self._store.claim(self._free(now), now, lease=self._around.lease)
            for delivery in claimed:
                task = group.create_task(self._attempt(delivery))
                self._under_way[task] = delivery
                task.add_done_callback(self._ended)
            if claimed:
                return SOON_S  # there may be more, and the end of an attempt tells before
            next_due = await self._store.next_due(list(self._free(now)))
        except Unavailable as exc:
            log.warning("deliveries wait", error=str(exc))
            return AWAY_S
        starts = [*self._resting.values(), *([] if next_due is None else [next_due])]
        # What is due and yet was not claimed is locked by another process for a moment.
        return min([IDLE_S, *(max((start - now) / SECOND, SOON_S) for start in starts)])

    def _free(self, now: Instant) -> dict[str, int]:
        self._resting = {channel: until for channel, until in self._resting.items() if until > now}
        busy = Counter(delivery.receiver for delivery in self._under_way.values())
        rested = {name: each for name, each in self._board.channels.items() if each not in self._resting}
        return {name: each.concurrency - busy[name] for name, each in rested.items() if busy[name] < each.concurrency}

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._wake.set()

    async def _attempt(self, delivery: Delivery) -> None:
        channel = self._board.channels.get(delivery.receiver)
        if channel is None:
            await self._give_back(delivery)  # a reload took the receiver away just now
            return
        started = self._around.now()
        outcome = await self._sent(channel, delivery, started)
        failpoint("after_http")
        ended = self._around.now()
        made = Attempt(delivery.attempts + 1, started, max(ended - started, 0), outcome)
        verdict = judge(outcome, made.number, ended, jitter=self._around.chance())
        if outcome.after:
            # It asked all of us, not this delivery only: what else is due there waits too, and uses up no attempt.
            self._resting[channel] = ended + min(outcome.after, LONGEST_REST)
        self._finished.append(Finished(delivery, made, verdict))
        self._tell(delivery, made, verdict)

    async def _sent(self, channel: Channel, delivery: Delivery, now: Instant) -> Outcome:
        try:
            return await channel.send(delivery, now)
        except Exception:  # a loop's place: one alert that trips over a bug of ours must not end all others
            log.exception("an attempt failed by a bug", delivery=str(delivery.id), channel=channel.name)
            return Outcome("retry", "an error inside Plazo; its log has more")

    def _tell(self, delivery: Delivery, made: Attempt, verdict: Verdict) -> None:
        metrics, outcome = self._around.metrics, made.outcome
        label = "gave_up" if verdict.gave_up else outcome.result
        metrics.notifications.labels(channel=delivery.channel, outcome=label).inc()
        metrics.attempt_duration.labels(channel=delivery.channel).observe(made.duration / SECOND)
        told: dict[str, Any] = {
            "delivery": str(delivery.id),
            "receiver": delivery.receiver,
            "attempt": made.number,
            "item": delivery.record.key,
        }
        if verdict.state == "delivered":
            log.info("delivered", **told)
            self._around.on_delivered(delivery, outcome)
        elif verdict.next_attempt_at is None:
            log.error("not delivered", answer=outcome.answer, **told)
        else:
            log.warning("will be tried again", answer=outcome.answer, **told, at=rfc3339(verdict.next_attempt_at))

    async def _record(self) -> None:
        # While the database is away, what was sent is still known here; after the lease somebody repeats it.
        finished = self._finished[:RECORDED_AT_ONCE]
        for lost in await self._store.record(finished):
            log.warning("another process took the delivery up", delivery=str(lost))
        del self._finished[: len(finished)]

    async def _end(self) -> None:
        if self._under_way:
            await asyncio.wait(list(self._under_way), timeout=PATIENCE_S)
        left = dict(self._under_way)
        for task in left:
            task.cancel()
        try:
            while self._finished:
                await self._record()
            await self._store.release(list(left.values()))
        except Unavailable as exc:
            log.warning("deliveries stay claimed until the lease ends", error=str(exc))

    async def _give_back(self, delivery: Delivery) -> None:
        try:
            await self._store.release([delivery])
        except Unavailable as exc:
            log.warning("a delivery stays claimed until the lease ends", error=str(exc))
