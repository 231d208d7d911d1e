"""One service as a process of its own: its HTTP side beside it, from the start to a clean end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import structlog
from fastapi import APIRouter

from shared import failpoints
from shared.configuration import CommonSettings
from shared.lifecycle import Signals, freeze, run, together, watch_loop
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


def run_alone(name: str, settings: CommonSettings, build: Callable[[Metrics], Service]) -> int:
    """Run the service that *build* makes until a signal ends it; the exit status of the process."""
    configure(settings.log_level, settings.log_format)
    if settings.fail_at:
        log.warning("a fault is set: this process is one of a test", fail_at=settings.fail_at)
        failpoints.arm(failpoints.parse(settings.fail_at))
    return run(partial(_alone, name, settings, build))


async def _alone(name: str, settings: CommonSettings, build: Callable[[Metrics], Service], signals: Signals) -> None:
    metrics = Metrics(VERSION, TZDATA, HOLIDAYS)
    sock = listen(settings.http_host, settings.http_port)
    service = build(metrics)
    health = Health({name: service.ready})
    app = application(f"Plazo {name}", VERSION, [service.router()], health, metrics)
    try:
        await service.start()
        log.info("started", service=name, url=f"http://{settings.http_host}:{sock.getsockname()[1]}")
        freeze()
        await together(
            signals.stop,
            service.run(signals),
            serve(app, sock, signals.stop),
            watch_loop(metrics, name, signals.stop),
        )
    finally:
        await service.stop()
