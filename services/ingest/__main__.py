"""Runs ingest as a process of its own: wiring only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from functools import partial

from services.ingest.service import IngestService
from services.ingest.settings import Settings
from shared.configuration import load
from shared.events import Instant
from shared.metrics import Metrics
from shared.process import run_alone


def now() -> Instant:
    """This machine's time."""
    return time.time_ns() // 1000


def build(settings: Settings, metrics: Metrics) -> IngestService:
    """Ingest with this process's clock."""
    return IngestService(settings, metrics, now=now)


def main(environment: Mapping[str, str]) -> int:
    """Run the process; its exit status."""
    settings = load(Settings, environment)
    return run_alone("ingest", settings, partial(build, settings), now=now)


if __name__ == "__main__":
    sys.exit(main(os.environ))
