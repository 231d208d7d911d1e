"""The notifier's parts, put together, started, run and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from fastapi import APIRouter

from services.notifier import routes_file
from services.notifier.channels import guard
from services.notifier.channels.catalogue import Outside, fingerprints, open_channels
from services.notifier.courier import Courier
from services.notifier.deciders import decider_of
from services.notifier.delivery import Delivery, Outcome
from services.notifier.diverter import Bells, Diverter
from services.notifier.endpoint_store import EndpointStore
from services.notifier.escalation_store import EscalationStore
from services.notifier.escalator import Escalator
from services.notifier.handlers import Grave, Inbox
from services.notifier.heart import Heart
from services.notifier.heartbeat import due
from services.notifier.held_store import HeldStore
from services.notifier.holding.rules import Rules
from services.notifier.http_side import router
from services.notifier.plan_store import PlanStore
from services.notifier.plan_watch import Handle, PlanWatch
from services.notifier.publisher import Publisher
from services.notifier.reading import files_beside, read_routes
from services.notifier.releaser import Releaser, Ruling
from services.notifier.retry import SCHEDULE
from services.notifier.settings import Settings
from services.notifier.silence_store import SilenceStore
from services.notifier.silence_watch import SilenceWatch
from services.notifier.store import Store
from services.notifier.switchboard import OnDelivered, Surroundings, Switchboard
from services.notifier.templates import template_lint
from services.notifier.templates.customer_writer import writer_for
from services.notifier.templates.folder import shelf as read_shelf
from services.notifier.templates.library import Library
from services.notifier.templates.view import TemplateKind
from shared.db import Database
from shared.dlq_limit import DlqMeter
from shared.errors import BadDocument, PlazoError, Refused, Unavailable
from shared.events import SECOND, Instant, Span
from shared.kafka.connection import Outgoing
from shared.kafka.loop import Subscription, consume
from shared.kafka.producer import Producer
from shared.lifecycle import Signals, every, reload_on_change, together
from shared.metrics import Metrics
from shared.timekeeping import Timekeeper

log = structlog.get_logger(__name__)
COUNT_S: Final = 15.0  # between two counts of what is pending
PRUNE_S: Final = 600.0
DAY: Final[Span] = 86_400 * SECOND
CONNECTIONS: Final = 8  # remembering, claiming, the API, and recording several attempts at once


@dataclass(frozen=True, slots=True)
class World:
    """What the notifier cannot make itself: time, chance, the environment's secrets, a place for lines."""

    monotonic_us: Callable[[], int]  # a clock that nobody sets
    chance: Callable[[], float]  # in [0, 1)
    environment: Mapping[str, str]
    write: Callable[[str], None]  # takes the lines of console receivers
    version: str
    # Told of every alert that arrived, before it is recorded; must not raise.
    on_delivered: OnDelivered = field(default=lambda _delivery, _outcome: None)


