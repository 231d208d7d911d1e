"""When it is proved that everything has been read: upstream by ingest, and behind it by every timer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.timer.completeness import Completeness
from services.timer.evidence import Gate
from services.timer.lease import Lease
from shared.configuration import Upstream
from shared.errors import Unavailable
from shared.kafka.connection import Place
from tests.fakes_timer import FakeBrokers, FakeLeases, Tables, Time

UPSTREAM = Place("tickets", 0)
OWN = [Place("events", number) for number in (0, 1)]


class Leases(FakeLeases):
    """Leases of which every look is followed by something."""

    after_a_look: Callable[[], Awaitable[None]] | None = None

    async def leases(self) -> list[Lease]:
        """Every lease as it was."""
        found = await super().leases()
        if self.after_a_look is not None:
            await self.after_a_look()
        return found


class Desk:
    """Brokers of which everything has been read."""

    def __init__(self) -> None:
        self.time = Time()
        self.brokers = FakeBrokers({UPSTREAM: 10, OWN[0]: 5, OWN[1]: 0}, {UPSTREAM: 10})
        self.tables = Tables(self.time, 2)
        self.tables.leases[0].next_offset = 5
        self.stop = asyncio.Event()
        self.leases = Leases(self.tables)
        gate = Gate(self.brokers, [Upstream(topic="tickets")], group="ingest", events_topic="events")
        self.completeness = Completeness(gate, self.leases, self.time, looks_s=(0.0, 0.0))


async def test_what_was_held_when_it_was_asked_for_has_been_read() -> None:
    desk = Desk()
    assert await desk.completeness.proved(desk.stop) == desk.time()


@pytest.mark.parametrize(
    ("place", "held"),
    [
        (UPSTREAM, 11),  # ingest has not read the last one
        (OWN[0], 6),  # a timer has not folded the last one
        (OWN[1], 1),  # of this partition nothing was ever folded
    ],
)
async def test_while_something_is_not_read_nothing_is_proved(place: Place, held: int) -> None:
    desk = Desk()
    desk.brokers.held[place] = held
    assert await desk.completeness.proved(desk.stop) is None


async def test_what_is_read_soon_is_waited_for_and_the_proof_is_of_the_time_before() -> None:
    desk = Desk()
    desk.brokers.held[OWN[0]] = 6
    asked = desk.time()

    async def fold_the_last_one() -> None:
        desk.time.pass_s(3)
        desk.tables.leases[0].next_offset = 6

    desk.leases.after_a_look = fold_the_last_one
    assert await desk.completeness.proved(desk.stop) == asked < desk.time()


async def test_brokers_that_do_not_answer_prove_nothing() -> None:
    desk = Desk()
    desk.brokers.down = Unavailable("no answer")
    assert await desk.completeness.proved(desk.stop) is None


async def test_an_ingest_that_never_committed_proves_nothing() -> None:
    desk = Desk()
    desk.brokers.read.clear()
    assert await desk.completeness.proved(desk.stop) is None


async def test_a_stop_ends_the_wait() -> None:
    desk = Desk()
    desk.brokers.held[UPSTREAM] = 11
    desk.stop.set()
    assert await desk.completeness.proved(desk.stop) is None
