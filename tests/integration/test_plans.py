"""Plans that are recorded after a breach, in a real PostgreSQL: the customer is told once, whenever the plan comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from services.notifier.alerts.deciding import Decider, at_once
from services.notifier.customers import CUSTOMERS, Customers
from services.notifier.delivery import Delivery, Notice
from services.notifier.matching import Conditions
from services.notifier.plan_store import KEPT, PlanStore
from services.notifier.routing import Routes, route
from services.notifier.store import Store
from shared.breach_records import BreachRecord, PublishedRecord
from shared.db import Database
from shared.events import SECOND, BreachType
from tests.factories import DUE, breach

ASKED = Customers("when_planned", Conditions(), "mail", ("plan", "restore_at"))
NUMBERS = count(1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def item() -> str:
    """An item that no other test has: they share the tables."""
    return f"default/ticket/planned-{next(NUMBERS)}"


def broken(item: str, number: int = 1, **changes: Any) -> BreachRecord:
    fields: dict[str, Any] = {
        "item": item,
        "clock_id": f"{item[-9:]}-clock",
        "attributes": {"mail": "ana@example.com"},
        **changes,
    }
    return breach(f"{item}-{number}", sequence=number, **fields)


async def publish(database: Database, *records: PublishedRecord) -> None:
    routes = Routes("notify.yaml", {}, (), {}, customers=ASKED)
    store = Store(database, "notifier-1")
    await store.remember([(each, route(routes, each, DUE)) for each in records], DUE, Decider().on_event)


async def told(database: Database, item: str) -> Sequence[Delivery]:
    """What the customer of *item* is told; claimed deliveries of others are given back."""
    store = Store(database, "notifier-1")
    found = await store.claim({CUSTOMERS: 100}, DUE + SECOND, lease=60 * SECOND)
    await store.release([each for each in found if each.record.key != item])
    return [each for each in found if each.record.key == item]


async def test_a_plan_that_comes_after_the_breach_is_told_once(database: Database, item: str) -> None:
    plans = PlanStore(database)
    await publish(database, broken(item))
    assert await plans.tell(ASKED, at_once, DUE) == 0
    await plans.keep({item: {"plan": "soon"}}, DUE)
    await plans.keep({item: {"restore_at": "15:00"}}, DUE)
    assert [await plans.tell(ASKED, at_once, DUE) for _ in range(2)] == [1, 0]
    (delivery,) = await told(database, item)
    assert isinstance(delivery.record, BreachRecord)
    assert delivery.record.data.attributes == {"mail": "ana@example.com", "plan": "soon", "restore_at": "15:00"}
    assert delivery.reason == "customers, at mail: there is a plan, in plan"


async def test_a_plan_that_is_read_before_its_breach_waits_for_it(database: Database, item: str) -> None:
    plans = PlanStore(database)
    await plans.keep({item: {"plan": "soon"}}, DUE)
    assert await plans.tell(ASKED, at_once, DUE) == 0
    await publish(database, broken(item))
    assert await plans.tell(ASKED, at_once, DUE) == 1


async def test_a_plan_that_is_too_old_is_forgotten(database: Database, item: str) -> None:
    plans = PlanStore(database)
    await publish(database, broken(item))
    await plans.keep({item: {"plan": "soon"}}, DUE)
    assert await plans.tell(ASKED, at_once, DUE + KEPT + 1) == 0


async def test_whoever_was_told_of_a_plan_hears_of_the_end(database: Database, item: str) -> None:
    plans = PlanStore(database)
    await publish(database, broken(item))
    await plans.keep({item: {"plan": "soon"}}, DUE)
    await plans.tell(ASKED, at_once, DUE)
    stopped = broken(item, 2, stopped_at="2026-01-05T13:00:00Z")
    await publish(database, BreachRecord(stopped.id, "sla.breach.stopped.v1", stopped.time, stopped.data))
    assert sorted(each.record.type for each in await told(database, item)) == [
        "sla.breach.stopped.v1",
        "sla.clock.breached.v1",
    ]


@pytest.mark.parametrize(
    "records",
    [
        # nobody to tell
        [("sla.clock.breached.v1", {"attributes": {}})],
        # nothing is broken yet
        [("sla.clock.warning.v1", {"breach_id": None})],
        # it is over
        [("sla.clock.breached.v1", {}), ("sla.breach.stopped.v1", {})],
        # it was told at the breach
        [("sla.clock.breached.v1", {"attributes": {"mail": "ana@example.com", "plan": "then"}})],
    ],
)
async def test_a_plan_without_an_open_breach_to_tell_of_tells_nothing(
    database: Database, item: str, records: list[tuple[BreachType, dict[str, Any]]]
) -> None:
    made = [(kind, broken(item, number, **changes)) for number, (kind, changes) in enumerate(records, start=1)]
    await publish(database, *(BreachRecord(each.id, kind, each.time, each.data) for kind, each in made))
    plans = PlanStore(database)
    await plans.keep({item: {"plan": "soon"}}, DUE)
    assert await plans.tell(ASKED, at_once, DUE) == 0


async def test_what_a_silence_hides_waits_for_its_end(database: Database, item: str) -> None:
    def hidden(notice: Notice, *_: object) -> Notice:
        return replace(notice, state="silenced", why="maintenance")

    plans = PlanStore(database)
    await publish(database, broken(item))
    await plans.keep({item: {"plan": "soon"}}, DUE)
    assert [await plans.tell(ASKED, hold, DUE) for hold in (hidden, at_once)] == [0, 1]
