"""Rows 34-36: topics grow, are made anew, or lose records that were not read."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.faults.broker_admin import BrokerAdmin
from tests.faults.matrix import row
from tests.faults.site import BREACHED, Site
from tests.plant import PARTITIONS, until
from tests.processes import PlazoProcess

pytestmark = pytest.mark.kafka


def admin(here: Site) -> BrokerAdmin:
    """An administrator of the broker."""
    return BrokerAdmin(here.ground.kafka.bootstrap)


@row(34, "an upstream topic gets more partitions")
async def test_what_comes_on_new_partitions_is_read(here: Site) -> None:
    async with here.everything():
        await here.traffic(items=60, over_s=2.0, seed=1)
        await asyncio.to_thread(admin(here).grow, here.plant.topics.name("helpdesk"), 8)
        await here.traffic(items=100, over_s=4.0, seed=2)
        await here.calm()
    await here.agree()


@row(34, "the events topic gets more partitions")
async def test_timers_stop_and_say_why_before_anything_wrong_is_published(here: Site) -> None:
    async with here.everything() as running:
        await here.traffic(items=60, over_s=2.0)
        await here.calm()
        await here.agree()
        before = len(await here.plant.published())
        await asyncio.to_thread(admin(here).grow, here.plant.topics.name("sla.events.v1"), PARTITIONS + 4)
        # The new producer spreads what follows over more partitions: every item of it would be on a wrong one.
        await running["ingest"].stop()
        running["ingest"].start()
        traffic = asyncio.create_task(here.traffic(items=60, over_s=2.0, seed=2))
        for name in ("timer-1", "timer-2"):
            assert await running[name].ended(60.0) == 1
            assert f"{PARTITIONS + 4} partitions" in running[name].tail()
        await traffic
        running["timer-1"].start()
        assert await running["timer-1"].ended(60.0) == 1
    assert len(await here.plant.published()) == before


@row(35, "the events topic is deleted and made again")
async def test_a_log_that_began_anew_is_not_taken_for_the_old_one(here: Site) -> None:
    topic = here.plant.topics.name("sla.events.v1")
    async with here.everything(HOLD_MAX_S="3") as running:
        await here.traffic(items=100, over_s=3.0, seed=1)
        await here.calm()
        traffic = asyncio.create_task(here.traffic(items=60, over_s=2.0, seed=2))
        await asyncio.sleep(3.0)
        await asyncio.to_thread(admin(here).delete, topic)
        await asyncio.to_thread(here.ground.kafka.create_topic, topic, PARTITIONS)
        await traffic
        await until(partial(is_unread, here, running["timer-1"]), "a timer to read no partition")
        await until(partial(is_unread, here, running["timer-2"]), "the other one, too")
        assert await here.readiness(running["timer-1"]) == (200, 503)
        assert await resumed(here) == 1  # without `--from` it only shows what is lost
        assert await resumed(here, "--from", "earliest") == 0
        await here.calm()
        assert await here.readiness(running["timer-1"]) == (200, 200)
    breaches = [record.event for record in await here.plant.published() if record.type == BREACHED]
    later = [event for event in breaches if event.id.startswith("2-") and event.metric == "resolution"]
    assert all(event.late_evidence_possible for event in later)
    await here.agree(late=True)  # the events of the old log had all been read


@row(36, "records of the events topic are deleted before they are read")
async def test_a_partition_that_lost_records_is_not_read_on_as_if_nothing_was(here: Site) -> None:
    timer = here.process("timer", HOLD_MAX_S="3")
    async with here.process("ingest"), here.process("notifier"):
        async with timer:
            await here.traffic(items=40, over_s=2.0, seed=1)
            await until(partial(is_folded, here), "the timer to have somewhere to read on")
        await here.traffic(items=40, over_s=2.0, seed=2)
        await until(partial(upstream_is_read, here), "ingest to read everything")
        known = {record.event_id for record in await here.plant.published()}
        topic = here.plant.topics.name("sla.events.v1")
        await asyncio.to_thread(admin(here).delete_records, topic, range(PARTITIONS))
        async with timer:
            await timer.said("does not hold the stored offset")
            assert await resumed(here, "--from", "earliest") == 0
            await here.traffic(items=40, over_s=2.0, seed=3)
            await here.calm()
    fresh = [record.event for record in await here.plant.published() if record.event_id not in known]
    assert all(event.late_evidence_possible for event in fresh if event.id.startswith("1-"))
    assert not any(event.late_evidence_possible for event in fresh if event.id.startswith("3-"))
    assert {event.id[0] for event in fresh} >= {"3"}


async def is_folded(here: Site) -> bool:
    """Whether nothing is left to read."""
    return await here.lag() == 0


async def is_unread(here: Site, timer: PlazoProcess) -> bool:
    """Whether a timer reads none of its partitions."""
    return await here.metric(timer, "sla_partition_unread") == PARTITIONS // 2


async def resumed(here: Site, *options: str) -> int:
    """Run `./plazo resume`; its exit status."""
    made = here.process("timer", "resume")
    command = PlazoProcess(["resume", *options], made.env, made.log)
    command.start()
    return await command.ended()


@row(36, "records of an upstream topic are deleted before they are read")
async def test_ingest_stops_and_says_that_records_are_lost(here: Site) -> None:
    ingest = here.process("ingest")
    async with ingest:
        await here.traffic(items=20, over_s=1.0, seed=1)
        await until(partial(upstream_is_read, here), "ingest to read everything")
    await here.traffic(items=20, over_s=1.0, seed=2)
    await asyncio.to_thread(admin(here).delete_records, here.plant.topics.name("helpdesk"), range(4))
    ingest.start()
    assert await ingest.ended(60.0) == 1
    assert "records were lost unread" in ingest.tail()


async def upstream_is_read(here: Site) -> bool:
    """Whether ingest has read all that is upstream."""
    return await here.upstream_lag() == 0
