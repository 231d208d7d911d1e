"""A receiver that is no more is left alone by every process, and others are told in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from services.notifier import routes_file
from services.notifier.delivery import ChannelName, Delivery, Outcome
from services.notifier.diverter import AWAY_S, LOOK_S, Bells, Diverter
from services.notifier.endpoint_store import DIVERTED_AT_ONCE, Disabled, StandIn
from services.notifier.retry import SCHEDULE
from services.notifier.stand_in import stand_in
from services.notifier.switchboard import Switchboard
from shared.errors import BadDocument, Unavailable
from shared.events import Instant
from shared.metrics import Metrics
from tests.factories import DUE

FILE = """
receivers: {a: {console: {}}, b: {console: {}}, c: {console: {}}}
routes: [{match: {type: breached}, receivers: [a], name: x, continue: true}, {receivers: [b, c], name: y}]
"""
ROUTES = routes_file.parse(FILE, "notify.yaml")


@pytest.mark.parametrize(
    ("fallback", "gone", "disabled", "expected"),
    [
        ("c", "a", (), "c"),
        (None, "a", (), "b"),  # who hears of the rest
        (None, "b", (), "c"),  # another of them
        ("c", "c", (), "b"),  # the fallback itself is gone
        ("c", "a", ("c",), "b"),
        ("c", "a", ("b", "c"), None),  # nobody is left
    ],
)
def test_who_is_told_instead(fallback: str | None, gone: str, disabled: tuple[str, ...], expected: str | None) -> None:
    assert stand_in(replace(ROUTES, fallback=fallback), gone, {gone, *disabled}) == expected


def test_a_fallback_that_is_no_receiver_is_a_mistake() -> None:
    with pytest.raises(BadDocument, match=r"notify\.yaml:1: fallback: expected one of the receivers a, b, c, got 'd'"):
        routes_file.parse("fallback: d" + FILE, "notify.yaml")


def test_a_receiver_that_is_only_the_fallback_is_used() -> None:
    text = "receivers: {a: {console: {}}, b: {console: {}}}\nroutes: [{receivers: [a]}]\n"
    assert [each.field for each in routes_file.findings(routes_file.parse(text, "f"))] == ["receivers.b"]
    assert routes_file.findings(routes_file.parse(text + "fallback: b", "f")) == []


@dataclass(eq=False)
class Mouth:
    """A channel that is never asked."""

    name: ChannelName = "console"
    concurrency: int = 1

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        raise AssertionError


@dataclass
class Shelf:
    """What is disabled and how much waits, in memory; it is away as often as *away* says."""

    known: dict[str, Disabled] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)
    given_up: list[tuple[str, Instant]] = field(default_factory=list)
    away: int = 0

    async def disable(self, found: Sequence[Disabled]) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("the database does not answer")
        self.known |= {each.receiver: each for each in found}

    async def disabled(self) -> list[Disabled]:
        return list(self.known.values())

    async def enable(self, receiver: str, fingerprint: str | None = None) -> bool:
        return self.known.pop(receiver, None) is not None

    async def divert(self, gone: Disabled, to: StandIn, now: Instant) -> int:
        some = min(self.waiting.get(gone.receiver, 0), DIVERTED_AT_ONCE)
        self.waiting[gone.receiver] = self.waiting.get(gone.receiver, 0) - some
        self.told += [(gone.receiver, to.receiver)] * some
        return some

    async def give_up(self, gone: Disabled, before: Instant, now: Instant) -> int:
        self.given_up.append((gone.receiver, before))
        return 1


@dataclass
class Place:
    """A diverter and what surrounds it."""

    shelf: Shelf = field(default_factory=Shelf)
    board: Switchboard = field(
        default_factory=lambda: Switchboard(
            ROUTES, {name: Mouth() for name in "abc"}, fingerprints={name: f"to {name}" for name in "abc"}
        )
    )
    bells: Bells = field(default_factory=lambda: Bells(asyncio.Event(), asyncio.Event()))
    metrics: Metrics = field(default_factory=lambda: Metrics("1", "2026"))

    @property
    def diverter(self) -> Diverter:
        return Diverter(self.shelf, self.board, self.metrics, now=lambda: DUE, bells=self.bells)


async def test_a_receiver_that_is_gone_is_left_alone_at_once_and_by_all_from_then_on() -> None:
    here = Place()
    diverter = here.diverter
    diverter.gone("a", "410 Gone")
    assert here.board.disabled == {"a": "410 Gone"}
    assert here.bells.look.is_set()
    await diverter.round()
    assert here.shelf.known == {"a": Disabled("a", "to a", "410 Gone", DUE)}
    there = Place(here.shelf)
    await there.diverter.round()
    assert there.board.disabled == {"a": "410 Gone"}


async def test_another_is_told_what_waits_and_it_is_counted() -> None:
    here = Place(Shelf(waiting={"a": 3}))
    diverter = here.diverter
    diverter.gone("a", "410 Gone")
    assert await diverter.round() == LOOK_S
    assert here.shelf.told == [("a", "b")] * 3
    assert here.bells.deliver.is_set()
    text = here.metrics.exposition().decode()
    assert "sla_notifications_diverted_total 3.0" in text
    assert 'sla_notification_endpoints{state="disabled"} 1.0' in text


async def test_much_that_waits_is_told_without_a_pause() -> None:
    here = Place(Shelf(waiting={"a": DIVERTED_AT_ONCE + 1}))
    diverter = here.diverter
    diverter.gone("a", "410 Gone")
    assert [await diverter.round(), await diverter.round()] == [0.0, LOOK_S]
    assert len(here.shelf.told) == DIVERTED_AT_ONCE + 1


async def test_where_nobody_is_left_it_waits_as_long_as_any_delivery_does() -> None:
    here = Place(Shelf(waiting={"a": 3}))
    diverter = here.diverter
    for name in "abc":
        diverter.gone(name, "410 Gone")
    await diverter.round()
    assert here.shelf.told == []
    assert here.shelf.given_up == [(name, DUE - sum(SCHEDULE)) for name in "abc"]


async def test_a_receiver_that_the_file_leads_elsewhere_is_enabled_again() -> None:
    here = Place(Shelf({"a": Disabled("a", "to where it was", "410 Gone", DUE)}))
    here.board.disabled = {"a": "410 Gone"}
    await here.diverter.round()
    assert (here.board.disabled, here.shelf.known) == ({}, {})
    assert here.bells.deliver.is_set()


async def test_a_receiver_that_somebody_enabled_is_asked_again() -> None:
    here = Place()
    here.board.disabled = {"a": "410 Gone"}
    await here.diverter.round()
    assert here.board.disabled == {}
    assert here.bells.deliver.is_set()


async def test_what_the_file_does_not_name_any_more_stays_noted() -> None:
    found = Disabled("z", "to z", "410 Gone", DUE)
    here = Place(Shelf({"z": found}, waiting={"z": 3}))
    await here.diverter.round()
    assert (here.shelf.known, here.shelf.told) == ({"z": found}, [])


async def test_while_the_database_is_away_it_is_left_alone_all_the_same_and_stored_later() -> None:
    here = Place(Shelf(away=1))
    diverter = here.diverter
    diverter.gone("a", "410 Gone")
    assert await diverter.round() == AWAY_S
    assert (here.board.disabled, here.shelf.known) == ({"a": "410 Gone"}, {})
    await diverter.round()
    assert list(here.shelf.known) == ["a"]