class NotifierService:
    """One notifier process, or the notifier's share of an all-in-one process."""

    def __init__(self, settings: Settings, metrics: Metrics, world: World) -> None:
        self._settings = settings
        self._metrics = metrics
        self._world = world
        self.database = Database(settings.database_url.get_secret_value(), size=CONNECTIONS)
        self._links = settings.links
        self._store = Store(self.database, settings.instance, self._links)
        self._endpoints = EndpointStore(self.database)
        self._time = Timekeeper(world.monotonic_us, self.database.clock)
        self._producer = Producer(settings.connection, "notifier")
        self._publisher = Publisher(Producer(settings.connection, "notifier-alerts"))
        self._client = guard.Client(settings.reach, guard.trusting(settings.notifier_ca_file))
        self._joined = asyncio.Event()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()  # the file, and where it leads to
        self._meter = DlqMeter(settings.dlq_limit)
        self._ruling = Ruling(Rules(), metrics, self._wake)
        self._held = HeldStore(self.database)
        self._silences_changed = asyncio.Event()
        self._watch = SilenceWatch(SilenceStore(self.database), self._ruling, self._silences_changed)
        self._writing = asyncio.Lock()
        self._newest_beat: Instant = 0  # of those that arrived
        self._board: Switchboard | None = None

    def router(self) -> APIRouter:
        """The HTTP side."""
        return router(self.database, self._time.now, self._links, self._silences_changed)

    async def start(self) -> None:
        """Connect, and read the routes.

        Raises:
            Unavailable, Refused, BadDocument: what is missing or wrong, in a sentence.
        """
        try:
            self._board = self._read_routes()
        except OSError as exc:
            raise Refused(f"NOTIFY_ROUTES: {exc.strerror}: {exc.filename}") from exc
        self.database.warn()
        await self.database.check()
        if taken_back := await self._store.take_back():
            log.info("deliveries of the process before are taken back", deliveries=taken_back)
        await self._time.round()
        await self._watch.look(self._time.now())  # before the first breach is read
        self._board.disabled = {each.receiver: each.reason for each in await self._endpoints.disabled()}
        await self._producer.start()

    async def run(self, signals: Signals) -> None:
        """Remember and deliver until told to stop."""
        settings, stop, board = self._settings, signals.stop, self._loaded()
        bells = Bells(self._changed, self._wake)
        diverter = Diverter(self._endpoints, board, self._metrics, now=self._time.now, bells=bells)
        around = Surroundings(
            now=self._time.now,
            chance=self._world.chance,
            metrics=self._metrics,
            lease=round(settings.notifier_claim_s * SECOND),
            on_delivered=self._arrived,
            on_gone=diverter.gone,
        )
        heart = Heart(lambda: board.routes, self._take_in, self._time.now)
        inbox = Inbox(self._store, board, around, wake=self._ruling, grave=Grave(self._bury, self._meter))
        courier = Courier(self._store, board, around, wake=self._wake)
        steps = EscalationStore(self.database)
        escalator = Escalator(steps, board, self._time.now, metrics=self._metrics, wake=self._ruling)
        await together(
            stop,
            self._consume(settings.topics.breaches, "", inbox.on_breach, stop=stop, joined=self._joined),
            courier.run(stop),
            escalator.run(stop),
            Releaser(self._held, self._ruling).run(self._time.now, stop),
            self._watch.run(self._time.now, stop),
            diverter.run(stop),
            PlanWatch(PlanStore(self.database), board, self._read_events, now=self._time.now, wake=self._wake).run(
                stop
            ),
            every(self._time.round, stop),
            every(self._count, stop),
            every(self._prune, stop),
            every(heart.round, stop),
            reload_on_change(
                settings.notify_routes,
                self._reload,
                signals,
                metrics=self._metrics,
                beside=lambda: files_beside(settings.notify_routes),
            ),
        )

    async def _read_events(self, handle: Handle, stop: asyncio.Event) -> None:
        await self._consume(self._settings.topics.events, "-plans", handle, stop=stop, joined=asyncio.Event())

    async def _consume(
        self, topic: str, suffix: str, handle: Handle, *, stop: asyncio.Event, joined: asyncio.Event
    ) -> None:
        # Of each topic its own place is kept, in a group of its own.
        settings = self._settings
        subscription = Subscription((topic,), f"{settings.notifier_group}{suffix}", settings.notifier_batch_records)
        await consume(settings.connection, subscription, handle, stop=stop, joined=joined)

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()
        await self._publisher.stop()
        await self._client.aclose()
        await self.database.close()

    async def ready(self) -> str | None:
        """None when breaches are read, remembered and routed; else what is missing."""
        if self._meter.stopped is not None:
            return self._meter.stopped
        if self._board is None:
            return "the routes are not loaded"
        if not self._joined.is_set():
            return "the consumer group is not joined"
        try:
            await self.database.check()
        except PlazoError as exc:
            return str(exc)
        return None

    def _loaded(self) -> Switchboard:
        if self._board is None:
            raise Refused("the notifier was not started")
        return self._board

    def _read_routes(self) -> Switchboard:
        routes = read_routes(self._settings.notify_routes)
        for finding in routes_file.findings(routes):
            log.warning("routes", finding=str(finding))
        shelf = read_shelf(routes.templates)
        for fault in template_lint.findings(shelf):
            log.error("a template is wrong, so the built-in form is sent in its place", finding=str(fault))
        world, library = self._world, Library(shelf)
        outside = Outside(
            world.environment,
            self._client,
            guard.trusting(self._settings.notifier_ca_file),
            world.write,
            world.version,
            writer_of=lambda receiver: writer_for(receiver, library, self._template_failed),
            produce=self._publisher.publish,
        )
        channels = open_channels(routes, outside)
        self._ruling.reload(routes)
        decider, leads = decider_of(routes, self._ruling.hold), fingerprints(routes, outside)
        return Switchboard(routes, channels, decider, self._ruling, fingerprints=leads)

    def _template_failed(self, kind: TemplateKind, fault: BadDocument) -> None:
        self._metrics.template_faults.labels(kind=kind).inc()
        log.error("a template failed, so the built-in form was sent in its place", kind=kind, fault=str(fault))

    async def _reload(self) -> None:
        fresh, board = self._read_routes(), self._loaded()
        board.routes, board.channels, board.decider = fresh.routes, fresh.channels, fresh.decider
        board.fingerprints = fresh.fingerprints
        self._wake.set()
        self._changed.set()

    def _arrived(self, delivery: Delivery, outcome: Outcome) -> None:
        beat = due(delivery.record)
        if beat is not None:
            # One that was tried again may arrive behind later ones.
            self._newest_beat = max(self._newest_beat, beat)
            self._metrics.alert_heartbeat.set(self._newest_beat / SECOND)
        self._world.on_delivered(delivery, outcome)

    async def _bury(self, letters: Sequence[Outgoing]) -> None:
        await self._written(self._settings.topics.deadletters, letters)

    async def _take_in(self, events: Sequence[Outgoing]) -> None:
        await self._written(self._settings.topics.intake, events)

    async def _written(self, topic: str, records: Sequence[Outgoing]) -> None:
        async with self._writing:  # a producer must not be restarted while somebody else writes by it
            try:
                await self._producer.send(topic, records)
            except Unavailable:
                await self._producer.restart()
                raise

    async def _count(self) -> float:
        # Every process counts them all: the gauge's maximum over the processes is the number.
        known, now = self._loaded().channels, self._time.now()
        try:
            pending = await self._store.pending()
            standing = await self._store.standing(now)
            self._metrics.deliveries_held.set(await self._held.count())
            # Another process may know a receiver that this one does not know yet, so time is left for that.
            given_up = await self._store.abandon(list(known), now - sum(SCHEDULE), now)
        except Unavailable as exc:
            log.warning("pending deliveries were not counted", error=str(exc))
            return COUNT_S
        self._metrics.deliveries_pending.set(sum(pending.values()))
        self._metrics.show_alerts(standing)
        strays = {name: count for name, count in pending.items() if name not in known}
        if strays:
            log.warning("deliveries wait for receivers that the routes no longer name", given_up=given_up, **strays)
        return COUNT_S

    async def _prune(self) -> float:
        before = self._time.now() - round(self._settings.notifier_kept_days * DAY)
        try:
            forgotten = await self._store.prune(before)
            await self._held.prune(before)
        except Unavailable as exc:
            log.warning("old deliveries were not forgotten", error=str(exc))
            return PRUNE_S
        return 0.0 if forgotten else PRUNE_S
