"""More than can be done: memory stays bounded, nothing dies, nothing wrong is told, and the backlog is worked off."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import psutil
import pytest

from tests.faults.matrix import row
from tests.faults.site import Site
from tests.processes import ROOT, PlazoProcess

pytestmark = pytest.mark.kafka
SECONDS: Final = float(os.environ.get("SECONDS") or 120)
PER_SECOND: Final = 15_000
SHARE: Final = 0.03  # of the time in which the services may run, so that they do less than a tenth of what comes
PERIOD_S: Final = 0.2
WARM_UP_S: Final = 10.0
BOUND_MIB: Final = 600.0
DRAIN_S: Final = 1_200.0


@row(None, "ten times the rate that it can do")
async def test_an_overload_is_held_and_worked_off(here: Site) -> None:
    async with here.everything(LOG_LEVEL="warning") as running, asyncio.TaskGroup() as group:
        workers = [running[name] for name in ("ingest", "timer-1", "timer-2")]
        pids = [process.pid for process in running.values()]
        group.create_task(here.traffic(items=round(4 * SECONDS), over_s=SECONDS))
        async with throttled(workers):
            flood = await start_flood(here)
            memory = await watched(here, workers)
        written = int((await flood.communicate())[0])
        lag, folded = await here.lag(), await here.plant.folded()
        print(
            f"{written} events in {SECONDS:.0f} s, {folded} folded meanwhile; at most {max(memory):.0f} MiB a process"
        )
        assert written > 10 * folded
        assert lag > 0
        begun = time.monotonic()
        await here.calm(within_s=DRAIN_S)
        print(f"the lag of {lag} was worked off in {time.monotonic() - begun:.0f} s")
        assert [psutil.Process(pid).is_running() for pid in pids] == [True] * len(pids)
        assert max([*memory, *map(mib, workers)]) < BOUND_MIB
        for process in running.values():
            assert await here.readiness(process) == (200, 200)
    await here.agree()


async def start_flood(here: Site) -> asyncio.subprocess.Process:
    """Many events a second upstream, written by a process of its own."""
    topic, bootstrap = here.plant.topics.name("helpdesk"), here.ground.kafka.bootstrap
    arguments = ["-m", "tests.faults.flood", bootstrap, topic, str(PER_SECOND), str(SECONDS)]
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )


async def watched(here: Site, processes: Iterable[PlazoProcess]) -> list[float]:
    """The largest memory of any process, second by second, while the load lasts."""
    found = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        await asyncio.sleep(1.0)
        found.append(max(map(mib, processes)))
    return found


def mib(process: PlazoProcess) -> float:
    """Resident memory of a process."""
    return float(psutil.Process(process.pid).memory_info().rss) / 2**20


@asynccontextmanager
async def throttled(processes: Iterable[PlazoProcess]) -> AsyncIterator[None]:
    """Let processes run for a small share of the time only, as on a machine that is far too small for them."""
    some = list(processes)

    async def take_turns() -> None:
        while True:
            for process in some:
                process.signal(signal.SIGCONT)
            await asyncio.sleep(PERIOD_S * SHARE)
            for process in some:
                process.signal(signal.SIGSTOP)
            await asyncio.sleep(PERIOD_S * (1 - SHARE))

    task = asyncio.create_task(take_turns())
    try:
        yield
    finally:
        task.cancel()
        for process in some:
            process.signal(signal.SIGCONT)
