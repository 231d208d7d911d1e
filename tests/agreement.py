"""What was published against what should have been: repeats, gaps, and all that was told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import msgspec

from shared.events import BreachEvent


class Told(Protocol):
    """What both a record of the breach topic and an output of the ledger have."""

    @property
    def type(self) -> str:
        """The type of the event."""

    @property
    def event(self) -> BreachEvent:
        """Its data."""


class Record(Told, Protocol):
    """A record of the breach topic."""

    @property
    def event_id(self) -> str:
        """The id of the CloudEvent."""

    @property
    def value(self) -> bytes:
        """Its bytes."""


AnyRecord = TypeVar("AnyRecord", bound=Record)


def without_repeats(published: Iterable[AnyRecord]) -> list[AnyRecord]:
    """Each event once, those of an item in their order.

    Raises:
        AssertionError: one was told twice in different words.
    """
    seen: dict[str, AnyRecord] = {}
    for record in published:
        first = seen.setdefault(record.event_id, record)
        assert first.value == record.value, (
            f"{record.event.item} was told differently: {first.value!r} {record.value!r}"
        )
    return sorted(seen.values(), key=lambda record: (record.event.item, record.event.sequence))


def assert_no_gaps(distinct: Iterable[Told]) -> None:
    """The sequence of each item counts from 1 without a gap.

    Raises:
        AssertionError: names the item of which something is missing.
    """
    sequences: dict[str, list[int]] = {}
    for record in distinct:
        sequences.setdefault(record.event.item, []).append(record.event.sequence)
    for item, found in sequences.items():
        assert sorted(found) == list(range(1, len(found) + 1)), item


def told(records: Iterable[Told]) -> Counter[str]:
    """All that is told, but for when it was detected and which of several facts of one instant came first."""
    return Counter(_comparable(record.type, record.event) for record in records)


def assert_same(found: Iterable[str], expected: Iterable[str], what: str) -> None:
    """Two collections hold the same texts, each as often; in any order.

    Raises:
        AssertionError: shows the first that are missing, and that are too many.
    """
    have, want = Counter(found), Counter(expected)
    missing, extra = sorted((want - have).elements()), sorted((have - want).elements())
    assert not missing and not extra, (  # noqa: PT018 # one message shows both
        f"{what}: {len(missing)} missing, {len(extra)} too many\n  missing: "
        + "\n  missing: ".join(missing[:5])
        + "\n  too many: "
        + "\n  too many: ".join(extra[:5])
    )


def _comparable(event_type: str, event: Any) -> str:
    fields = msgspec.to_builtins(event)
    for name in ("detected_at", "evidence_through", "sequence"):
        del fields[name]
    return event_type + json.dumps(fields, sort_keys=True)
