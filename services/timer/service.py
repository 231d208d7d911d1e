"""The timer's parts, put together, started, run and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import structlog
from fastapi import APIRouter

from services.timer.api import router
from services.timer.completeness import Completeness
from services.timer.evidence import Gate
from services.timer.feed import Feed
from services.timer.frozen_count import FrozenCount
from services.timer.handlers import Timer
from services.timer.holdings import KINDS, Holdings
from services.timer.lane import Lane
from services.timer.lease_store import LeaseStore
from services.timer.leases import Ownership
from services.timer.parked_store import ParkedStore
from services.timer.partitions import Partitions
from services.timer.patience import PatientItems
from services.timer.policies import Policies
from services.timer.relay import Relay
from services.timer.report import Report
from services.timer.retention import Retention
from services.timer.retention_store import RetentionStore
from services.timer.settings import Settings
from services.timer.source_store import SourceStore
from services.timer.sources import Sources
from services.timer.store import TimerStore
from services.timer.touch import Touch
from services.timer.trimming import Trimming
from services.timer.turns import Turns
from services.timer.watch import Watch
from services.timer.write_set import WriteSet
from shared.db import Database
from shared.errors import PlazoError, Unavailable
from shared.events import SECOND
from shared.failpoints import failpoint
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer
from shared.kafka.reader import Reader
from shared.lifecycle import Signals, every, pause, reload_on_change, together, unless
from shared.metrics import Metrics
from shared.timekeeping import Timekeeper

log = structlog.get_logger(__name__)
POLL_MS = 100
POLL_RECORDS = 10_000


class TimerService:
    """One timer process, or the timer's share of an all-in-one process."""

    def __init__(self, settings: Settings, metrics: Metrics, *, monotonic_us: Callable[[], int]) -> None:
        self._settings = settings
        self._metrics = metrics
        self.database = Database(settings.database_url.get_secret_value())
        self._leases = LeaseStore(self.database)
        self._store = TimerStore(self.database)
        self._time = Timekeeper(monotonic_us, self.database.clock)
        self._policies = Policies(self._leases, settings.policies, now=self._time.now)
        self._producer = Producer(settings.connection, "timer")
        self._feeder = Producer(settings.connection, "timer-clocks")
        self._reader = Reader(settings.connection, settings.topics.events, "timer")
        self._offsets = Offsets(settings.connection, "timer-evidence")
        self._frozen_count = FrozenCount(self._offsets, self._leases, settings.topics.events)
        self._holdings = Holdings()
        self._leaving = asyncio.Event()  # once it is set, nobody waits for a database that is away
        self._connect_lane()
        self._connect_partitions()
        self._connect_watches()

    def _connect_lane(self) -> None:
        """Records to write sets, write sets to the database, what they publish to Kafka."""
        topics = self._settings.topics
        self._trimming = Trimming(self._store, self._holdings)
        self._relay = Relay(
            self._producer,
            self._store,
            ParkedStore(self.database),
            breaches=topics.breaches,
            published=self._trimming.note,
            metrics=self._metrics,
        )
        self._lane = Lane(self._store, committed=self._tell, lost=self._forget, topics=topics)
        self._feed = Feed(self._store, self._feeder, topics.clocks, idle=lambda: self._lane.idle)
        items = PatientItems(self._store, self._leaving)
        self._timer = Timer(
            holdings=self._holdings,
            items=items,
            look=partial(items.answered, self._policies.look),
            lane=self._lane,
            rulebook=self._policies.rulebook,
            topics=self._settings.topics,
            now=self._time.now,
            metrics=self._metrics,
            keep_items=self._settings.keep_items,
            limit=self._settings.dlq_limit,
            begins=lambda: self._retention.begins,
        )
        self._turns = Turns(self._timer, self._holdings, lambda: self._lane.idle)
        self._retention = Retention(
            int(self._settings.keep_closed_days * 86_400 * SECOND),
            holdings=self._holdings,
            rows=RetentionStore(self.database),
            items=items,
            amid=self._turns.amid,
            draft=self._timer.draft,
            clocks_topic=topics.clocks,
            now=self._time.now,
        )

    def _connect_partitions(self) -> None:
        """Leases to what is held in memory."""
        self._partitions = Partitions(
            holdings=self._holdings,
            rows=self._store,
            brokers=self._offsets,
            reading=self._reader,
            relay=self._relay,
            feed=self._feed,
            lane=self._lane,
            events_topic=self._settings.topics.events,
            now=self._time.now,
            metrics=self._metrics,
        )
        self._touch = Touch(
            self._offsets,
            self._holdings,
            group=self._settings.timer_group,
            topic=self._settings.topics.events,
            now=self._time.now,
        )
        self._ownership = Ownership(
            self._leases,
            self._settings.instance,
            in_touch=self._touch,
            taken=self._partitions.begin,
            given_up=self._give_up,
            lost=self._partitions.lose,
        )

    def _connect_watches(self) -> None:
        """Deadlines to the evidence and back to the turns; and what the gauges show."""
        settings, now, events_topic = self._settings, self._time.now, self._settings.topics.events
        gate = Gate(self._offsets, settings.upstream, group=settings.ingest_group, events_topic=events_topic)
        self._watches = [
            Watch(
                kind,
                holdings=self._holdings,
                gate=gate,
                fire=self._turns.fire,
                folded=self._turns.listen(),
                now=now,
                hold_max=int(settings.hold_max_s * SECOND),
                metrics=self._metrics,
            )
            for kind in KINDS
        ]
        self._sources = Sources(
            holdings=self._holdings,
            rows=SourceStore(self.database),
            proof=Completeness(gate, self._leases, now),
            between=self._turns.between,
            lane=self._lane,
            rulebook=self._policies.rulebook,
            topic=settings.topics.breaches,
            now=now,
            metrics=self._metrics,
        )
        self._report = Report(
            self._holdings,
            self._relay,
            self._store,
            self._offsets,
            events_topic,
            reads=self._reader.reads,
            now=now,
            metrics=self._metrics,
        )

    def router(self) -> APIRouter:
        """The HTTP side."""
        return router(self.database)

    async def start(self) -> None:
        """Connect, and read the policies.

        Raises:
            Unavailable, Refused, BadDocument: what is missing or wrong, in a sentence.
        """
        self.database.warn()
        await self.database.check()
        await self._time.round()
        topics = self._settings.topics
        await self._offsets.require([topics.events, topics.breaches, topics.deadletters])
        await self._frozen_count.check()
        await self._policies.start()
        await self._producer.start()
        await self._feeder.start()
        await self._reader.start()

    async def run(self, signals: Signals) -> None:
        """Do the timer's work until it is told to stop; then finish what is under way and give the leases back."""
        draining = asyncio.Event()  # set last: the lane and the relay outlive everything that feeds them
        stop = signals.stop

        async def work() -> None:
            try:
                await together(
                    stop,
                    self._note_leaving(stop),
                    self._turns.run(stop),
                    self._read(stop),
                    every(self._ownership.round, stop),
                    every(self._time.round, stop),
                    every(self._policies.round, stop),
                    every(self._partitions.move_horizon, stop),
                    every(self._trimming.round, stop),
                    every(self._retention.round, stop),
                    # What these ask of brokers that are away is not waited for.
                    unless(stop, every(self._feed.round, stop)),
                    unless(stop, every(self._report.round, stop)),
                    unless(stop, every(partial(self._sources.round, stop), stop)),
                    unless(stop, every(self._touch.round, stop)),
                    unless(stop, every(self._frozen_count.round, stop)),
                    reload_on_change(self._settings.policies, self._policies.reload, signals, metrics=self._metrics),
                    *(every(partial(watch.round, stop), stop) for watch in self._watches),
                )
                await self._leave()
            finally:
                draining.set()

        await together(draining, work(), self._lane.run(draining, self._leaving), self._relay.run(draining))

    async def _note_leaving(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._leaving.set()

    async def _leave(self) -> None:
        await self._ownership.release_all()
        try:
            await self._leases.leave(self._settings.instance)
        except Unavailable as exc:
            log.warning("the leases were not given back, they expire", error=str(exc))

    async def stop(self) -> None:
        """Disconnect; the producer first, so that a fenced process sends nothing more."""
        async with AsyncExitStack() as stack:  # each is stopped, also when another cannot be
            stack.push_async_callback(self.database.close)
            for part in (self._offsets, self._reader, self._feeder, self._producer):
                stack.push_async_callback(part.stop)

    async def ready(self) -> str | None:
        """What keeps the timer from its work, or None."""
        if self._timer.refusals.stopped is not None:
            return self._timer.refusals.stopped
        if not self._ownership.epochs:
            return "owns no partition yet"
        if (trouble := self._partitions.trouble()) is not None:
            return trouble
        try:
            await self.database.check()
        except PlazoError as exc:
            return str(exc)
        return None

    async def _read(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                polled = await self._reader.poll(POLL_MS, POLL_RECORDS)
                ends = {} if polled else await self._reader.positions()
            except Unavailable as exc:
                log.warning("reading waits", error=str(exc))
                await pause(1.0, stop)
                continue
            if polled:
                failpoint("after_poll")
            await self._turns.take_in(polled, ends)

    async def _give_up(self, partition: int) -> None:
        await self._turns.between(self._lane.drained)
        await self._partitions.finish(partition)

    def _tell(self, committed: WriteSet) -> None:
        self._relay.add(committed.outbox)
        self._feed.committed(committed)
        self._holdings.gone(committed.removed)
        self._metrics.items_forgotten.inc(len(committed.removed))

    def _forget(self, partition: int) -> None:
        self._ownership.forget(partition)
