"""The heartbeat on a whole installation: from the event that a notifier makes up to the receiver, and when it stops."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from shared.events import HEARTBEAT_TENANT, SECOND, parse_instant
from tests.plant import Plant, plant, until
from tests.processes import PlazoProcess
from tests.receivers import HttpReceiver, Posted, http_receiver
from tests.servers import Broker, Databases, Topics

pytestmark = pytest.mark.kafka

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
EVERY_S = 2
POLICIES = """
calendars: {always: {time_zone: UTC, hours: {mon-sun: ["00:00-24:00"]}}}
policies:
  - {name: ours, applies_to: {}, calendar: always, targets: {pickup: 1s, first_response: 1s}}
  - {name: beside, applies_to: {}, calendar: always, combine: all, targets: {pickup: 1s}}
"""
ROUTES = """
receivers:
  everybody: {{webhook: {{url: '{url}/all', secret_env: HOOK_SECRET}}}}
  dead-man: {{webhook: {{url: '{url}', secret_env: HOOK_SECRET}}}}
routes: [{{receivers: [everybody]}}]
heartbeat: {{receiver: dead-man, every: {every}s}}
"""


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as opened:
        yield opened


@pytest.fixture
async def works(broker: Broker, databases: Databases, receiver: HttpReceiver, tmp_path: Path) -> AsyncIterator[Plant]:
    routes = tmp_path / "notify.yaml"
    routes.write_text(ROUTES.format(url=receiver.url, every=EVERY_S))
    with databases.fresh("heartbeat") as url:
        async with plant(Topics(broker, "heartbeat"), url, tmp_path, POLICIES) as made:
            made.extra = {"NOTIFY_ROUTES": str(routes), "HOOK_SECRET": SECRET}
            yield made


def due_at(posted: Posted) -> float:
    data = json.loads(posted.body)["data"]
    assert (data["tenant"], data["policy"]) == (HEARTBEAT_TENANT, "heartbeat")
    return parse_instant(data["due_at"]) / SECOND


async def shown(process: PlazoProcess) -> float:
    """When the newest heartbeat was due that arrived, as the process shows it."""
    async with httpx2.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{process.env['HTTP_PORT']}/metrics")).text
    found = re.search(r"^sla_alert_heartbeat_timestamp_seconds (\S+)$", text, re.MULTILINE)
    assert found is not None
    return float(found[1])


async def test_beats_come_all_the_way_and_stop_coming_when_a_part_of_it_does(
    works: Plant, receiver: HttpReceiver
) -> None:
    ingest, timer, notifier = (works.process(name) for name in ("ingest", "timer", "notifier"))
    async with ingest, timer, notifier:
        await receiver.until(lambda posted: len(posted) >= 3, within_s=60.0)
        times = [due_at(each) for each in receiver.posted]
        assert {later - earlier for earlier, later in itertools.pairwise(times)} == {EVERY_S}
        assert {posted.path for posted in receiver.posted} == {"/hook"}  # nobody else hears of them

        async def is_shown() -> bool:
            return await shown(notifier) == max(map(due_at, receiver.posted))

        await until(is_shown, "the newest beat in the metric")
        # Without ingest nothing arrives any more: the metric stands still, so its age grows.
        await ingest.stop()
        last = await shown(notifier)
        sent = len(receiver.posted)
        await until(lambda: _beats_since(works, last, 4), "beats that ingest did not read")
        assert await shown(notifier) - last <= EVERY_S  # at most one was on its way
        assert len(receiver.posted) - sent <= 1
        # With it back, the newest is told again.
        async with works.process("ingest", "ingest-again"):
            await receiver.until(lambda posted: due_at(posted[-1]) > last + 4 * EVERY_S, within_s=60.0)
    told = await works.published()
    assert {each.event.policy for each in told} == {"heartbeat"}  # of the users' policies none applies
    assert {each.type for each in told if each.event.id != told[0].event.id} >= {"sla.clock.breached.v1"}
    assert await works.silences() == []


async def _beats_since(works: Plant, last: float, count: int) -> bool:
    async with works.database.raw("read the time") as connection:
        now = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())")
    return bool(float(now) > last + (count + 1) * EVERY_S)
