"""Rows 14-16, 18, 20, 21: what comes in is wrong, repeated, disordered, unusable, huge or of another shape."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.events import SECOND, rfc3339
from tests.e2e.helpdesk import encoded
from tests.faults.matrix import row
from tests.faults.site import Site
from tests.faults.traffic import LONGEST_S, Sent, planned

pytestmark = pytest.mark.kafka

TOO_MANY: Final = 3  # the exit status of who found too much that cannot be used
ANCIENT: Final = 60.0  # seconds that lie between what happens in a log and its coming in


def now() -> int:
    """The wall's time, in microseconds."""
    return time.time_ns() // 1000


def ticket(name: str, **changes: Any) -> Sent:
    """The creation of a ticket."""
    data: dict[str, Any] = {"attributes": {}}
    kept = {"specversion": "1.0", "id": f"{name}-0", "source": "/desk", "type": "ticket.created", "subject": name}
    return {**kept, "time": rfc3339(now()), "data": data, **changes}


async def write(here: Site, found: Iterable[Sent], *, expected: bool = True) -> None:
    """Write events upstream at once; *expected* ones count in the comparison at the end."""
    events = list(found)
    here.sent += events if expected else []
    await here.plant.send(encoded(events))


async def reasons(here: Site) -> Counter[str]:
    """Why there are dead letters."""
    topic = here.plant.topics.name("sla.deadletters.v1")
    consumer = AIOKafkaConsumer(bootstrap_servers=here.ground.kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(4)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        found: Counter[str] = Counter()
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found.update(dict(record.headers)["plazo_reason"].decode() for record in records)
        return found
    finally:
        await consumer.stop()


@row(14, "clocks of upstream systems that are ahead")
async def test_what_has_not_happened_yet_is_refused_and_a_little_skew_is_not(here: Site) -> None:
    async with here.everything():
        ahead = [ticket(f"ahead-{n}", time=rfc3339(now() + 3600 * SECOND)) for n in range(5)]
        skewed = [ticket(f"skewed-{n}", time=rfc3339(now() + 4 * SECOND)) for n in range(5)]
        await write(here, ahead, expected=False)
        await write(here, skewed)
        await here.traffic(items=60, over_s=3.0)
        await here.calm()
    assert await reasons(here) == {"clock_skew": 5}
    await here.agree(dead_letters=5)


@row(15, "everything is sent three times")
async def test_repeats_change_nothing(here: Site) -> None:
    async with here.everything() as processes:
        await here.traffic(items=100, over_s=4.0)
        await here.calm()
        published = len(await here.plant.published())
        again = 2 * here.sent
        random.Random(15).shuffle(again)
        await write(here, again[: len(again) // 2], expected=False)
        processes["timer-1"].kill()
        processes["timer-1"].start()
        await write(here, again[len(again) // 2 :], expected=False)
        await here.calm()
    assert len({record.event_id for record in await here.plant.published()}) == published
    await here.agree()


@row(16, "events out of order, by seconds and across batches")
async def test_any_order_ends_in_the_same(here: Site) -> None:
    pick = random.Random(16)
    plan = planned(now() - round((ANCIENT + LONGEST_S) * SECOND), items=200, over_s=ANCIENT)
    pick.shuffle(plan)
    async with here.everything() as processes:
        for number in range(4):
            await write(here, plan[number::4])
            if number == 2:
                processes["timer-2"].kill()
                processes["timer-2"].start()
        await here.calm()
    await here.agree(late=True)


POISON: Final = (
    b"",
    b"\xff\xfe\x00not text",
    b'{"specversion": "1.0", "id": "cut',
    b"[" * 50_000 + b"]" * 50_000,
    b'{"specversion": "1.0"}',
    b'{"id": "a\\u0000b"}',
    b"null",
    b"NaN",
)


@row(18, "poison among good events; then nothing but poison")
async def test_poison_is_set_aside_and_a_stream_of_it_stops_its_reader(here: Site) -> None:
    async with here.everything(DLQ_IN_A_ROW="60") as processes:
        for _ in range(3):
            await here.plant.send((b"bad", value) for value in POISON)
            await here.traffic(items=40, over_s=2.0, seed=18 + len(here.sent))
        await here.calm()
        await here.agree(dead_letters=3 * len(POISON))
        ingest = processes["ingest"]
        await here.plant.send((b"bad", value) for value in 10 * POISON)
        assert await ingest.ended() == TOO_MANY
        assert "in a row cannot be used" in ingest.output()
        await write(here, [ticket("behind")])
        patient = here.process("ingest", DLQ_IN_A_ROW="0", DLQ_SHARE="1")
        async with patient:
            await here.calm()
    letters = await here.plant.dead_letters()
    assert 13 * len(POISON) <= letters <= 13 * len(POISON) + 60  # those before the stop may be set aside once more
    await here.agree(dead_letters=letters, late=True)


@row(20, "huge messages")
async def test_what_is_too_large_is_set_aside_and_nothing_stands_still(here: Site) -> None:
    long = ticket("long", data={"attributes": {"text": "x" * 1_000_000}})
    deep = ticket("deep", data={"attributes": {"nested": json.loads("[" * 900 + "]" * 900)}})
    wide = ticket("wide", data={"attributes": {f"name-{number}": number for number in range(20_000)}})
    async with here.everything():
        await here.traffic(items=30, over_s=1.0)
        await write(here, [long, deep], expected=False)
        await write(here, [wide])
        await here.traffic(items=30, over_s=1.0, seed=20)
        await here.calm()
    assert await reasons(here) == {"too_large": 1, "invalid": 1}
    await here.agree(dead_letters=2)


@row(21, "events of another shape than yesterday's")
async def test_what_is_new_is_passed_over_and_what_is_missing_is_named(here: Site) -> None:
    extended = [
        ticket(f"extended-{n}", extension="new", data={"attributes": {"priority": "new-level"}, "more": {"a": [1]}})
        for n in range(5)
    ]
    lacking = [
        {name: value for name, value in ticket(f"without-{gone}").items() if name != gone}
        for gone in ("id", "type", "time")
    ]
    retyped = [ticket("retyped", time=12), ticket("unheard-of", type="ticket.exploded")]
    async with here.everything():
        await write(here, extended)
        await here.plant.send((b"shape", json.dumps(event).encode()) for event in [*lacking, *retyped])
        await here.traffic(items=30, over_s=1.0)
        await here.calm()
    found = await reasons(here)
    assert sum(found.values()) == 5
    print(dict(found))
    await here.agree(dead_letters=5, late=True)
