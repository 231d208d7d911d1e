"""A source that goes quiet, on the real broker and database: told once, whoever watches, and not without evidence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.events import SECOND, parse_instant
from shared.kafka.connection import Outgoing, Place
from tests.integration.timer_site import POLICIES, Site, now, running, site, ticket, until
from tests.servers import Broker, Databases

pytestmark = pytest.mark.kafka

QUIET_S = 5.0
SOURCES = POLICIES + "sources: {/desk: {silent_after: 5s, severity: high}, /import: never}\n"


@pytest.fixture
async def here(broker: Broker, databases: Databases, tmp_path: Path) -> AsyncIterator[Site]:
    """An installation of the test's own whose sources may be quiet for five seconds."""
    async with site(broker, databases, tmp_path, SOURCES) as opened:
        yield opened


async def told(here: Site, count: int) -> None:
    """Wait until so many silences were told."""

    async def is_so() -> bool:
        return len(await here.plant.silences()) >= count

    await until(is_so, f"{count} silences", within_s=30.0)


async def test_a_silence_is_told_once_however_often_the_timer_starts(here: Site) -> None:
    begun = now()
    async with running(here.service("one")):
        await here.send(ticket("a"), ticket("b", source="/import"), ticket("c", source="/other"))
        await told(here, 1)
    for name in ("one", "two"):  # the same process again, and another one
        async with running(here.service(name)):
            await here.owned_by(name)
            await asyncio.sleep(3.0)
    [silence] = await here.plant.silences()
    event = silence.data
    assert (event.tenant, event.source, event.severity, event.usual_gap_s) == ("default", "/desk", "high", None)
    assert event.allowed_s == QUIET_S < event.quiet_s < QUIET_S + 10.0
    assert begun - SECOND <= parse_instant(event.last_event_at) <= parse_instant(event.evidence_through)
    # It speaks again, and goes quiet again: another silence.
    async with running(here.service("two")):
        await here.send(ticket("d"))
        await told(here, 2)
    assert len(await here.plant.silences()) == 2


async def test_of_two_processes_one_tells(here: Site) -> None:
    one, two = here.plant.process("timer", "one"), here.plant.process("timer", "two")
    async with one, two:
        await here.owned_by("one", "two")
        await here.send(*(ticket(f"{n}") for n in range(40)))  # heard by both
        await told(here, 1)
        teller = one if "a source is silent" in one.output() else two
        teller.kill()
        await asyncio.sleep(6.0)  # the other one takes over, and looks
    assert len(await here.plant.silences()) == 1


async def test_what_was_not_read_is_no_silence(here: Site) -> None:
    """Ingest has not read what is upstream: nobody knows whether the source is quiet."""
    async with running(here.service("one")):
        await here.send(ticket("a"))
        await until(lambda: here.plant.has_folded(1), "the ticket")
        await here.producer.send(here.plant.topics.name("helpdesk"), [Outgoing(b"x", b"not read")])
        await asyncio.sleep(QUIET_S + 4.0)
        assert await here.plant.silences() == []
        places = [Place(here.plant.topics.name("helpdesk"), number) for number in range(4)]
        await here.offsets.show(here.plant.topics.name("ingest"), await here.offsets.ends(places))
        await here.send(ticket("b"))
        await told(here, 1)
    [silence] = await here.plant.silences()
    assert silence.data.quiet_s < QUIET_S + 4.0
