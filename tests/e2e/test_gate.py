"""The evidence gate on the real broker: an answer that waits upstream is in time, however late it is read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.plant import Plant, plant, until
from tests.processes import PlazoProcess
from tests.servers import Broker, Databases, Topics

pytestmark = pytest.mark.kafka

TARGET_S = 5.0
POLICIES = """
calendars:
  always: {time_zone: UTC, hours: {mon-sun: ["00:00-24:00"]}}
policies:
  - {name: quick, applies_to: {kind: ticket}, calendar: always, targets: {first_response: 5s}}
"""


@pytest.fixture
async def works(
    broker: Broker, databases: Databases, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Plant]:
    """A plant of the test's own."""
    name = request.node.name.replace("_", "-")[5:40]
    with databases.fresh(name) as url:
        async with plant(Topics(broker, name), url, tmp_path, POLICIES) as made:
            yield made


def event(name: str, what: str, at: datetime) -> tuple[bytes, bytes]:
    """What a ticketing system writes: key and value."""
    value = {
        "specversion": "1.0",
        "id": f"{name}-{what}",
        "source": "/desk",
        "type": f"ticket.{what}",
        "subject": name,
        "time": at.isoformat(),
        "data": {"attributes": {}},
    }
    return name.encode(), json.dumps(value).encode()


async def both_ready(*processes: PlazoProcess) -> None:
    """Wait until processes can do their work."""
    for process in processes:
        await process.ready(f"http://127.0.0.1:{process.env['HTTP_PORT']}/healthz/ready")


async def clock(process: PlazoProcess, name: str) -> dict[str, Any]:
    """The only clock of a ticket, as the API shows it."""
    async with httpx2.AsyncClient() as client:
        url = f"http://127.0.0.1:{process.env['HTTP_PORT']}/v1/items/default/ticket/{name}"
        [found] = (await client.get(url, timeout=5.0)).json()["clocks"]
        return dict(found)


async def held(process: PlazoProcess) -> float:
    """How many firings were held back for want of evidence."""
    async with httpx2.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{process.env['HTTP_PORT']}/metrics", timeout=5.0)).text
    return sum(
        float(line.split()[-1]) for line in text.splitlines() if line.startswith('sla_timer_fired_total{outcome="held"')
    )


async def test_an_answer_that_waits_upstream_is_in_time(works: Plant) -> None:
    ingest, timer = works.process("ingest"), works.process("timer")
    async with timer:
        async with ingest:
            await both_ready(ingest, timer)
            created = datetime.now(UTC)
            await works.send([event("late-read", "created", created), event("unanswered", "created", created)])
            await until(lambda: works.has_folded(2), "two tickets")
        # Ingest is down. The agent answers in time, and nobody reads it.
        await works.send([event("late-read", "agent_replied", created + timedelta(seconds=2))])
        deadline = created + timedelta(seconds=TARGET_S)
        await asyncio.sleep(max(0.0, (deadline - datetime.now(UTC)).total_seconds()) + 3.0)
        assert await held(timer) >= 1
        assert await works.published() == []
        assert (await clock(timer, "late-read"))["state"] == "running"
        ingest.start()
        begun = time.monotonic()

        async def is_told() -> bool:
            return bool(await works.published())

        await until(is_told, "the breach of the other ticket")
        assert time.monotonic() - begun < 15.0
        published = await works.published()
        assert [(record.type, record.event.id) for record in published] == [("sla.clock.breached.v1", "unanswered")]
        assert not published[0].event.late_evidence_possible
        assert (await clock(timer, "late-read"))["state"] == "met"
        await ingest.stop()


async def test_an_ingest_that_does_not_come_back_is_waited_for_only_so_long(works: Plant) -> None:
    works.extra["HOLD_MAX_S"] = "4"
    ingest, timer = works.process("ingest"), works.process("timer")
    async with timer:
        async with ingest:
            await both_ready(ingest, timer)
            await works.send([event("a", "created", datetime.now(UTC))])
            await until(lambda: works.has_folded(1), "the ticket")
        await works.send([event("a", "agent_replied", datetime.now(UTC))])

        async def is_told() -> bool:
            return bool(await works.published())

        await until(is_told, "the breach")
        [record] = await works.published()
        assert record.event.late_evidence_possible
        async with ingest:

            async def is_retracted() -> bool:
                return len(await works.published()) == 2

            await until(is_retracted, "the retraction")
    types = [record.type for record in await works.published()]
    assert types == ["sla.clock.breached.v1", "sla.breach.retracted.v1"]
