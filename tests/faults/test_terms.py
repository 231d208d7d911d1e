"""Rows 31-33: what clocks are computed with changes while they run: zones, policies, holidays."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from services.timer import backtest
from services.timer.lease_store import LeaseStore
from services.timer.policy_versions import PolicyVersions
from shared.cloudevents import decode_structured
from shared.events import SECOND, parse_instant, rfc3339
from tests.agreement import assert_no_gaps, assert_same, told, without_repeats
from tests.documentation import ROOT
from tests.e2e.helpdesk import encoded
from tests.faults.matrix import row
from tests.faults.site import Site
from tests.faults.test_input import ticket, write
from tests.faults.traffic import POLICIES
from tests.plant import until
from tests.processes import PlazoProcess

pytestmark = pytest.mark.kafka

OFFICE: Final = """
calendars:
  office: {time_zone: Europe/Madrid, hours: {mon-sun: ["09:00-17:00"]}}
policies:
  - {name: tickets, applies_to: {kind: ticket}, calendar: office, targets: {resolution: 30h}}
"""
SHORTER: Final = POLICIES.replace("within: 4s", "within: 3s").replace("next_response: 3s", "next_response: 2s")


async def versions(here: Site) -> int:
    """How many versions of the policies are registered."""
    async with here.plant.database.raw("read versions") as connection:
        return int(await connection.fetchval("SELECT count(*) FROM timer.policy_version"))


async def change(here: Site, text: str) -> None:
    """Let the files be others, and wait until that is registered."""
    before = await versions(here)
    (here.folder / "policies.yaml").write_text(text)

    async def is_known() -> bool:
        return await versions(here) > before

    await until(is_known, "the new version to be registered")


async def agree_under_versions(here: Site) -> None:
    """Everything that was told is what the events give under the versions that were in force at their times."""
    known = PolicyVersions(LeaseStore(here.plant.database))
    await known.look()
    distinct = without_repeats(await here.plant.published())
    assert_no_gaps(distinct)
    events = [decode_structured(value) for _, value in encoded(here.sent)]
    expected = backtest.published(events, known.rulebook(), time.time_ns() // 1000)
    assert_same(told(distinct).elements(), told(expected).elements(), "all that is told under two versions")
    assert await here.plant.clocks() == await here.plant.stored_clocks()


async def changed_under_load(here: Site, text: str) -> None:
    """Change the files amid the traffic, while a timer is killed, and see that each clock keeps its terms."""
    async with here.everything() as processes, asyncio.TaskGroup() as group:
        traffic = group.create_task(here.traffic(items=240, over_s=14.0))
        await until(lambda: here.plant.has_folded(100), "some events under the first version")
        await change(here, text)
        processes["timer-1"].kill()
        processes["timer-1"].start()
        await traffic
        await until(lambda: nothing_happens(here), "everything that falls due soon to be told")
    used = {state.policy_version for state in (await here.plant.clocks()).values()}
    assert len(used) == 2, "clocks of both versions"
    await agree_under_versions(here)


async def nothing_happens(here: Site) -> bool:
    """Whether all is folded and told, and nothing falls due for a minute; what is closed today is due tomorrow."""
    if await here.lag() or await here.plant.waiting() or not await here.plant.fed():
        return False
    async with here.plant.database.raw("look for deadlines") as connection:
        soon = time.time_ns() // 1000 + 60 * SECOND
        return not await connection.fetchval("SELECT count(*) FROM timer.item WHERE next_due < $1", soon)


@row(32, "the policies change under load, and a timer is killed")
async def test_clocks_keep_the_policy_that_they_began_with(here: Site) -> None:
    await changed_under_load(here, SHORTER)


@row(33, "today becomes a holiday")
async def test_a_holiday_today_holds_for_clocks_that_begin_after_it_was_told(here: Site) -> None:
    today = datetime.now(UTC).date().isoformat()
    closed = f'hours: {{mon-sun: ["00:00-24:00"]}}, exceptions: {{"{today}": []}}}}'
    await changed_under_load(here, POLICIES.replace('hours: {mon-sun: ["00:00-24:00"]}}', closed))


# --- zones ---


def other_zones(folder: Path) -> Path:
    """The package of time zones as a later release could be: Madrid has the time of Tokyo."""
    there = Path(str(files("tzdata")))
    made = shutil.copytree(there, folder / "zones" / "tzdata", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(there / "zoneinfo" / "Asia" / "Tokyo", made / "zoneinfo" / "Europe" / "Madrid")
    text = (made / "__init__.py").read_text()
    (made / "__init__.py").write_text(f'{text}\nIANA_VERSION = "2099z"\n')
    return made.parent


async def due(timer: PlazoProcess, name: str) -> str:
    """When the clock of a ticket is due, as the API shows it."""
    url = f"http://127.0.0.1:{timer.env['HTTP_PORT']}/v1/items/default/ticket/{name}"
    async with httpx2.AsyncClient() as client:
        found: Mapping[str, Any] = (await client.get(url, timeout=30.0)).json()
    return str(found["clocks"][0]["due_at"])


@row(31, "the rules of a time zone change with an upgrade")
async def test_clocks_that_run_keep_their_due_times_over_an_upgrade_of_the_zones(here: Site) -> None:
    (here.folder / "policies.yaml").write_text(OFFICE)
    moment = rfc3339(time.time_ns() // 1000 // SECOND * SECOND)
    upgraded = here.process("timer", PYTHONPATH=f"{other_zones(here.folder)}:{ROOT}")
    async with here.process("ingest") as ingest:
        async with here.process("timer") as timer:
            await here.ready(ingest, timer)
            await write(here, [ticket("before", time=moment)])
            await until(lambda: here.plant.has_folded(1), "a ticket")
            first = await due(timer, "before")
        async with upgraded:
            await here.ready(upgraded)
            assert await versions(here) == 2
            await until(lambda: in_force(here), "the version of the upgrade to be in force")
            await write(here, [ticket("after")])
            await until(lambda: here.plant.has_folded(2), "another ticket")
            assert await due(upgraded, "before") == first
            second = await due(upgraded, "after")
        env = {name: upgraded.env[name] for name in ("KAFKA_BOOTSTRAP", "DATABASE_URL", "TOPIC_PREFIX", "PYTHONPATH")}
        preview = PlazoProcess(["migrate-policies", "--format", "jsonl"], env, here.folder / "preview.log")
        preview.start()
        assert await preview.ended() == 0, preview.output()
    assert abs(parse_instant(second) - parse_instant(first)) >= 3600 * SECOND
    [moved] = [json.loads(line) for line in preview.output().splitlines() if line.startswith("{")]
    assert (moved["item"], moved["due_at_from"]) == ("default/ticket/before", first)
    assert await here.plant.published() == []
    print(f"due at {first} by the old rules, at {second} by the new; a migration would move it to {moved['due_at_to']}")


async def in_force(here: Site) -> bool:
    """Whether the version that was registered last is in force by now."""
    async with here.plant.database.raw("read versions") as connection:
        return bool(
            await connection.fetchval(
                "SELECT max(effective_from) < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
                " FROM timer.policy_version"
            )
        )
