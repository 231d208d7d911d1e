"""One service as a process of its own: its HTTP side beside it, from the start to a clean end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from fastapi import APIRouter

from shared import failpoints
from shared.configuration import CommonSettings
from shared.credentials import Credentials, credentials_of
from shared.events import Instant
from shared.lifecycle import Signals, collect_garbage, run, together, watch_loop
from shared.logs import configure
from shared.metrics import Metrics
from shared.version import HOLIDAYS, TZDATA, VERSION
from shared.web import Health, application, listen, serve

log = structlog.get_logger(__name__)


class Service(Protocol):
    """What every service can do."""

    def router(self) -> APIRouter:
        """Its part of the HTTP side."""

    async def start(self) -> None:
        """Connect, and check what it needs."""

    async def run(self, signals: Signals) -> None:
        """Work until it is told to stop, and finish what is under way."""

    async def stop(self) -> None:
        """Disconnect."""

    async def ready(self) -> str | None:
        """What keeps it from its work, or None."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a process is made of."""

    name: str
    settings: CommonSettings
    build: Callable[[Metrics], Service]
    credentials: Credentials | None  # None: nobody is asked who they are


def run_alone(
    name: str, settings: CommonSettings, build: Callable[[Metrics], Service], *, now: Callable[[], Instant]
) -> int:
    """Run the service that *build* makes until a signal ends it; the exit status of the process.

    *now* tells the wall's time, by which credentials expire.
    """
    configure(settings.log_level, settings.log_format)
    if settings.fail_at:
        log.warning("a fault is set: this process is one of a test", fail_at=settings.fail_at)
        failpoints.arm(failpoints.parse(settings.fail_at))

    async def alone(signals: Signals) -> None:
        await _alone(Wiring(name, settings, build, credentials_of(settings, now)), signals)

    return run(alone)


async def _alone(wiring: Wiring, signals: Signals) -> None:
    settings, credentials = wiring.settings, wiring.credentials
    metrics = Metrics(VERSION, TZDATA, HOLIDAYS)
    sock = listen(settings)
    service = wiring.build(metrics)
    health = Health({wiring.name: service.ready})
    app = application(f"Plazo {wiring.name}", [service.router()], health, metrics, credentials)
    try:
        await service.start()
        log.info("started", service=wiring.name, url=f"http://{settings.http_host}:{sock.getsockname()[1]}")
        await together(
            signals.stop,
            service.run(signals),
            serve(app, sock, signals.stop),
            watch_loop(metrics, wiring.name, signals.stop),
            collect_garbage(signals.stop),
            *(() if credentials is None else (credentials.run(signals, metrics),)),
        )
    finally:
        await service.stop()
