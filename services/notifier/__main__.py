"""Runs the notifier as a process of its own: wiring only."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Mapping
from functools import partial

import structlog
import tzdata

from services.notifier.api import router
from services.notifier.service import NotifierService, World
from services.notifier.settings import Settings
from shared.configuration import load
from shared.lifecycle import Signals, freeze, run, together, watch_loop
from shared.logs import configure
from shared.metrics import Metrics
from shared.version import VERSION
from shared.web import Health, application, listen, serve

log = structlog.get_logger(__name__)


def world(environment: Mapping[str, str]) -> World:
    """This process's clock, chance, secrets and standard output."""
    return World(
        now=lambda: time.time_ns() // 1000,
        chance=random.random,
        environment=environment,
        write=lambda line: print(line, flush=True),
        version=VERSION,
    )


async def process(settings: Settings, around: World, signals: Signals) -> None:
    """Start, run and stop the notifier with an HTTP side of its own."""
    metrics = Metrics(VERSION, tzdata.IANA_VERSION)
    sock = listen(settings.http_host, settings.http_port)
    service = NotifierService(settings, metrics, around)
    health = Health({"notifier": service.ready})
    app = application("Plazo notifier", VERSION, [router(service.database)], health, metrics)
    try:
        await service.start()
        log.info("notifier started", url=f"http://{settings.http_host}:{sock.getsockname()[1]}")
        freeze()
        await together(
            signals.stop,
            service.run(signals),
            serve(app, sock, signals.stop),
            watch_loop(metrics, "notifier", signals.stop),
        )
    finally:
        await service.stop()


def main(environment: Mapping[str, str]) -> int:
    """Run the process; its exit status."""
    settings = load(Settings, environment)
    configure(settings.log_level, settings.log_format)
    return run(partial(process, settings, world(environment)))


if __name__ == "__main__":
    sys.exit(main(os.environ))
