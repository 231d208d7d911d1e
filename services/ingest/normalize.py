"""From a record of any source to canonical events. PURE.

A source is one module in `sources/` and one row in SOURCES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.ingest.sources import canonical
from shared.cloudevents import Tenancy
from shared.errors import BadRecord
from shared.events import Event, Headers, Instant, rfc3339

PART_HEADERS: Final = (("content-type", b"application/cloudevents+json"),)


class Source(NamedTuple):
    """How the records of one format are read. Both functions are pure, and raise BadRecord."""

    read: Callable[[Headers, bytes, Tenancy], list[Event]]
    # The parts of a record that stand for themselves, each a structured CloudEvent; None where it is one thing.
    split: Callable[[Headers, bytes], list[bytes] | None] = lambda _headers, _value: None


SOURCES: Final[Mapping[str, Source]] = {
    "canonical": Source(canonical.read, canonical.split),
}


class Unusable(NamedTuple):
    """A record, or one part of it, that cannot be used, and why."""

    error: BadRecord
    part: bytes | None = None  # None: all of the record
    position: int | None = None  # which part, from 0
    of: int = 1  # of how many


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of the records of a topic before they are read."""

    format: str  # a key of SOURCES
    tenancy: Tenancy
    largest: int  # bytes of a value

    @property
    def passes(self) -> bool:
        """Whether its events may be such that they go on as they come."""
        return self.format == "canonical"


def normalize(headers: Headers, value: bytes | None, origin: Origin, *, latest: Instant) -> list[Event | Unusable]:
    """The canonical events of a record, in its order, and in their places what of it cannot be used.

    *latest* is the last instant at which an event can have happened: now, and the skew of clocks that is tolerated.
    """
    if value is None:
        return [Unusable(BadRecord("undecodable", "the record has no value"))]
    source = SOURCES[origin.format]
    try:
        parts = source.split(headers, value) if len(value) <= origin.largest else None
    except BadRecord as exc:
        return [Unusable(exc)]
    if parts is None:
        return _read(source, headers, value, origin=origin, latest=latest)
    found: list[Event | Unusable] = []
    for position, part in enumerate(parts):
        read = _read(source, PART_HEADERS, part, origin=origin, latest=latest)
        found += [
            one._replace(part=part, position=position, of=len(parts)) if isinstance(one, Unusable) else one
            for one in read
        ]
    return found


def read_structured(value: bytes, origin: Origin, *, latest: Instant) -> Event | Unusable:
    """The event in one structured CloudEvent; a batch is not taken apart."""
    (found,) = _read(SOURCES["canonical"], PART_HEADERS, value, origin=origin, latest=latest)
    return found


def _read(source: Source, headers: Headers, value: bytes, *, origin: Origin, latest: Instant) -> list[Event | Unusable]:
    if len(value) > origin.largest:
        return [Unusable(BadRecord("too_large", f"expected at most {origin.largest} bytes, got {len(value)}"))]
    try:
        events = source.read(headers, value, origin.tenancy)
    except BadRecord as exc:
        return [Unusable(exc)]
    for event in events:
        if event.time > latest:
            return [_in_time(each, latest) for each in events]
    return events  # type: ignore[return-value]  # not copied, because nearly all records come this way


def _in_time(event: Event, latest: Instant) -> Event | Unusable:
    if event.time <= latest:
        return event
    message = f"expected a time until {rfc3339(latest)}, got {rfc3339(event.time)}: is the clock of its source right?"
    return Unusable(BadRecord("clock_skew", message, "time"))
