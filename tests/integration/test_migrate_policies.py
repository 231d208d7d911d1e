"""`./plazo migrate-policies` beside a running timer: what it foresees is what then happens, also when it is cut off."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.timer.item import ItemState
from shared.events import SECOND, Event, parse_instant, rfc3339
from tests.integration.timer_site import Site, now, running, site, ticket, until
from tests.processes import PlazoProcess
from tests.servers import Broker, Databases

pytestmark = pytest.mark.kafka

POLICIES = """
calendars:
  always: {time_zone: UTC, hours: {mon-sun: ["00:00-24:00"]}}
policies:
  - name: plain
    applies_to: {kind: ticket}
    calendar: always
    targets: {resolution: 1h}
"""
SHORTER = POLICIES.replace("1h", "20m")
MINUTE = 60.0


@pytest.fixture
async def here(broker: Broker, databases: Databases, tmp_path: Path) -> AsyncIterator[Site]:
    """An installation of the test's own."""
    async with site(broker, databases, tmp_path, POLICIES) as opened:
        yield opened


def command(here: Site, name: str, *options: str) -> PlazoProcess:
    """The command, not started yet; its output goes into a file of this name."""
    env = {each: here.environment("one")[each] for each in ("KAFKA_BOOTSTRAP", "DATABASE_URL", "TOPIC_PREFIX")}
    return PlazoProcess(["migrate-policies", *options], env, here.plant.folder / f"{name}.log")


async def said(here: Site, name: str, *options: str, status: int = 0) -> tuple[list[dict[str, Any]], str]:
    """(the objects that the command shows, everything that it prints)."""
    process = command(here, name, "--format", "jsonl", *options)
    process.start()
    assert await process.ended() == status, process.output()
    lines = process.output().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")], process.output()


async def changed(here: Site, text: str) -> None:
    """Give the timer other files, and wait until it has registered them."""
    before = await versions(here)
    (here.plant.folder / "policies.yaml").write_text(text)

    async def is_so() -> bool:
        return len(await versions(here)) > len(before)

    await until(is_so, "the new version to be registered")


async def versions(here: Site) -> list[str]:
    """The versions that are registered, the earliest first."""
    async with here.plant.database.raw("read versions") as connection:
        rows = await connection.fetch("SELECT version FROM timer.policy_version ORDER BY effective_from")
    return [row["version"] for row in rows]


async def states(here: Site) -> dict[str, ItemState]:
    """The id of each ticket -> its state."""
    async with here.plant.database.raw("read items") as connection:
        rows = await connection.fetch("SELECT key, state FROM timer.item")
    return {row["key"].rpartition("/")[2]: msgspec.msgpack.decode(row["state"], type=ItemState) for row in rows}


async def recounts(here: Site) -> list[Event]:
    """The recounts in all histories."""
    async with here.plant.database.raw("read histories") as connection:
        rows = await connection.fetch("SELECT events FROM timer.history")
    events = [event for row in rows for event in msgspec.msgpack.decode(row["events"], type=list[Event])]
    return [event for event in events if event.recount is not None]


async def test_what_is_foreseen_is_what_then_happens(here: Site) -> None:
    async with running(here.service("one")):
        await here.send(ticket("over", ago_s=30 * MINUTE), ticket("open", ago_s=5 * MINUTE))
        await here.send(ticket("done", ago_s=30 * MINUTE))
        await here.send(ticket("done", ago_s=29 * MINUTE, number=1, type="ticket.resolved"))
        await here.send(ticket("broken", ago_s=90 * MINUTE))
        await here.published(1)
        await changed(here, SHORTER)
        old, new = await versions(here)

        foreseen, told = await said(here, "preview")
        assert {(row["item"], row["effect"]) for row in foreseen} == {
            ("default/ticket/over", "breaches"),
            ("default/ticket/open", "moves"),
        }
        assert "4 items looked at, 2 change; of their clocks 1 breach by it, 1 move." in told
        assert await recounts(here) == []

        begun = now()
        await said(here, "apply", "--apply", "--reason", "contract 2026", "--wait")
        await here.published(2)
        [expected] = [row for row in foreseen if row["effect"] == "breaches"]
        [breach] = [each for each in await here.plant.published() if each.event.item == expected["item"]]
        assert breach.event.due_at == expected["due_at_to"]
        assert begun <= parse_instant(breach.event.breached_at or "") <= now()
        found = await states(here)
        assert [found[name].clocks[0].version for name in ("over", "open", "done", "broken")] == [new, new, old, old]

        nothing, told = await said(here, "again")
        assert (nothing, "4 items looked at, 0 change." in told) == ([], True)
    [record], _ = await said(here, "list", "--list")
    assert (record["state"], record["version"], record["reason"]) == ("done", new, "contract 2026")
    assert record["counts"] == {"items": 4, "events": 2, "breaches": 1, "moves": 1}
    assert len(await here.types()) == 2


