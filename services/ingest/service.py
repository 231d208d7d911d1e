"""Ingest's parts, put together, started, run and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter

from services.ingest.api import Door, router
from services.ingest.handlers import Ingest
from services.ingest.settings import Settings
from shared.dlq_limit import DlqMeter
from shared.events import SECOND, Instant
from shared.kafka.loop import Subscription, consume
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer
from shared.lifecycle import Signals
from shared.metrics import Metrics


class IngestService:
    """One ingest process, or ingest's share of an all-in-one process."""

    def __init__(self, settings: Settings, metrics: Metrics, *, now: Callable[[], Instant]) -> None:
        skew = round(settings.ingest_future_skew_s * SECOND)
        origins = {upstream.topic: settings.origin(upstream) for upstream in settings.upstream}
        self._connection = settings.connection
        self._subscription = Subscription(
            tuple(origins),
            settings.ingest_group,
            max_records=settings.ingest_batch_records,
            session_timeout_ms=settings.ingest_session_timeout_ms,
        )
        self._needed = (*origins, settings.topics.events, settings.topics.deadletters)
        self._joined = asyncio.Event()
        self._offsets = Offsets(settings.connection, "ingest-ready")
        # Each with a session of its own: a failure on one must not end what the other has under way.
        self._forwarding = Producer(settings.connection, "ingest")
        self._taking = Producer(settings.connection, "ingest-http")
        self._meter = DlqMeter(settings.dlq_limit)
        self._ingest = Ingest(
            self._forwarding,
            settings.topics,
            origins,
            skew,
            metrics,
            now,
            statuses=settings.status_table(),
            meter=self._meter,
        )
        intake = settings.topics.intake
        self._door = Door(
            writer=self._taking,
            topic=intake,
            origin=origins[intake],
            future_skew=skew,
            body_bytes=settings.ingest_body_bytes,
            answer_s=settings.ingest_answer_s,
            now=now,
        )

    def router(self) -> APIRouter:
        """The HTTP side."""
        return router(self._door)

    async def start(self) -> None:
        """Connect.

        Raises:
            Unavailable: no broker answers.
            Refused: a topic that is read or written does not exist.
        """
        await self._forwarding.start()
        await self._taking.start()
        await self._offsets.require(self._needed)

    async def run(self, signals: Signals) -> None:
        """Forward what the upstream topics hold and get, until told to stop."""
        await consume(
            self._connection, self._subscription, self._ingest.on_batch, stop=signals.stop, joined=self._joined
        )

    async def stop(self) -> None:
        """Disconnect."""
        await self._taking.stop()
        await self._forwarding.stop()
        await self._offsets.stop()

    async def ready(self) -> str | None:
        """What keeps ingest from its work, or None."""
        if self._meter.stopped is not None:
            return self._meter.stopped
        if not self._joined.is_set():
            return f"has not joined group {self._subscription.group} yet"
        return await self._offsets.trouble(self._needed)
