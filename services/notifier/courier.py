"""Delivers what is due."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from services.notifier.breaker import CLOSED, Breaker
from services.notifier.delivery import Attempt, Channel, Delivery, Outcome
from services.notifier.retry import Finished, Verdict, judge
from services.notifier.switchboard import Surroundings, Switchboard
from shared.errors import Unavailable
from shared.events import SECOND, Instant, Span, rfc3339
from shared.failpoints import failpoint
from shared.lifecycle import every

log = structlog.get_logger(__name__)
AWAY_S: Final = 1.0  # between two tries to reach the database
SOON_S: Final = 0.05  # the least that a round sleeps, unless it is woken
RECORDED_AT_ONCE: Final = 200
IDLE_S: Final = 5.0  # how long a round sleeps at most: what a process that died had claimed comes free meanwhile
PATIENCE_S: Final = 3.0  # how long a stopping process waits for attempts that are under way


class Store(Protocol):
    """Where deliveries are kept; every method may raise Unavailable."""

    async def claim(self, free: Mapping[str, int], now: Instant, *, lease: Span) -> list[Delivery]:
        """Take up what is due, up to *free* deliveries of each receiver."""

    async def next_due(self, receivers: Sequence[str]) -> Instant | None:
        """When the earliest delivery of *receivers* that nobody is at is due."""

    async def record(self, finished: Sequence[Finished]) -> Sequence[UUID]:
        """Store attempts; the deliveries that another process has taken up since."""

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give back what was claimed and not finished."""


class Courier:
    """Delivers what is due, each receiver's within its own limit, so that a slow one delays no other."""

    def __init__(self, store: Store, board: Switchboard, around: Surroundings, *, wake: asyncio.Event) -> None:
        self._store = store
        self._board = board
        self._around = around
        self._wake = wake
        self._under_way: dict[asyncio.Task[None], Delivery] = {}
        self._finished: list[Finished] = []  # and not recorded yet
        self._breakers: dict[Channel, Breaker] = {}  # of those that failed last

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until *stop*; attempts under way then get a moment to end, the others are given back."""
        async with asyncio.TaskGroup() as group:
            await every(lambda: self.round(group), stop, wake=self._wake)
            await self._end()

    async def round(self, group: asyncio.TaskGroup) -> float:
        """Begin in *group* what is due; the seconds until more may be due, unless the loop is woken before."""
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
        resting = [known.until for known in self._breakers.values() if known.is_resting(now)]
        self._around.metrics.endpoints.labels(state="resting").set(len(resting))
        starts = [*resting, *([] if next_due is None else [next_due])]
        # What is due and yet was not claimed is locked by another process for a moment.
        return min([IDLE_S, *(max((start - now) / SECOND, SOON_S) for start in starts)])

    def _free(self, now: Instant) -> dict[str, int]:
        channels, disabled = self._board.channels, self._board.disabled
        # A reload puts other channels in their place, which begin anew.
        self._breakers = {each: self._breakers[each] for each in channels.values() if each in self._breakers}
        busy = Counter(delivery.receiver for delivery in self._under_way.values())
        rooms = {
            name: self._breakers.get(each, CLOSED).room(each.concurrency, busy[name], now)
            for name, each in channels.items()
            if name not in disabled
        }
        return {name: room for name, room in rooms.items() if room}

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
        verdict = judge(outcome, made.number - delivery.spent, ended, jitter=self._around.chance())
        self._weigh(channel, made, delivery.receiver)
        self._finished.append(Finished(delivery, made, verdict))
        self._tell(delivery, made, verdict)

    def _weigh(self, channel: Channel, made: Attempt, receiver: str) -> None:
        # What its answer says of the endpoint, and so of all that is due there.
        outcome, ended = made.outcome, made.started_at + made.duration
        if outcome.gone:
            self._around.on_gone(receiver, outcome.answer)
        before = self._breakers.get(channel, CLOSED)
        if outcome.result == "retry":
            known = self._breakers[channel] = before.after(outcome, ended, jitter=self._around.chance())
            if known.rests > before.rests:
                log.warning("an endpoint rests", receiver=receiver, until=rfc3339(known.until), failures=known.failures)
        else:
            self._breakers.pop(channel, None)

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
