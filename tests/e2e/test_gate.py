"""The evidence gate on the real broker: an answer that waits upstream is in time, however late it is read."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.plant import Plant, Published, plant, until
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


async def told(works: Plant, count: int) -> list[Published]:
    """Wait until so much was published about clocks; all of it, without repeats."""

    async def is_so() -> bool:
        return len({record.event_id for record in await works.published()}) >= count

    await until(is_so, f"{count} published events")
    return list({record.event_id: record for record in await works.published()}.values())


async def test_an_ingest_that_does_not_come_back_is_waited_for_only_so_long(works: Plant) -> None:
    works.extra["HOLD_MAX_S"] = "4"
    ingest, timer = works.process("ingest"), works.process("timer")
    async with timer:
        async with ingest:
            await both_ready(ingest, timer)
            await works.send([event("a", "created", datetime.now(UTC))])
            await until(lambda: works.has_folded(1), "the ticket")
        await works.send([event("a", "agent_replied", datetime.now(UTC))])
        [record] = await told(works, 1)
        assert record.event.late_evidence_possible
        async with ingest:
            both = await told(works, 2)
    assert [record.type for record in both] == ["sla.clock.breached.v1", "sla.breach.retracted.v1"]


async def test_what_a_paused_ingest_reads_at_last_takes_back_what_was_told_without_it(works: Plant) -> None:
    """The consumer of the upstream topics stands still, and lives: nothing tells that it will read on."""
    works.extra["HOLD_MAX_S"] = "4"
    ingest, timer = works.process("ingest"), works.process("timer")
    async with timer, ingest:
        await both_ready(ingest, timer)
        created = datetime.now(UTC)
        await works.send([event(name, "created", created) for name in ("answered", "late", "open")])
        await until(lambda: works.has_folded(3), "three tickets")
        ingest.signal(signal.SIGSTOP)
        in_time, too_late = (created + timedelta(seconds=seconds) for seconds in (2, TARGET_S + 2))
        await works.send([event("answered", "agent_replied", in_time), event("late", "agent_replied", too_late)])
        breaches = {record.event.id: record.event for record in await told(works, 3)}
        assert {record.type for record in await works.published()} == {"sla.clock.breached.v1"}
        assert breaches.keys() == {"answered", "late", "open"}
        for breach in breaches.values():
            assert breach.late_evidence_possible
            assert seconds_between(breach.due_at, breach.detected_at) >= 3.0  # the wait of HOLD_MAX_S came first
        ingest.signal(signal.SIGCONT)
        corrections = [record for record in await told(works, 5) if record.type != "sla.clock.breached.v1"]
        assert {(record.type, record.event.id) for record in corrections} == {
            ("sla.breach.retracted.v1", "answered"),
            ("sla.breach.stopped.v1", "late"),  # it was late indeed
        }
        for record in corrections:
            breach = breaches[record.event.id]
            assert record.event.breach_id == breach.breach_id
            assert record.event.clock_id == breach.clock_id
            assert (breach.sequence, record.event.sequence) == (1, 2)
            assert record.event.replaced_by is None
        assert (await clock(timer, "answered"))["state"] == "met"
        assert len(await told(works, 5)) == 5
        await until(works.fed, "the states of all clocks to be told")
        states = await works.clocks()
        assert states == await works.stored_clocks()
    assert {state.id: (state.state, state.breached_at is not None) for state in states.values()} == {
        "answered": ("met", False),
        "late": ("breached", True),
        "open": ("breached", True),
    }


def seconds_between(start: str | None, end: str) -> float:
    """The seconds from one RFC 3339 instant to another."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start or "")).total_seconds()
