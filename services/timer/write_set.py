"""What one transaction of the timer writes: frozen as bytes before anything after it is folded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from shared.events import Headers, Instant


class ItemRow(NamedTuple):
    """The present state of an item, in the order of the table's columns."""

    partition: int
    key: str
    state: bytes
    ledger: bytes
    next_due: Instant | None
    clock_states: int
    quarantined: bool
    seen: bytes  # fingerprints of the events folded
    revision: int  # of the write set that wrote it
    retired: str  # ids of the clocks that late evidence removed, a space between them


class HistoryRow(NamedTuple):
    """The events of an item that one write set folded, in the order of the table's columns."""

    partition: int
    key: str
    revision: int
    events: bytes


class OutboxRow(NamedTuple):
    """A record to be published, in the order of the table's columns."""

    partition: int
    position: int
    topic: str
    key: bytes
    headers: bytes
    value: bytes | None

    @property
    def place(self) -> tuple[int, int]:
        """What tells it from all others: partition and position."""
        return self.partition, self.position


class Move(NamedTuple):
    """How a write set moves one partition; it holds only if the lease is as expected."""

    partition: int
    epoch: int
    revision: int  # expected; one more afterwards
    next_offset: int | None  # afterwards
    published_through: int
    items: int
    open_clocks: str  # JSON


class HeardRow(NamedTuple):
    """When something new of a source last arrived on a partition, in the order of the table's columns."""

    partition: int
    tenant: str
    source: str
    heard_at: Instant


class SourceRow(NamedTuple):
    """The habits of a source, in the order of the table's columns."""

    partition: int  # in whose outbox its silences go
    tenant: str
    source: str
    since: Instant
    latest: Instant
    minutes: bytes  # a bit for each minute, the lowest first
    reported: Instant | None  # the `latest` after which a silence was published last


class HearingRow(NamedTuple):
    """When everything could be heard, in the order of the table's columns."""

    partition: int
    through: Instant
    breaks: bytes


@dataclass(frozen=True, slots=True)
class WriteSet:
    """Rows and moves that are written together or not at all."""

    moves: tuple[Move, ...]  # in partition order
    items: tuple[ItemRow, ...] = ()
    history: tuple[HistoryRow, ...] = ()
    outbox: tuple[OutboxRow, ...] = ()
    # partition -> the first of the outbox positions that stay free behind it, one for each event in it
    free: Mapping[int, int] = field(default_factory=dict)
    rewritten: tuple[HistoryRow, ...] = ()  # each in place of all history rows that its item had
    heard: tuple[HeardRow, ...] = ()
    sources: tuple[SourceRow, ...] = ()
    hearings: tuple[HearingRow, ...] = ()
    removed: tuple[tuple[int, str], ...] = ()  # (partition, key) of each item that goes, and its history with it

    @property
    def expected(self) -> Mapping[int, tuple[int, int]]:
        """partition -> (epoch, revision) that its lease must have for this write set to be written."""
        return {move.partition: (move.epoch, move.revision) for move in self.moves}


_HEADERS = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


def pack_headers(headers: Headers) -> bytes:
    """Headers as they are stored."""
    return msgspec.msgpack.encode(headers)


def unpack_headers(packed: bytes) -> Headers:
    """The inverse of `pack_headers`."""
    return _HEADERS.decode(packed)
