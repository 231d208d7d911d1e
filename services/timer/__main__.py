"""Runs the timer as a process of its own: wiring only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

from services.timer.service import TimerService
from services.timer.settings import Settings
from shared.configuration import load
from shared.events import Instant
from shared.metrics import Metrics
from shared.process import run_alone

# Monotonic, and goes on while the machine sleeps: else every deadline would be late by the time slept.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> Instant:
    """This machine's time."""
    return time.time_ns() // 1000


def build(settings: Settings, metrics: Metrics) -> TimerService:
    """The timer with this process's clock."""
    return TimerService(settings, metrics, monotonic_us=lambda: time.clock_gettime_ns(_CLOCK) // 1000)


def main(environment: Mapping[str, str]) -> int:
    """Run the process; its exit status."""
    settings = load(Settings, environment)
    return run_alone("timer", settings, partial(build, settings), now=now)


if __name__ == "__main__":
    sys.exit(main(os.environ))
