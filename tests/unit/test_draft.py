"""What a write set publishes: a breach always fits into a record."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.timer.announcement import Output
from services.timer.arrivals import arrival
from services.timer.draft import Draft
from services.timer.held import Held
from services.timer.holdings import SOURCES_MOST, Holding
from services.timer.write_set import HeardRow
from shared.events import SECOND, BreachEvent, CountedSpan, Recount
from shared.kafka.connection import MAX_RECORD_BYTES
from tests.factories import DUE, breach_event, ticket_event
from tests.fakes import FakeRecord

ITEM = "default/ticket/42"
SPAN = CountedSpan("2026-01-05T08:00:00Z", "2026-01-05T12:00:00Z", "running", 14_400.0)


def published(**changes: Any) -> BreachEvent:
    """The event as it stands in the outbox."""
    draft, holding = Draft("sla.breaches.v1"), Holding(0, 1, revision=0, next_offset=0)
    event = breach_event(**changes)
    draft.publish(holding, Held(ITEM), Output("id", "sla.clock.breached.v1", DUE, event))
    write_set, _ = draft.freeze()
    [row] = write_set.outbox
    assert row.value is not None
    assert len(row.value) <= MAX_RECORD_BYTES
    return msgspec.json.decode(row.value, type=BreachEvent)


@pytest.mark.parametrize(
    ("attributes", "kept", "explained"),
    [
        ({"priority": "high"}, {"priority"}, True),
        ({"priority": "high", "body": "x" * (MAX_RECORD_BYTES - 2_000)}, {"priority", "body"}, False),
        ({"priority": "high", "body": "x" * MAX_RECORD_BYTES}, {"priority"}, False),  # grown by one patch after another
        ({f"field{n}": "x" * 900 for n in range(1_100)}, set(), False),
    ],
)
def test_a_breach_is_published_whatever_its_item_carries(
    attributes: dict[str, str], kept: set[str], explained: bool
) -> None:
    event = published(attributes=attributes, explanation=[SPAN] * 32)
    assert set(event.attributes) == kept
    assert bool(event.explanation) == explained


NOW = 60 * SECOND


def heard(holding: Holding, *arrivals: tuple[str, int]) -> tuple[HeardRow, ...]:
    """What a write set says about sources of which (name, timestamp in ms) arrived."""
    draft = Draft("sla.breaches.v1")
    draft.hear(
        holding, [arrival(ticket_event(source=name), FakeRecord(b"", timestamp=at)) for name, at in arrivals], NOW
    )
    write_set, _ = draft.freeze()
    assert not write_set.heard or write_set.moves  # it is written with its partition, or not at all
    return write_set.heard


def test_of_a_source_the_last_arrival_is_written_and_within_a_second_only_once() -> None:
    holding = Holding(3, 1, revision=0, next_offset=0)
    assert heard(holding, ("/a", 1_200), ("/b", 1_300), ("/a", 2_900)) == (
        HeardRow(3, "default", "/a", 2_000_000),
        HeardRow(3, "default", "/b", 1_000_000),
    )
    assert heard(holding, ("/a", 2_999), ("/b", 900)) == ()
    assert heard(holding, ("/a", 3_000)) == (HeardRow(3, "default", "/a", 3_000_000),)


@pytest.mark.parametrize("at_ms", [-1, 0, 60_001, 2**62])
def test_what_has_no_time_or_one_that_has_not_come_yet_arrives_now(at_ms: int) -> None:
    assert heard(Holding(0, 1, revision=0, next_offset=0), ("/a", at_ms)) == (HeardRow(0, "default", "/a", NOW),)


def test_of_a_flood_of_sources_the_rest_is_passed_over() -> None:
    holding = Holding(0, 1, revision=0, next_offset=0)
    assert len(heard(holding, *((f"/{n}", 1_000) for n in range(SOURCES_MOST + 10)))) == SOURCES_MOST
    assert heard(holding, ("/one-more", 5_000), ("/7", 5_000)) == (HeardRow(0, "default", "/7", 5_000_000),)


def test_what_plazo_writes_itself_is_no_source() -> None:
    draft = Draft("sla.breaches.v1")
    holding = Holding(0, 1, revision=0, next_offset=0)
    draft.hear(holding, [arrival(ticket_event(source="/plazo", recount=Recount()), FakeRecord(b""))], NOW)
    assert draft.freeze()[0].heard == ()
