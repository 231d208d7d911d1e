"""Row 42: records that the brokers do not take."""

from __future__ import annotations

import asyncio

import pytest

from deploy.local.kafka_admin import create_topic
from shared.db import Database
from shared.kafka.connection import Connection, Outgoing
from shared.kafka.producer import Producer
from tests.faults.broker_admin import BrokerAdmin
from tests.faults.matrix import row
from tests.faults.site import Site
from tests.processes import PlazoProcess

pytestmark = pytest.mark.kafka
TIMERS = ("timer-1", "timer-2")
LARGEST = 1_170  # bytes of a record with its batch: half of the breaches are smaller


@row(42, "breaches are too large for their topic")
async def test_what_is_too_large_is_parked_and_sent_when_it_may_be(here: Site) -> None:
    admin, topic = BrokerAdmin(here.ground.kafka.bootstrap), here.plant.topics.name("sla.breaches.v1")
    async with here.everything() as running:
        await asyncio.to_thread(admin.limit_records, topic, LARGEST)
        await here.traffic(items=20, over_s=2.0)  # few: the client needs a new session after each refusal

        await here.calm()
        assert await here.plant.published()  # the smaller ones went through
        counted = [await here.metric(running[name], "sla_outbox_parked_records_total") for name in TIMERS]
        assert sum(counted) == await parked(here.plant.database) > 0
        await asyncio.to_thread(admin.limit_records, topic, 1_048_588)
        assert await ended(here, "--send") == 0
        await here.calm()
    assert await parked(here.plant.database) == 0
    await here.agree()


@row(42, "dead letters have no topic")
async def test_dead_letters_without_a_topic_hold_up_no_breach(here: Site) -> None:
    admin, topic = BrokerAdmin(here.ground.kafka.bootstrap), here.plant.topics.name("sla.deadletters.v1")
    async with here.everything():
        await asyncio.to_thread(admin.delete, topic)
        await write(here, "sla.events.v1", b"no event at all")
        await here.traffic(items=100, over_s=4.0)
        await here.calm()
        assert await parked(here.plant.database) >= 1
        create_topic(here.ground.kafka.bootstrap, topic, 4)
        assert await ended(here, "--send") == 0
    await here.agree(dead_letters=1)


async def write(here: Site, topic: str, value: bytes) -> None:
    """Write one record to a topic of the site."""
    producer = Producer(Connection(here.ground.kafka.bootstrap), "test")
    await producer.start()
    try:
        await producer.send(here.plant.topics.name(topic), [Outgoing(b"key", value)])
    finally:
        await producer.stop()


async def parked(database: Database) -> int:
    """How many records are parked."""
    async with database.raw("count what is parked") as connection:
        return int(await connection.fetchval("SELECT count(*) FROM timer.parked"))


async def ended(here: Site, *options: str) -> int:
    """Run `./plazo parked`; its exit status."""
    made = here.process("timer", "parked")
    command = PlazoProcess(["parked", *options], made.env, made.log)
    command.start()
    return await command.ended()
