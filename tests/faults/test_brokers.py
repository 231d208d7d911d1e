"""Rows 8, 9 and 38: Kafka is away, answers are lost, groups find no rest."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from shared.events import parse_instant
from tests.faults.matrix import row
from tests.faults.site import Site
from tests.faults.wire import Trap, Way
from tests.plant import Published, until

pytestmark = pytest.mark.kafka


def told_before(here: Site, record: Published) -> bool:
    """Whether a record tells of an item of which the brokers got more afterwards."""
    return here.arrived[record.event.item] > parse_instant(record.event.detected_at)


@row(8, "Kafka is down for longer than evidence is waited for")
async def test_deadlines_fire_marked_into_the_outbox_and_nothing_is_lost(here: Site) -> None:
    kafka = here.ground.kafka
    async with here.everything(HOLD_MAX_S="4") as running, asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=250, over_s=10.0))
        await asyncio.sleep(5.0)
        await asyncio.to_thread(kafka.kill)
        try:
            await until(lambda: more_waiting_than(here, 40), "breaches in the outbox")
            assert await here.readiness(running["ingest"]) == (200, 503)
            assert await here.readiness(running["timer-1"]) == (200, 200)
        finally:
            await asyncio.to_thread(kafka.start)
        await here.calm()
    await here.agree(late=True)
    published = await here.plant.published()
    assert any(record.event.late_evidence_possible for record in published)
    taken_back = {record.event.breach_id for record in published if record.type == "sla.breach.retracted.v1"}
    doubtful = {record.event.breach_id for record in published if record.event.late_evidence_possible}
    # The ticketing system may find the brokers again after the services have: they cannot know what it still holds.
    unknown = {record.event.breach_id for record in published if told_before(here, record)}
    assert taken_back <= doubtful | unknown


async def more_waiting_than(here: Site, count: int) -> bool:
    """Whether so much is committed and not published."""
    return await here.plant.waiting() > count


@row(8, "Kafka refuses connections, swallows what is sent, and is slow")
async def test_a_network_that_fails_in_every_way_loses_nothing(here: Site) -> None:
    lines = [await here.kafka_wire() for _ in range(3)]
    names = ("ingest", "timer", "notifier")
    made = [here.process(name, KAFKA_BOOTSTRAP=line.address) for name, line in zip(names, lines, strict=True)]
    async with made[0], made[1], made[2], asyncio.TaskGroup() as group:
        await here.ready(*made)
        group.create_task(here.traffic(items=400, over_s=26.0))
        await asyncio.sleep(3.0)
        for line in lines:
            line.refuse()
        await asyncio.sleep(6.0)
        for line in lines:
            await line.listen()
        await asyncio.sleep(3.0)
        for line in lines:
            line.hold()
        await asyncio.sleep(6.0)
        for line in lines:
            line.release()
            line.delay_s = 0.2
        await asyncio.sleep(4.0)
        for line in lines:
            line.delay_s = 0.0
        await here.calm()
    await here.agree()


@row(9, "answers to publications are lost")
@pytest.mark.parametrize(
    ("seconds", "repeats"),
    [
        # The client asks again within its session, and the broker knows what it has.
        pytest.param(12.0, False, id="for a moment"),
        # Longer than a call may take: a new session sends it all again, with the same ids.
        pytest.param(20.0, True, id="for long"),
    ],
)
async def test_what_may_have_been_published_is_not_taken_to_be(here: Site, seconds: float, repeats: bool) -> None:
    line = await here.kafka_wire()
    timer = here.process("timer", KAFKA_BOOTSTRAP=line.address)
    async with here.process("ingest"), here.process("notifier"), timer, asyncio.TaskGroup() as group:
        await here.ready(timer)
        group.create_task(here.traffic(items=200, over_s=8.0))
        await asyncio.sleep(2.0)
        line.trap = Trap(Way.TO_SERVER, b"sla.clock.breached.v1", act=lambda: line.hold(Way.TO_CLIENT))
        async with asyncio.timeout(30.0):
            await line.trap.sprung.wait()
        await asyncio.sleep(seconds)
        line.cut()
        line.release()
        await here.calm()
    await here.agree()
    published = await here.plant.published()
    assert (len(published) > len({record.event_id for record in published})) == repeats


@row(38, "the group finds no rest, and its coordinator starts anew")
async def test_progress_goes_on_through_a_storm_of_rebalances(here: Site) -> None:
    async with here.everything(), asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=300, over_s=16.0))
        for _ in range(6):
            await stay_a_moment(here)
        await asyncio.to_thread(here.ground.kafka.stop)
        await asyncio.to_thread(here.ground.kafka.start)
        await here.calm()
    await here.agree()


async def stay_a_moment(here: Site) -> None:
    """Join ingest's group, take partitions away from it, read nothing, and leave."""
    guest = AIOKafkaConsumer(
        here.plant.topics.name("helpdesk"), bootstrap_servers=here.ground.kafka.bootstrap,
        group_id=here.plant.topics.name("ingest"), enable_auto_commit=False, session_timeout_ms=6000,
        rebalance_timeout_ms=6000,
    )  # fmt: skip
    await guest.start()
    with suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(5.0):
            while not guest.assignment():  # noqa: ASYNC110 # only looking tells
                await asyncio.sleep(0.05)
    await guest.stop()
