"""Who owns the partitions: handed over at a stop, taken after a death, fenced after a sleep, under load."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import psutil
import pytest

from shared.failpoints import Name
from tests.faults.matrix import row
from tests.faults.site import Site
from tests.faults.soak import delays, spread
from tests.plant import PARTITIONS, until
from tests.processes import PlazoProcess

pytestmark = pytest.mark.kafka

AT_A_STOP_S: Final = 2.0
AFTER_A_KILL_S: Final = 5.0
ROLLING_S: Final = 10.0  # a process needs up to 4 s to start here, and what only it could do waits for that
TIMERS: Final = ("timer-1", "timer-2", "timer-3")


async def owners(here: Site) -> Counter[str | None]:
    """How many partitions each process owns."""
    async with here.plant.database.raw("read leases") as connection:
        rows = await connection.fetch("SELECT owner FROM timer.lease")
    return Counter(row["owner"] for row in rows)


async def shared_by(here: Site, names: Sequence[str]) -> float:
    """Wait until these own everything between them, each its share; the seconds that it took."""
    begun = time.monotonic()
    least = PARTITIONS // len(names)

    async def is_so() -> bool:
        found = await owners(here)
        return set(found) == set(names) and all(least <= count <= least + 1 for count in found.values())

    await until(is_so, f"{', '.join(names)} to own the partitions")
    return time.monotonic() - begun


async def moved_from(here: Site, name: str) -> float:
    """Wait until others own everything that one owned; the seconds that it took."""
    begun = time.monotonic()

    async def is_so() -> bool:
        found = await owners(here)
        return not found[name] and not found[None]

    await until(is_so, f"others to own what {name} owned")
    return time.monotonic() - begun


@asynccontextmanager
async def running(here: Site, *names: str, **changes: str) -> AsyncIterator[dict[str, PlazoProcess]]:
    """Processes named `service` or `service-1`, ready; stopped in order at the end."""
    made = {name: here.process(name.partition("-")[0], name, **changes) for name in names}
    async with AsyncExitStack() as stack:
        for process in made.values():
            await stack.enter_async_context(process)
        await here.ready(*made.values())
        yield made


@row(None, "partitions of three timers move at a stop and after a kill")
async def test_partitions_are_handed_over_at_a_stop_and_taken_after_a_kill(here: Site) -> None:
    at_a_stop, after_a_kill = [], []
    async with running(here, "ingest", "notifier", *TIMERS) as processes, asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=300, over_s=30.0))
        for name in TIMERS:
            await shared_by(here, TIMERS)
            process = processes[name]
            stopping = asyncio.create_task(process.stop())
            at_a_stop.append(await moved_from(here, name))
            assert await stopping == 0
            process.start()
            await shared_by(here, TIMERS)
            process.kill()
            after_a_kill.append(await moved_from(here, name))
            process.start()
        await shared_by(here, TIMERS)
        await here.calm()
    print(f"moved at a stop within {told(at_a_stop)}, after a kill within {told(after_a_kill)}")
    await here.agree()
    print(spread(delays(await here.plant.published())))
    assert max(at_a_stop) < AT_A_STOP_S
    assert max(after_a_kill) < AFTER_A_KILL_S


def told(seconds: Sequence[float]) -> str:
    """Times for a person."""
    return ", ".join(f"{each:.1f}" for each in seconds) + " s"


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(name, marks=row(6, f"a timer sleeps {name.replace('_', ' ')} until another owns its partitions"))
        for name in ("before_commit", "after_commit", "before_produce", "after_produce")
    ],
)
async def test_a_timer_that_sleeps_between_two_steps_changes_nothing_when_it_wakes(here: Site, place: Name) -> None:
    sleeper = here.process("timer", "timer-1", FAIL_AT=f"{place}:8:stop")
    async with running(here, "ingest", "notifier"), sleeper, asyncio.TaskGroup() as group:
        await here.ready(sleeper)
        group.create_task(here.traffic(items=150, over_s=8.0))
        await until(lambda: sleeps(sleeper), f"the timer to sleep {place}")
        async with running(here, "timer-2"):
            await moved_from(here, "timer-1")
            await until(lambda: caught_up(here), "the other timer to do the work")
            sleeper.signal(signal.SIGCONT)
            await sleeper.said("partition lost")
            await shared_by(here, ["timer-1", "timer-2"])
            fenced = await here.metric(sleeper, "sla_fenced_total")
            await here.calm()
    assert fenced >= PARTITIONS
    print(f"{fenced:.0f} partitions lost by the sleeper")
    await here.agree()


async def sleeps(process: PlazoProcess) -> bool:
    """Whether a process is stopped."""
    return bool(psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)


async def caught_up(here: Site) -> bool:
    """Whether everything that has come in is folded."""
    return await here.lag() == 0


@row(None, "rolling restart of every service under load")
async def test_a_rolling_restart_loses_nothing_and_delays_little(here: Site) -> None:
    names = ("ingest-1", "ingest-2", "timer-1", "timer-2", "notifier-1", "notifier-2")
    async with running(here, *names) as processes, asyncio.TaskGroup() as group:
        traffic = group.create_task(here.traffic(items=1_200, over_s=60.0))
        for name in names:
            assert not traffic.done()
            begun = time.monotonic()
            assert await processes[name].stop() == 0
            processes[name].start()
            await here.ready(processes[name])
            print(f"{name} stopped, started and ready within {time.monotonic() - begun:.1f} s")
        await here.calm()
    await here.agree(late=True)
    published = await here.plant.published()
    assert not [record for record in published if record.type == "sla.breach.retracted.v1"]
    delayed = delays(published)
    print(spread(delayed))
    assert delayed[-1] < ROLLING_S
