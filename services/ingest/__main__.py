"""Runs ingest as a process of its own: wiring only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from functools import partial

import structlog
import tzdata

from services.ingest.service import IngestService
from services.ingest.settings import Settings
from shared.configuration import load
from shared.lifecycle import Signals, freeze, run, together, watch_loop
from shared.logs import configure
from shared.metrics import Metrics
from shared.version import VERSION
from shared.web import Health, application, listen, serve

log = structlog.get_logger(__name__)


def build(settings: Settings, metrics: Metrics) -> IngestService:
    """Ingest with this process's clock."""
    return IngestService(settings, metrics, now=lambda: time.time_ns() // 1000)


async def process(settings: Settings, signals: Signals) -> None:
    """Start, run and stop ingest with an HTTP side of its own."""
    metrics = Metrics(VERSION, tzdata.IANA_VERSION)
    sock = listen(settings.http_host, settings.http_port)
    service = build(settings, metrics)
    health = Health({"kafka": service.ready})
    app = application("Plazo ingest", VERSION, [service.router()], health, metrics)
    try:
        await service.start()
        log.info("ingest started", url=f"http://{settings.http_host}:{sock.getsockname()[1]}")
        freeze()
        await together(
            signals.stop,
            service.run(signals),
            serve(app, sock, signals.stop),
            watch_loop(metrics, "ingest", signals.stop),
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
