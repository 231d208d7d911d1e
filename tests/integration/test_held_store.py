"""What is held, in a real PostgreSQL: released once by one process at a time, whole or not at all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select

from services.notifier.alerts.deciding import Decider
from services.notifier.delivery import Attempt, Delivery, Notice, Outcome
from services.notifier.grouping import Grouping
from services.notifier.held_store import HeldStore
from services.notifier.holding.rules import Rules
from services.notifier.http_side import router
from services.notifier.inhibition import Rule
from services.notifier.links import Links
from services.notifier.matching import Conditions
from services.notifier.pace import pace_of
from services.notifier.releaser import Ruling
from services.notifier.retry import Finished, Verdict
from services.notifier.store import Store
from services.notifier.tables import delivery
from shared.breach_records import BreachRecord
from shared.db import Database
from shared.events import SECOND, Instant
from shared.metrics import Metrics
from shared.web import Health, application
from tests.factories import DUE, breach

NUMBERS = count(1)
LINKS = Links("http://plazo", "a secret of more than thirty-two characters")
LEASE = 60 * SECOND
GROUPING = Grouping(("customer",), wait=30 * SECOND, interval=300 * SECOND)


class Desk:
    """A receiver that no other test has, and a notifier that goes by rules of its own."""

    def __init__(self, database: Database, **rules: Any) -> None:
        self.name = f"held-{next(NUMBERS)}"
        self.database = database
        self.store = Store(database, self.name, LINKS)
        self.held = HeldStore(database)
        self.ruling = Ruling(self.rules(**rules), Metrics("test", "test"), asyncio.Event())

    def rules(self, *, grouping: Grouping | None = None, pace: str | None = None, **rules: Any) -> Rules:
        groupings = {} if grouping is None else {self.name: grouping}
        return Rules(groupings=groupings, paces={} if pace is None else {self.name: pace_of(pace)}, **rules)

    def breach(self, number: int, **changes: Any) -> BreachRecord:
        fields = {"item": f"default/ticket/{self.name}-{number}", "clock_id": f"{self.name}-{number}", **changes}
        return breach(f"{self.name}-{number}-{fields.get('sequence', 1)}", **fields)

    async def remember(self, *records: BreachRecord, now: Instant = DUE) -> None:
        notice = Notice(self.name, self.name, "webhook", "it takes everything")
        decide = Decider(self.ruling.hold).on_event
        await self.store.remember([(each, [notice]) for each in records], now, decide, self.ruling)

    async def release(self, now: Instant = DUE) -> bool:
        return await self.held.release(self.name, self.ruling.rules, now) is not None

    async def claimed(self, now: Instant = DUE) -> Sequence[Delivery]:
        return await self.store.claim({self.name: 1000}, now, lease=LEASE)

    async def rows(self) -> Sequence[Any]:
        async with self.database.transaction("look") as connection:
            return (await connection.execute(select(delivery).where(delivery.c.receiver == self.name))).all()

    async def states(self) -> Counter[str]:
        return Counter(row.state for row in await self.rows())


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


async def test_what_is_held_is_not_sent_before_its_time_and_then_as_one(database: Database) -> None:
    desk = Desk(database, grouping=GROUPING)
    await desk.remember(*(desk.breach(n, attributes={"customer": "acme"}) for n in range(3)))
    assert await desk.states() == {"held": 3}
    await desk.release(DUE + 29 * SECOND)
    assert await desk.claimed(DUE + 29 * SECOND) == []
    await desk.release(DUE + 30 * SECOND)
    [told] = await desk.claimed(DUE + 30 * SECOND)
    assert (told.count, len(told.members), told.alert) == (3, 3, None)
    assert {each.id for each in told.members} == {desk.breach(n).id for n in range(3)}
    assert await desk.states() == {"digested": 3, "pending": 1}
    assert {row.digest_id for row in await desk.rows() if row.state == "digested"} == {told.id}


async def test_the_link_of_a_digest_lists_all_that_it_tells_of(database: Database) -> None:
    desk = Desk(database, grouping=GROUPING)
    await desk.remember(*(desk.breach(n, attributes={"customer": "acme"}) for n in range(25)))
    await desk.remember(desk.breach(99, attributes={"customer": "other"}))
    await desk.release(DUE + 30 * SECOND)
    [told] = [each for each in await desk.claimed(DUE + 30 * SECOND) if each.count > 1]
    assert told.listed_at is not None
    app = application(
        "test", [router(database, lambda: DUE + 60 * SECOND, LINKS)], Health(), Metrics("1", "2026"), None
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://plazo") as client:
        page = await client.get(told.listed_at)
        listed = (await client.get("/v1/deliveries", params={"digest": str(told.id)})).json()["deliveries"]
        foreign = await client.get(LINKS.to(told.id, desk.name, DUE).replace("/alerts/", "/digests/"))
        gone = await client.get(LINKS.of_digest(UUID(int=1), DUE))
    assert (page.status_code, foreign.status_code, gone.status_code) == (200, 404, 404)
    assert "25 alerts told together" in page.text
    assert all(f"{desk.name}-{number}<" in page.text for number in range(25))
    assert f"{desk.name}-99<" not in page.text
    assert "<form" not in page.text
    assert {each["item"] for each in listed} == {f"default/ticket/{desk.name}-{number}" for number in range(25)}


async def test_one_of_a_group_alone_is_sent_as_it_is(database: Database) -> None:
    desk = Desk(database, grouping=GROUPING)
    await desk.remember(desk.breach(1))
    await desk.release(DUE + 30 * SECOND)
    [told] = await desk.claimed(DUE + 30 * SECOND)
    assert (told.record.id, told.count, told.members) == (desk.breach(1).id, 1, ())


async def test_a_group_is_told_again_no_sooner_than_its_interval_allows(database: Database) -> None:
    desk = Desk(database, grouping=GROUPING)
    await desk.remember(desk.breach(1))
    first = DUE + 30 * SECOND
    await desk.release(first)
    await desk.remember(desk.breach(2), now=first)
    await desk.release(first + 30 * SECOND)
    assert (await desk.held.due(first + 30 * SECOND))[0].count(desk.name) == 0
    assert await desk.states() == {"pending": 1, "held": 1}
    await desk.release(first + GROUPING.interval)
    assert await desk.states() == {"pending": 2}


async def test_what_is_still_open_is_told_again_until_it_is_not(database: Database) -> None:
    desk = Desk(database, grouping=replace(GROUPING, repeat=3_600 * SECOND))
    await desk.remember(desk.breach(1), desk.breach(2))
    told = DUE + 30 * SECOND
    await desk.release(told)
    await desk.remember(desk.breach(2, sequence=2, event_type="sla.breach.stopped.v1"), now=told + SECOND)
    await desk.release(told + GROUPING.interval)
    again = told + GROUPING.interval + 3_600 * SECOND
    await desk.held.repeat(again)
    assert [(row.event_id, row.why) for row in await desk.rows() if row.state == "held"] == [
        (desk.breach(1).id, "still open")
    ]
    await desk.held.repeat(again)  # it is noted that it was looked at
    await desk.release(again)
    assert (await desk.states())["held"] == 0
    assert len([row for row in await desk.rows() if row.step is not None]) == 1


async def test_processes_share_the_rate_limit(database: Database) -> None:
    desk = Desk(database, pace="10/min")
    other = HeldStore(database)
    await desk.remember(*(desk.breach(n) for n in range(8)))
    await desk.release()
    await desk.remember(*(desk.breach(n) for n in range(8, 16)))
    await other.release(desk.name, desk.ruling.rules, DUE)
    # Eight as they are, then one more, and seven as one.
    assert await desk.states() == {"pending": 10, "digested": 7}
    await desk.remember(desk.breach(16))
    await desk.release()
    assert (await desk.states())["held"] == 1
    receivers, first = await desk.held.due(DUE + 5 * SECOND)
    assert desk.name not in receivers
    assert first is not None
    await desk.release(DUE + 6 * SECOND)
    assert (await desk.states())["pending"] == 11


async def test_processes_that_release_at_once_tell_everything_once(database: Database) -> None:
    desk = Desk(database, grouping=GROUPING)
    await desk.remember(*(desk.breach(n) for n in range(200)))
    now = DUE + 30 * SECOND
    await asyncio.gather(*(HeldStore(database).release(desk.name, desk.ruling.rules, now) for _ in range(4)))
    assert await desk.states() == {"digested": 200, "pending": 1}


async def test_a_release_that_fails_leaves_everything_as_it_was(database: Database) -> None:
    desk = Desk(database, grouping=GROUPING)
    await desk.remember(desk.breach(1), desk.breach(2))
    release = asyncio.create_task(desk.release(DUE + 30 * SECOND))
    await asyncio.sleep(0)
    release.cancel()
    await asyncio.gather(release, return_exceptions=True)
    if await desk.states() != {"digested": 2, "pending": 1}:  # the answer to a commit may have been lost
        assert await desk.states() == {"held": 2}
    await desk.release(DUE + 30 * SECOND)
    assert await desk.states() == {"digested": 2, "pending": 1}


async def test_a_digest_shows_the_worst_and_knows_how_many_there_are(database: Database) -> None:
    desk = Desk(database, grouping=GROUPING)
    await desk.remember(*(desk.breach(n, elapsed_s=14_400.0 + n) for n in range(30)))
    await desk.release(DUE + 30 * SECOND)
    [told] = await desk.claimed(DUE + 30 * SECOND)
    assert told.count == 30
    assert [each.id for each in told.members] == [desk.breach(n).id for n in range(29, 9, -1)]


async def test_a_breach_that_is_taken_back_while_it_waits_is_never_told(database: Database) -> None:
    desk = Desk(database, grouping=GROUPING)
    await desk.remember(desk.breach(1))
    await desk.remember(desk.breach(1, sequence=2, event_type="sla.breach.retracted.v1"), now=DUE + SECOND)
    await desk.release(DUE + 60 * SECOND)
    assert await desk.states() == {"superseded": 2}


async def test_groups_that_nobody_waits_for_are_forgotten(database: Database) -> None:
    desk = Desk(database, grouping=GROUPING)
    await desk.remember(desk.breach(1))
    await desk.release(DUE + 30 * SECOND)
    await desk.held.prune(DUE + 31 * SECOND)
    await desk.remember(desk.breach(2), now=DUE + 40 * SECOND)
    await desk.release(DUE + 70 * SECOND)  # its interval is not over: what was told is forgotten
    assert await desk.states() == {"pending": 2}


WARNING: Any = {"event_type": "sla.clock.warning.v1", "breach_id": None, "warning": "80%"}


def of_group(desk: Desk, number: int, **changes: Any) -> BreachRecord:
    return desk.breach(number, metric="resolution", attributes={"group": desk.name}, **changes)


def group_rule() -> Rule:
    resolution = Conditions({"metric": frozenset({"resolution"})})
    return Rule("group", resolution, Conditions({"type": frozenset({"warning"})}), ("group",))


async def test_a_breach_mutes_the_warnings_of_its_group_as_long_as_it_is_open(database: Database) -> None:
    desk = Desk(database, inhibit=(group_rule(),))
    await desk.remember(of_group(desk, 1))
    await desk.remember(of_group(desk, 2, **WARNING))
    await desk.remember(desk.breach(3, attributes={"group": "another"}, **WARNING))
    await desk.remember(of_group(desk, 1, event_type="sla.breach.stopped.v1", sequence=2), now=DUE + SECOND)
    await desk.remember(of_group(desk, 4, **WARNING), now=DUE + SECOND)
    states = {row.event_id: row.state for row in await desk.rows()}
    assert states == {
        f"{desk.name}-1-1": "pending",
        f"{desk.name}-2-1": "muted",
        f"{desk.name}-3-1": "pending",
        f"{desk.name}-1-2": "pending",
        f"{desk.name}-4-1": "pending",
    }


async def test_a_breach_mutes_also_the_warnings_that_are_remembered_with_it(database: Database) -> None:
    desk = Desk(database, inhibit=(group_rule(),))
    await desk.remember(of_group(desk, 2, **WARNING), of_group(desk, 1))
    assert await desk.states() == {"muted": 1, "pending": 1}


async def test_a_digest_that_was_sent_is_done(database: Database) -> None:
    desk = Desk(database, grouping=GROUPING)
    await desk.remember(desk.breach(1), desk.breach(2))
    await desk.release(DUE + 30 * SECOND)
    [told] = await desk.claimed(DUE + 30 * SECOND)
    made = Attempt(1, DUE, 20_000, Outcome("delivered", "200", 200))
    assert await desk.store.record([Finished(told, made, Verdict("delivered"))]) == []
    assert await desk.states() == {"digested": 2, "delivered": 1}
