"""Runs the notifier as a process of its own: wiring only."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Mapping

from services.notifier.service import NotifierService, World
from services.notifier.settings import Settings
from shared.configuration import load
from shared.process import run_alone
from shared.version import VERSION


def world(environment: Mapping[str, str]) -> World:
    """This process's clock, chance, secrets and standard output."""
    return World(
        now=lambda: time.time_ns() // 1000,
        chance=random.random,
        environment=environment,
        write=lambda line: print(line, flush=True),
        version=VERSION,
    )


def main(environment: Mapping[str, str]) -> int:
    """Run the process; its exit status."""
    settings = load(Settings, environment)
    around = world(environment)
    return run_alone("notifier", settings, lambda metrics: NotifierService(settings, metrics, around), now=around.now)


if __name__ == "__main__":
    sys.exit(main(os.environ))
