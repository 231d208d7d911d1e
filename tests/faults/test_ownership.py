"""Rows 5-7, 39 and 40: partitions change their owner, in order and not."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from tests.faults.matrix import row
from tests.faults.site import Site
from tests.plant import PARTITIONS, until
from tests.processes import PlazoProcess

pytestmark = pytest.mark.kafka


async def owns(here: Site, name: str, count: int) -> bool:
    """Whether a timer owns so many partitions."""
    async with here.plant.database.raw("read leases") as connection:
        owned = await connection.fetchval("SELECT count(*) FROM timer.lease WHERE owner = $1", name)
    return bool(owned == count)


@row(5, "processes join and leave in the middle of batches")
async def test_joining_and_leaving_loses_and_repeats_nothing(here: Site) -> None:
    guests = [here.process("ingest", "ingest-2"), here.process("timer", "timer-3")]

    async def come_and_go(guest: PlazoProcess, stay_s: float) -> None:
        for _ in range(4):
            async with guest:
                await here.ready(guest)
                await asyncio.sleep(stay_s)

    async with here.everything(), asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=400, over_s=25.0))
        for guest, stay_s in zip(guests, (1.5, 2.5), strict=True):
            group.create_task(come_and_go(guest, stay_s))
        await here.calm()
    await here.agree()


@row(6, "an owner sleeps longer than its lease, and wakes up")
async def test_a_zombie_is_fenced_by_its_first_write(here: Site) -> None:
    async with here.everything() as running, asyncio.TaskGroup() as group:
        zombie, other = running["timer-1"], running["timer-2"]
        group.create_task(here.traffic(items=300, over_s=16.0))
        await asyncio.sleep(4.0)
        zombie.signal(signal.SIGSTOP)
        await until(lambda: owns(here, "timer-2", PARTITIONS), "the other to own everything")
        await asyncio.sleep(4.0)  # it fires and publishes what the sleeper held
        zombie.signal(signal.SIGCONT)
        await zombie.said("partition lost")
        await here.calm()
        assert await here.metric(zombie, "sla_fenced_total") == PARTITIONS // 2
        assert await here.metric(other, "sla_fenced_total") == 0
    await here.agree()


@row(6, "an owner sleeps in the middle of a write and of a publication")
@pytest.mark.parametrize("place", ["before_commit:9:stop", "before_produce:4:stop", "after_commit:9:stop"])
async def test_a_zombie_that_wakes_up_in_the_middle_changes_nothing(here: Site, place: str) -> None:
    zombie, other = here.process("timer", "timer-1", FAIL_AT=place), here.process("timer", "timer-2")
    async with here.process("ingest"), here.process("notifier"), zombie, asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=200, over_s=12.0))
        await until(lambda: is_stopped(zombie), "the timer to be stopped at its failpoint")
        async with other:
            await until(lambda: owns(here, "timer-2", PARTITIONS), "the other to own everything")
            await asyncio.sleep(3.0)
            zombie.signal(signal.SIGCONT)
            await zombie.said("partition lost")
            await here.calm()
    await here.agree()


async def is_stopped(process: PlazoProcess) -> bool:
    """Whether a process stands still."""
    with open(f"/proc/{process.pid}/stat") as stat:  # noqa: ASYNC230 # no disk is behind it
        return stat.read().rpartition(")")[2].split()[0] == "T"


@row(7, "an owner is cut off from Kafka only")
async def test_others_take_over_from_who_is_cut_off_from_kafka(here: Site) -> None:
    line = await here.kafka_wire()
    lonely = here.process("timer", "timer-1", KAFKA_BOOTSTRAP=line.address)
    others = [here.process(name) for name in ("ingest", "notifier")] + [here.process("timer", "timer-2")]
    async with others[0], others[1], others[2], lonely, asyncio.TaskGroup() as group:
        await here.ready(*others, lonely)
        await until(lambda: owns(here, "timer-1", PARTITIONS // 2), "both to own their shares")
        group.create_task(here.traffic(items=300, over_s=14.0))
        await asyncio.sleep(4.0)
        line.hold()
        begun = time.monotonic()
        await until(lambda: owns(here, "timer-2", PARTITIONS), "the other to own everything")
        print(f"taken over {time.monotonic() - begun:.1f} s after the cut")
        line.release()
        await until(lambda: owns(here, "timer-1", PARTITIONS // 2), "both to own their shares again")
        await here.calm()
    await here.agree()


@row(39, "a process is blocked for longer than its session")
async def test_who_was_thought_dead_joins_again_and_nothing_is_lost(here: Site) -> None:
    async with here.everything() as running, asyncio.TaskGroup() as group:
        blocked = running["ingest"]
        group.create_task(here.traffic(items=300, over_s=14.0))
        await asyncio.sleep(4.0)
        blocked.signal(signal.SIGSTOP)
        async with here.process("ingest", "ingest-2") as second:
            await here.ready(second)
            await asyncio.sleep(8.0)  # longer than the session of 6 s
            blocked.signal(signal.SIGCONT)
            await here.calm()
        assert await here.metric(blocked, 'sla_event_loop_lag_seconds_bucket{le="+Inf"') > 0
    await here.agree()


@row(40, "SIGTERM to every process, one after the other, under load")
async def test_a_rolling_restart_loses_nothing_and_ends_in_time(here: Site) -> None:
    async with here.everything() as running, asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=400, over_s=20.0))
        await asyncio.sleep(3.0)
        for name, process in running.items():
            begun = time.monotonic()
            assert await process.stop() == 0, process.tail()
            seconds = time.monotonic() - begun
            print(f"{name} stopped in {seconds:.1f} s")
            assert seconds < 10.0
            process.start()
            await here.ready(process)
        await here.calm()
    await here.agree()
