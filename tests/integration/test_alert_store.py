"""Alerts in a real PostgreSQL: one a clock, its messages in order, and what a channel gave back for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest

from services.notifier.delivery import Attempt, Delivery, Notice, Outcome, alert_id
from services.notifier.retry import Finished, Verdict
from services.notifier.store import Store
from shared.breach_records import BreachRecord
from shared.db import Database
from shared.events import SECOND, BreachType
from tests.factories import DUE, breach, silence

WARNING: BreachType = "sla.clock.warning.v1"
BREACHED: BreachType = "sla.clock.breached.v1"
STOPPED: BreachType = "sla.breach.stopped.v1"
RETRACTED: BreachType = "sla.breach.retracted.v1"
NUMBERS = count(1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, "notifier-1")


class Clock:
    """A clock of an item that no other test has, and the receiver that hears of it."""

    def __init__(self, store: Store) -> None:
        self.name = f"clock-{next(NUMBERS)}"
        self.store = store
        self._sequence = count(1)

    def event(self, event_type: BreachType, **changes: Any) -> BreachRecord:
        number = next(self._sequence)
        item = f"default/ticket/{self.name}"
        return breach(f"{self.name}-{number}", event_type, DUE + number, item=item, sequence=number, **changes)

    async def hears(self, *events: BreachRecord) -> None:
        """Let the events be remembered in one transaction, each for the team."""
        await self.store.remember([(each, [self.notice]) for each in events], DUE)

    @property
    def notice(self) -> Notice:
        return Notice("all", self.name, "webhook", "because")

    async def claimed(self) -> list[Delivery]:
        return await self.store.claim({self.name: 10}, DUE + SECOND, lease=60 * SECOND)

    async def finish(self, delivery: Delivery, result: Any = "delivered", handle: str | None = None) -> None:
        """Record an attempt, after which a delivery that is tried again is due at once."""
        verdict = Verdict("delivered") if result == "delivered" else Verdict("pending", DUE)
        outcome = Outcome(result, "said", handle=handle)
        await self.store.record([Finished(delivery, Attempt(delivery.attempts + 1, DUE, 1, outcome), verdict)])


@pytest.fixture
def clock(store: Store) -> Clock:
    return Clock(store)


def kinds(deliveries: list[Delivery]) -> list[str]:
    return [each.record.type for each in deliveries]


async def test_a_delivery_shows_the_alert_as_it_stands_when_it_is_taken_up(clock: Clock) -> None:
    warning, broken = clock.event(WARNING, breach_id=None), clock.event(BREACHED)
    await clock.hears(warning)
    [taken] = await clock.claimed()
    assert taken.alert is not None
    assert (taken.alert.id, taken.alert.standing) == (alert_id(warning), "warning")
    await clock.finish(taken)
    await clock.hears(broken)
    [taken] = await clock.claimed()
    assert taken.alert is not None
    assert (taken.alert.id, taken.alert.standing, taken.alert.acknowledged_by) == (alert_id(warning), "open", None)


async def test_a_silence_is_about_no_alert(store: Store, clock: Clock) -> None:
    await store.remember([(silence(clock.name, tenant=clock.name), [clock.notice])], DUE)
    [taken] = await clock.claimed()
    assert taken.alert is None


async def test_a_warning_that_was_not_sent_gives_way_to_the_breach(clock: Clock) -> None:
    await clock.hears(clock.event(WARNING))
    await clock.hears(clock.event(BREACHED))
    assert kinds(await clock.claimed()) == [BREACHED]


async def test_a_warning_and_its_breach_that_come_together_are_one_message(clock: Clock) -> None:
    await clock.hears(clock.event(WARNING), clock.event(BREACHED))
    assert kinds(await clock.claimed()) == [BREACHED]


async def test_what_comes_later_waits_until_what_is_ahead_of_it_is_over(clock: Clock) -> None:
    await clock.hears(clock.event(BREACHED), clock.event(STOPPED))
    [first] = await clock.claimed()
    assert first.record.type == BREACHED
    assert await clock.store.next_due([clock.name]) is None  # nobody need look before that one is over
    await clock.finish(first, "retry")
    [again] = await clock.claimed()
    assert again.id == first.id
    await clock.finish(again)
    assert kinds(await clock.claimed()) == [STOPPED]


async def test_a_warning_that_is_being_sent_is_not_overtaken(clock: Clock) -> None:
    await clock.hears(clock.event(WARNING))
    [warning] = await clock.claimed()
    await clock.hears(clock.event(BREACHED))
    assert await clock.claimed() == []
    await clock.finish(warning)
    assert kinds(await clock.claimed()) == [BREACHED]


async def test_of_a_breach_that_was_taken_back_before_it_was_sent_nobody_hears(clock: Clock) -> None:
    await clock.hears(clock.event(BREACHED))
    await clock.hears(clock.event(RETRACTED))
    assert await clock.claimed() == []


async def test_a_breach_that_was_taken_up_is_taken_back_after_it(clock: Clock) -> None:
    await clock.hears(clock.event(BREACHED))
    [taken] = await clock.claimed()
    await clock.hears(clock.event(RETRACTED))
    await clock.finish(taken)
    assert kinds(await clock.claimed()) == [RETRACTED]


async def test_the_next_message_of_an_alert_gets_what_the_channel_gave_back_for_the_one_before(clock: Clock) -> None:
    await clock.hears(clock.event(BREACHED))
    [first] = await clock.claimed()
    assert first.handle is None
    await clock.finish(first, handle="ts-1")
    await clock.hears(clock.event(STOPPED))
    [second] = await clock.claimed()
    assert second.handle == "ts-1"


async def test_events_that_are_remembered_at_once_by_two_processes_are_one_alert(store: Store, clock: Clock) -> None:
    events = [clock.event(BREACHED), clock.event(STOPPED)]
    await asyncio.gather(*(clock.hears(*events) for _ in range(4)))
    [first] = await clock.claimed()
    await clock.finish(first)
    [second] = await clock.claimed()
    assert (first.record, second.record) == tuple(events)
    assert second.alert is not None
    assert second.alert.standing == "ended"
