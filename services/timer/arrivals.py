"""The events of a batch of records, item by item."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from services.timer.held import fingerprint
from shared.errors import BadRecord
from shared.events import Event
from shared.kafka.connection import Record
from shared.recounts import decode_event


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """An event, and the record that brought it."""

    event: Event
    record: Record
    mark: bytes  # the event's fingerprint


def arrival(event: Event, record: Record) -> Arrival:
    """An event with its fingerprint."""
    return Arrival(event, record, fingerprint(event))


def grouped(records: Sequence[Record], bury: Callable[[Record, BadRecord], None]) -> dict[str, list[Arrival]]:
    """key of an item -> what arrived of it, in order; records that hold no event are buried.

    An item that many events of a batch are about is then looked up, noted and packed once. Between items there is no
    order that counts.
    """
    found: dict[str, list[Arrival]] = {}
    for record in records:
        try:
            event = decode_event(record.headers, record.value)
        except BadRecord as exc:
            bury(record, exc)
            continue
        new = Arrival(event, record, fingerprint(event))
        key = event.item
        if key in found:
            found[key].append(new)
        else:
            found[key] = [new]
    return found
