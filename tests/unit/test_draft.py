"""What a write set publishes: a breach always fits into a record."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.timer import ledger
from services.timer.announcement import Output
from services.timer.draft import Draft
from services.timer.fold import EMPTY
from services.timer.holdings import Held, Holding
from shared.events import BreachEvent, CountedSpan
from shared.kafka.connection import MAX_RECORD_BYTES
from tests.factories import DUE, breach_event

ITEM = "default/ticket/42"
SPAN = CountedSpan("2026-01-05T08:00:00Z", "2026-01-05T12:00:00Z", "running", 14_400.0)


def published(**changes: Any) -> BreachEvent:
    """The event as it stands in the outbox."""
    draft, holding = Draft("sla.breaches.v1"), Holding(0, 1, revision=0, next_offset=0)
    event = breach_event(**changes)
    draft.publish(holding, Held(ITEM, EMPTY, ledger.EMPTY), Output("id", "sla.clock.breached.v1", DUE, event))
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
