"""What of the timer's records goes to the dead letters, and what of them must not."""

from __future__ import annotations

from dataclasses import dataclass

from services.timer.scrubbing import bare
from shared.events import Event, Headers
from shared.kafka.connection import Record
from shared.recounts import encode_event


@dataclass(slots=True)
class EventRecord:
    """A record made anew from the event that it brought."""

    topic: str
    partition: int
    offset: int  # -1 where it is no longer known
    timestamp: int  # ms since the epoch
    key: bytes | None
    value: bytes | None
    headers: Headers


def folded_record(event: Event, topic: str, partition: int) -> EventRecord:
    """The record of an event that was folded; where exactly it was read is no longer known."""
    key, value, headers = encode_event(event)
    return EventRecord(topic, partition, -1, event.time // 1000, key, value, headers)


def bare_record(record: Record, event: Event) -> EventRecord:
    """The record in the place of *record* that would have brought the event without its attributes."""
    key, value, headers = encode_event(bare(event))
    return EventRecord(record.topic, record.partition, record.offset, record.timestamp, key, value, headers)
