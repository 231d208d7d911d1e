"""Runs the timer as a process of its own: wiring only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

import structlog
import tzdata

from services.timer.api import router
from services.timer.service import TimerService
from services.timer.settings import Settings
from shared.configuration import load
from shared.lifecycle import Signals, freeze, run, together, watch_loop
from shared.logs import configure
from shared.metrics import Metrics
from shared.version import VERSION
from shared.web import Health, application, listen, serve

log = structlog.get_logger(__name__)
# Monotonic, and goes on while the machine sleeps: else every deadline would be late by the time slept.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def build(settings: Settings, metrics: Metrics) -> TimerService:
    """The timer with this process's clock."""
    return TimerService(
        settings, metrics, monotonic_us=lambda: time.clock_gettime_ns(_CLOCK) // 1000, tzdata=tzdata.IANA_VERSION
    )


async def process(settings: Settings, signals: Signals) -> None:
    """Start, run and stop the timer with an HTTP side of its own."""
    metrics = Metrics(VERSION, tzdata.IANA_VERSION)
    sock = listen(settings.http_host, settings.http_port)
    service = build(settings, metrics)
    health = Health({"timer": service.ready})
    app = application("Plazo timer", VERSION, [router(service.database)], health, metrics)
    try:
        await service.start()
        log.info(
            "timer started", url=f"http://{settings.http_host}:{sock.getsockname()[1]}", instance=settings.instance
        )
        freeze()
        await together(
            signals.stop,
            service.run(signals),
            serve(app, sock, signals.stop),
            watch_loop(metrics, "timer", signals.stop),
        )
    finally:
        await service.stop()


def main(environment: Mapping[str, str]) -> int:
    """Run the process; its exit status."""
    settings = load(Settings, environment)
    configure(settings.log_level, settings.log_format)
    return run(partial(process, settings))


if __name__ == "__main__":
    sys.exit(main(os.environ))
