"""Several timer processes on one installation: how partitions move when one comes, goes, dies, or sleeps too long."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from deploy.local.embedded_postgres import EmbeddedPostgres
from tests.integration.timer_site import TARGET_S, Site, answer, site, ticket, until
from tests.plant import PARTITIONS
from tests.processes import PlazoProcess
from tests.servers import Broker, Databases

pytestmark = pytest.mark.kafka


@pytest.fixture
async def here(broker: Broker, databases: Databases, tmp_path: Path) -> AsyncIterator[Site]:
    """An installation of the test's own."""
    async with site(broker, databases, tmp_path) as opened:
        yield opened


async def metric(process: PlazoProcess, name: str) -> float:
    """A metric of a process, summed over its labels."""
    async with httpx2.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{process.env['HTTP_PORT']}/metrics", timeout=5.0)).text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


async def test_partitions_are_shared_and_handed_over_at_a_clean_stop(here: Site) -> None:
    one, two = here.plant.process("timer", "one"), here.plant.process("timer", "two")
    async with two:
        async with one:
            await here.owned_by("one", "two")
            tickets = [ticket(f"{n}") for n in range(40)]
            await here.send(*tickets)
            await until(lambda: here.plant.has_folded(40), "40 events")
            began = time.monotonic()
            assert await one.stop() == 0
        await here.owned_by("two")
        assert time.monotonic() - began < 2.0 + 1.0  # a second for the process itself to end
        await here.published(40)
    assert {lease.epoch for lease in await here.leases()} <= {1, 2, 3}
    assert await here.owners() == {None}
    assert sorted(await here.types()) == ["sla.clock.breached.v1"] * 40


async def test_the_partitions_of_a_killed_process_move_within_five_seconds(here: Site) -> None:
    one, two = here.plant.process("timer", "one"), here.plant.process("timer", "two")
    async with one, two:
        await here.owned_by("one", "two")
        one.kill()
        assert await here.owned_by("two") < 5.0
        one.start()
        await here.owned_by("one", "two")


async def test_a_process_that_slept_longer_than_its_lease_publishes_nothing_wrong(here: Site) -> None:
    one, two = here.plant.process("timer", "one"), here.plant.process("timer", "two")
    async with one:
        await here.owned_by("one")
        await here.send(*(ticket(f"{n}") for n in range(20)))
        await until(lambda: here.plant.has_folded(20), "20 events")
        created = time.monotonic()
        one.signal(signal.SIGSTOP)
        async with two:
            await here.owned_by("two")
            await here.send(*(answer(f"{n}") for n in range(10)))
            await until(lambda: here.plant.has_folded(30), "10 answers")
            await here.published(10)  # the others were never answered
            assert time.monotonic() - created > TARGET_S - 1.0
            one.signal(signal.SIGCONT)
            await one.said("partition lost")
            await here.owned_by("one", "two")
            assert await metric(one, "sla_fenced_total") == PARTITIONS
            assert await metric(two, "sla_fenced_total") == 0
            await here.send(ticket("last", ago_s=TARGET_S + 1))
            await here.published(11)
    published = await here.plant.published()
    assert {record.type for record in published} == {"sla.clock.breached.v1"}
    assert {record.event.id for record in published} == {*(str(n) for n in range(10, 20)), "last"}
    assert len({record.event_id for record in published}) == 11


@contextmanager
def cut_off(postgres: EmbeddedPostgres, database: str) -> Iterator[None]:
    """Nobody can reach the database within the block."""
    postgres.sql(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
    postgres.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
    try:
        yield
    finally:
        postgres.sql(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')


async def test_while_the_database_is_away_nothing_is_lost_and_a_stop_does_not_hang(
    here: Site, postgres: EmbeddedPostgres
) -> None:
    one = here.plant.process("timer", "one")
    async with one:
        await here.owned_by("one")
        await here.plant.database.close()
        with cut_off(postgres, here.plant.database.url.database or ""):
            await here.send(*(ticket(f"{n}", ago_s=TARGET_S - 2) for n in range(20)))
            await one.said("write set not confirmed")
        await here.published(20)
        await here.plant.database.close()
        with cut_off(postgres, here.plant.database.url.database or ""):
            await here.send(*(ticket(f"again-{n}", ago_s=TARGET_S - 2) for n in range(20)))
            await until_count(one, "write set not confirmed", 4)
            async with asyncio.timeout(15.0):
                assert await one.stop() == 0
        one.start()
        await here.published(40)
    assert sorted(await here.types()) == ["sla.clock.breached.v1"] * 40


async def until_count(process: PlazoProcess, text: str, count: int) -> None:
    """Wait until a process has said something so many times."""

    async def is_so() -> bool:
        return process.output().count(text) >= count

    await until(is_so, f"{text!r} {count} times")
