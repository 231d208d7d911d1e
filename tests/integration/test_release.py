"""`./plazo release` on a broker and a database: what is set aside, and what is sent to the timer."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from shared.configuration import CommonSettings, load
from shared.deadletters import dead_letter
from shared.errors import BadRecord
from shared.events import Event, parse_instant
from shared.kafka.connection import Outgoing
from shared.kafka.producer import Producer
from shared.kafka.reader import Reader
from shared.recounts import decode_event, encode_event
from tests.fakes import FakeRecord
from tests.processes import PlazoProcess
from tests.servers import Topics

ITEM, OTHER = "default/ticket/1", "default/ticket/2"
SET_ASIDE = BadRecord("quarantined", "a bug")


def reply(number: int, item: str = ITEM) -> Event:
    tenant, _, name = item.split("/")
    at = parse_instant(f"2026-01-05T09:{number:02}:00Z")
    return Event(at, f"e-{number}", "/s", "ticket.agent_replied", tenant, "ticket", name)


def letter(event: Event, *, stage: str = "timer", error: BadRecord = SET_ASIDE) -> Outgoing:
    key, value, headers = encode_event(event)
    return dead_letter(FakeRecord(value, headers, "sla.events.v1", key=key), error, stage=stage)


async def set_aside(url: str, *keys: str) -> None:
    """Store items that are quarantined, and one that is not."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("INSERT INTO timer.lease (partition) VALUES (0), (1)")
        for key in (*keys, "default/ticket/well"):
            await connection.execute(
                "INSERT INTO timer.item"
                " (partition, key, state, ledger, clock_states, seen, revision, retired, quarantined)"
                " VALUES (0, $1, '', '', 0, '', 1, '', $2)",
                key,
                key in keys,
            )
    finally:
        await connection.close()


async def sent(settings: CommonSettings, count: int) -> list[Event]:
    """The events that the timer gets, once there are *count* of them."""
    reader = Reader(settings.connection, settings.topics.events, "test")
    await reader.start()
    try:
        for partition in range(2):
            reader.add(partition, 0)
        found: list[Event] = []
        for _ in range(100):
            for records in (await reader.poll(100, 1_000)).values():
                found += [decode_event(record.headers, record.value) for record in records]
            if len(found) >= count:
                break
        return found
    finally:
        await reader.stop()


async def test_a_release_sends_a_recount_and_then_what_was_buried_of_the_item(
    topics: Topics, database_url: str, tmp_path: Path
) -> None:
    environment = {
        "KAFKA_BOOTSTRAP": topics.broker.bootstrap,
        "TOPIC_PREFIX": topics.name(""),
        "DATABASE_URL": database_url,
    }
    settings = load(CommonSettings, environment)
    for name in ("sla.events.v1", "sla.deadletters.v1"):
        topics.create(name, 2)
    await set_aside(database_url, ITEM, OTHER)
    producer = Producer(settings.connection, "test")
    await producer.start()
    letters = [
        letter(reply(1)),
        letter(reply(2, OTHER)),
        letter(reply(3), stage="ingest"),
        letter(reply(4), error=BadRecord("too_late", "no")),
        letter(reply(5)),
    ]
    await producer.send(settings.topics.deadletters, letters)
    await producer.stop()

    async def asked(*words: str) -> tuple[int, str]:
        process = PlazoProcess(["release", *words], environment, tmp_path / "-".join(("log", *words)).replace("/", "."))
        process.start()
        return await process.ended(), process.output()

    status, told = await asked()
    assert (status, told.split()[:2]) == (0, [ITEM, OTHER])
    assert (await asked(ITEM))[0] == 2  # without a reason
    status, told = await asked("default/ticket/well", "--reason", "x")
    assert (status, "not set aside: default/ticket/well" in told) == (1, True)
    status, told = await asked(ITEM, "--reason", "mended")
    assert (status, "2 buried events sent again" in told) == (0, True), told
    recount, *events = await sent(settings, 3)
    assert recount.type == "ticket.recounted"
    assert recount.item == ITEM
    assert recount.recount is not None
    assert recount.recount.reason == "mended"
    assert events == [reply(1), reply(5)]