async def test_files_that_are_not_in_force_are_foreseen_and_not_applied(here: Site) -> None:
    async with running(here.service("one")):
        await here.send(ticket("a", ago_s=30 * MINUTE))
        await until(lambda: here.plant.has_folded(1), "the ticket")
    (here.plant.folder / "other.yaml").write_text(SHORTER)
    files = ("--policies", str(here.plant.folder / "other.yaml"))
    foreseen, _ = await said(here, "preview", *files)
    assert [row["effect"] for row in foreseen] == ["breaches"]
    _, told = await said(here, "apply", *files, "--apply", "--reason", "x", status=1)
    assert "is not registered: give them to the timer first" in told
    _, told = await said(here, "unknown", "--to", "nonsense", status=1)
    assert "got nonsense" in told


async def test_a_migration_that_is_cut_off_is_taken_up_and_does_the_rest(here: Site) -> None:
    count = 60
    async with running(here.service("one")):
        await here.send(*(ticket(f"{n}", ago_s=5 * MINUTE) for n in range(count)))
        await until(lambda: here.plant.has_folded(count), "the tickets")
        await changed(here, SHORTER)

        process = command(here, "cut", "--apply", "--reason", "contract 2026", "--page", "1")
        process.start()
        await until(lambda: _events(here, 5), "some events to be sent")
        process.kill()
        [record], _ = await said(here, "unfinished", "--list")
        assert record["state"] == "unfinished"
        assert record["counts"]["events"] < count

        _, told = await said(here, "second", "--apply", "--reason", "too soon", status=1)
        assert "another migration is not finished" in told
        await said(here, "resume", "--resume", record["id"], "--wait")
        new = (await versions(here))[-1]
        assert {state.clocks[0].version for state in (await states(here)).values()} == {new}
        assert len({event.id for event in await recounts(here)}) == len(await recounts(here)) == count
    [record], _ = await said(here, "done", "--list")
    assert (record["state"], record["counts"]) == ("done", {"items": count, "events": count, "moves": count})
    _, told = await said(here, "twice", "--resume", record["id"], status=1)
    assert "is finished since" in told


def excluding(from_s: float, until_s: float) -> str:
    """POLICIES with an exclusion from so many seconds ago until so many."""
    since, until = (rfc3339(now() - round(ago * SECOND)) for ago in (from_s, until_s))
    span = f"name: outage, from: {since}, until: {until}, reason: the network was down"
    return f"{POLICIES}exclusions: [{{{span}}}]\n"


async def test_an_exclusion_that_comes_late_takes_back_what_was_published_once_items_are_recounted(here: Site) -> None:
    async with running(here.service("one")):
        await here.send(ticket("told", ago_s=90 * MINUTE))  # breached half an hour ago
        await here.published(1)
        await here.send(ticket("open", ago_s=50 * MINUTE), ticket("new", ago_s=MINUTE))
        await until(lambda: here.plant.has_folded(3), "the tickets")
        await changed(here, excluding(80 * MINUTE, 30 * MINUTE))

        foreseen, _ = await said(here, "preview", "--recount-only")
        effects = {(row["item"].rpartition("/")[2], row["effect"]) for row in foreseen}
        assert effects == {("told", "taken_back"), ("open", "moves")}
        assert {row["version_to"] for row in foreseen} == {(await versions(here))[0]}
        await said(here, "apply", "--recount-only", "--apply", "--reason", "outage", "--kind", "ticket", "--wait")
        await here.published(2)
    assert await here.types() == ["sla.clock.breached.v1", "sla.breach.retracted.v1"]
    assert {record.event.item for record in await here.plant.published()} == {"default/ticket/told"}


async def test_what_an_exclusion_covers_does_not_breach_though_nobody_migrates(here: Site) -> None:
    async with running(here.service("one")):
        await here.send(ticket("covered", ago_s=60 * MINUTE - 15))
        await until(lambda: here.plant.has_folded(1), "the ticket")
        await changed(here, excluding(40 * MINUTE, 20 * MINUTE))
        await here.send(
            ticket("other", ago_s=81 * MINUTE)
        )  # is due by now with the 20 minutes, and so can be waited for
        await here.published(1)

        async def is_folded_anew() -> bool:
            return (await states(here))["covered"].exclusions != ""

        await until(is_folded_anew, "the deadline to come up", within_s=30)
    assert [record.event.item for record in await here.plant.published()] == ["default/ticket/other"]


async def _events(here: Site, count: int) -> bool:
    async with here.plant.database.raw("read migrations") as connection:
        found = await connection.fetchval("SELECT max((counts ->> 'events')::int) FROM timer.migration")
    return (found or 0) >= count
