"""Plans are read as long as the file asks for them, and what cannot be one is not looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from services.notifier.alerts.deciding import Hold
from services.notifier.customers import Customers
from services.notifier.matching import Conditions
from services.notifier.plan_watch import Handle, PlanWatch
from services.notifier.routing import Routes
from services.notifier.switchboard import Switchboard
from shared.errors import Unavailable
from shared.events import Instant
from shared.kafka.connection import Record
from shared.kafka.records import ReadRecord
from tests.factories import DUE

ASKED = Customers("when_planned", Conditions(), "mail", ("plan", "restore_at"))


@dataclass
class Kept:
    """A store that keeps what it is told in memory; *away* says how often it does not answer."""

    away: int = 0
    plans: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self, plans: Mapping[str, Mapping[str, Any]], now: Instant) -> None:
        self.plans |= plans

    async def tell(self, customers: Customers, hold: Hold, now: Instant) -> int:
        if self.away:
            self.away -= 1
            raise Unavailable("no database")
        self.told.set()
        return 1


def board(customers: Customers | None) -> Switchboard:
    return Switchboard(Routes("notify.yaml", {}, (), {}, customers=customers), {})


async def nothing(_handle: Handle, stop: asyncio.Event) -> None:
    await stop.wait()


def record(attributes: object, **changes: object) -> Record:
    event = {
        "specversion": "1.0",
        "id": "e1",
        "source": "/s",
        "type": "ticket.updated",
        "subject": "42",
        "time": "2026-01-05T12:00:00Z",
        "data": {"attributes": attributes},
        **changes,
    }
    return ReadRecord("sla.events.v1", 0, 0, 0, None, msgspec.json.encode(event), [])


@pytest.mark.parametrize(
    ("records", "plans"),
    [
        ([record({"plan": "soon", "note": "x"})], {"default/ticket/42": {"plan": "soon"}}),
        (
            [record({"plan": "soon"}), record({"restore_at": "15:00"}), record({"plan": "later"})],
            {"default/ticket/42": {"plan": "later", "restore_at": "15:00"}},
        ),
        ([record({"plan": None})], {}),  # taken back
        ([record({"note": "a plan"})], {}),  # only spoken of
        ([record({"plan": "soon"}, time="noon")], {}),  # no event at all
        ([record({"plan": "soon"}, type="ticket.eaten")], {}),
    ],
)
async def test_plans_are_what_items_have_in_the_attributes_of_one(
    records: list[Record], plans: dict[str, dict[str, str]]
) -> None:
    store = Kept()
    watch = PlanWatch(store, board(ASKED), nothing, now=lambda: DUE, wake=asyncio.Event())
    await watch.on_events(records)
    assert store.plans == plans


async def test_events_are_read_while_the_file_asks_for_plans_and_customers_are_told() -> None:
    store, wake, stop, reading = Kept(), asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def read(_handle: Handle, until: asyncio.Event) -> None:
        reading.set()
        await until.wait()

    watching = asyncio.create_task(PlanWatch(store, board(ASKED), read, now=lambda: DUE, wake=wake).run(stop))
    async with asyncio.timeout(20):
        await asyncio.gather(reading.wait(), wake.wait())
        stop.set()
        await watching


@pytest.mark.parametrize("customers", [None, Customers("immediately", Conditions(), "mail", ("plan",))])
async def test_without_being_asked_it_reads_nothing(customers: Customers | None) -> None:
    async def read(_handle: Handle, _until: asyncio.Event) -> None:
        raise AssertionError("nobody asked for plans")

    stop = asyncio.Event()
    watch = PlanWatch(Kept(), board(customers), read, now=lambda: DUE, wake=asyncio.Event())
    watching = asyncio.create_task(watch.run(stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(20):
        await watching


async def test_a_database_that_is_away_is_asked_again() -> None:
    store, stop = Kept(away=1), asyncio.Event()
    watch = PlanWatch(store, board(ASKED), nothing, now=lambda: DUE, wake=asyncio.Event())
    watching = asyncio.create_task(watch.run(stop))
    async with asyncio.timeout(20):
        await store.told.wait()
        stop.set()
        await watching
