"""Runs the notifier as a process of its own: wiring only."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

from services.notifier.service import NotifierService, World
from services.notifier.settings import Settings
from shared.configuration import load
from shared.process import run_alone
from shared.version import VERSION

# Monotonic, and goes on while the machine sleeps: else what is due meanwhile would be late by the time slept.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def world(environment: Mapping[str, str]) -> World:
    """This process's clock, chance, secrets and standard output."""
    return World(
        monotonic_us=lambda: time.clock_gettime_ns(_CLOCK) // 1000,
        chance=random.random,
        environment=environment,
        write=lambda line: print(line, flush=True),
        version=VERSION,
    )


def main(environment: Mapping[str, str]) -> int:
    """Run the process; its exit status."""
    settings = load(Settings, environment)
    build = partial(NotifierService, settings, world=world(environment))
    return run_alone("notifier", settings, build, now=lambda: time.time_ns() // 1000)


if __name__ == "__main__":
    sys.exit(main(os.environ))
