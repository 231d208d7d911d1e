"""Steps of escalations in a real PostgreSQL: each once, whoever takes it, and whatever is in its way."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count

import pytest

from services.notifier.alerts.deciding import Chosen, Decider, Decision
from services.notifier.alerts.escalation import Escalation, Step
from services.notifier.alerts.standing import StandingAlert
from services.notifier.delivery import Attempt, Delivery, Outcome
from services.notifier.escalation_store import EscalationStore
from services.notifier.escalator import Escalator
from services.notifier.retry import Finished, Verdict
from services.notifier.store import Store
from shared.breach_records import BreachRecord
from shared.db import Database
from shared.errors import Unavailable
from shared.events import SECOND, BreachType, Instant
from shared.failpoints import STATUS
from shared.metrics import Metrics
from tests.factories import DUE, breach

MINUTE = 60 * SECOND
NUMBERS = count(1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


class Clock:
    """A clock whose breach is told to `lead` after 30 minutes, and to `boss` after 60; receivers of its own."""

    def __init__(self, database: Database) -> None:
        name = f"clock-{next(NUMBERS)}"
        self.name, self.lead, self.boss = name, f"{name}-lead", f"{name}-boss"
        self.store, self.steps = Store(database, "notifier-1"), EscalationStore(database)
        steps = (Step("+30m", (self.lead,), 30 * MINUTE), Step("+1h", (self.boss,), 60 * MINUTE))
        self.decider = Decider(
            escalations={"standard": Escalation("standard", steps)},
            choose=lambda _record: Chosen("all", "standard"),
            channels={self.lead: "console", self.boss: "console"},
        )

    async def hears(self, event_type: BreachType, number: int = 1, at: Instant = DUE) -> BreachRecord:
        found = breach(f"{self.name}-{number}", event_type, at, item=f"default/ticket/{self.name}", sequence=number)
        await self.store.remember([(found, [])], at, self.decider.on_event)
        return found

    async def take(self, now: Instant) -> list[tuple[str, ...]]:
        return [each.steps for each in await self.steps.take(self.decider.on_step, now)]

    async def claimed(self, receiver: str, now: Instant) -> list[Delivery]:
        return await self.store.claim({receiver: 10}, now, lease=60 * SECOND)


@pytest.fixture
async def clock(database: Database) -> AsyncIterator[Clock]:
    """A clock of which no step is left when its test ends: the tests share the tables."""
    made = Clock(database)
    yield made
    await made.steps.take(lambda _record, alert, _now: Decision(alert), DUE + 10**15)


BREACHED: BreachType = "sla.clock.breached.v1"
STOPPED: BreachType = "sla.breach.stopped.v1"


async def test_a_step_is_taken_when_it_is_due_and_once(clock: Clock) -> None:
    record = await clock.hears(BREACHED)
    assert await clock.steps.next_due() == DUE + 30 * MINUTE
    assert await clock.take(DUE + 30 * MINUTE - 1) == []
    assert await clock.take(DUE + 30 * MINUTE) == [("+30m",)]
    assert await clock.take(DUE + 31 * MINUTE) == []
    assert await clock.steps.next_due() == DUE + 60 * MINUTE
    [told] = await clock.claimed(clock.lead, DUE + 30 * MINUTE)
    assert (told.record, told.step, told.route, told.reason) == (record, "+30m", "all", "escalation standard: +30m")


async def test_processes_that_take_steps_at_once_take_each_once(clock: Clock) -> None:
    await clock.hears(BREACHED)
    taken = await asyncio.gather(*(clock.take(DUE + 30 * MINUTE) for _ in range(4)))
    assert [steps for some in taken for steps in some] == [("+30m",)]


async def test_what_fails_before_it_is_stored_is_taken_again(clock: Clock) -> None:
    await clock.hears(BREACHED)

    def failing(record: BreachRecord, alert: StandingAlert, now: Instant) -> Decision:
        clock.decider.on_step(record, alert, now)
        raise Unavailable("the process ends here")

    with pytest.raises(Unavailable):
        await clock.steps.take(failing, DUE + 30 * MINUTE)
    assert await clock.claimed(clock.lead, DUE + DUE) == []
    assert await clock.take(DUE + 30 * MINUTE) == [("+30m",)]


async def test_an_end_leaves_no_step_and_reaches_whoever_heard_of_it(clock: Clock) -> None:
    await clock.hears(BREACHED)
    await clock.take(DUE + 30 * MINUTE)
    [told] = await clock.claimed(clock.lead, DUE + 30 * MINUTE)
    outcome = Attempt(1, DUE, 1, Outcome("delivered", "ok"))
    await clock.store.record([Finished(told, outcome, Verdict("delivered"))])
    await clock.hears(STOPPED, 2, DUE + 40 * MINUTE)
    assert await clock.steps.next_due() is None
    assert [each.record.type for each in await clock.claimed(clock.lead, DUE + 40 * MINUTE)] == [STOPPED]
    assert await clock.claimed(clock.boss, DUE + 90 * MINUTE) == []


async def test_an_alert_whose_events_are_forgotten_takes_no_steps(clock: Clock) -> None:
    await clock.hears(BREACHED)
    await clock.store.prune(DUE + 1)
    assert await clock.take(DUE + 90 * MINUTE) == []
    assert await clock.steps.next_due() is None


async def test_the_escalator_takes_steps_and_wakes_whoever_sends(clock: Clock) -> None:
    await clock.hears(BREACHED)
    wake, stop, metrics = asyncio.Event(), asyncio.Event(), Metrics("1", "2026")
    escalator = Escalator(clock.steps, clock, lambda: DUE + 90 * MINUTE, metrics=metrics, wake=wake)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(escalator.run(stop))
        await wake.wait()
        stop.set()
    assert len(await clock.claimed(clock.boss, DUE + 90 * MINUTE)) == 1
    assert "sla_escalation_steps_total 2.0" in metrics.exposition().decode()


async def test_alerts_are_counted_by_how_they_stand(clock: Clock) -> None:
    before = await clock.store.standing(DUE)
    await clock.hears(BREACHED)
    assert (await clock.store.standing(DUE)).get("open", 0) == before.get("open", 0) + 1


DYING = """
import asyncio, sys
from services.notifier.alerts.deciding import Decider
from services.notifier.alerts.escalation import Escalation, Step
from services.notifier.escalation_store import EscalationStore
from shared import failpoints
from shared.db import Database

async def main(url, name, fault, now):
    failpoints.arm(failpoints.parse(fault))
    steps = tuple(Step(f"+{minutes}m", (name,), minutes * 60_000_000) for minutes in (30, 60, 90))
    decider = Decider(escalations={"standard": Escalation("standard", steps)}, channels={name: "console"})
    while await EscalationStore(Database(url)).take(decider.on_step, int(now)):
        pass

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("fault", ["before_commit", "after_commit"])
async def test_a_process_that_is_killed_between_two_steps_leaves_each_to_be_taken_once(
    clock: Clock, database_url: str, fault: str
) -> None:
    steps = tuple(Step(f"+{minutes}m", (clock.lead,), minutes * MINUTE) for minutes in (30, 60, 90))
    clock.decider = replace(clock.decider, escalations={"standard": Escalation("standard", steps)})
    await clock.hears(BREACHED)
    for minutes in (30, 60, 90):
        now = DUE + minutes * MINUTE
        arguments = (sys.executable, "-c", DYING, database_url, clock.lead, fault, str(now))
        dying = await asyncio.create_subprocess_exec(*arguments)
        async with asyncio.timeout(60):
            assert await dying.wait() == STATUS
        assert await clock.take(now) == ([(f"+{minutes}m",)] if fault == "before_commit" else [])
        [told] = await clock.claimed(clock.lead, now)
        assert told.step == f"+{minutes}m"
        made = Attempt(1, now, 1, Outcome("delivered", "ok"))
        await clock.store.record([Finished(told, made, Verdict("delivered"))])
