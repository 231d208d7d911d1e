"""A write set in the making: what has been folded or fired since the last one was frozen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from services.timer.arrivals import Arrival
from services.timer.held import Held
from services.timer.holdings import SOURCES_MOST, Holding, SourceName
from services.timer.ledger import Output
from services.timer.scrubbing import bare
from services.timer.write_set import (
    HeardRow,
    HearingRow,
    HistoryRow,
    ItemRow,
    Move,
    OutboxRow,
    SourceRow,
    WriteSet,
    pack_headers,
)
from shared.events import SECOND, BreachEvent, Event, Headers, Instant
from shared.kafka.connection import MAX_RECORD_BYTES
from shared.published import breach_headers

SHORT_BYTES: Final = 1_000  # an attribute up to which is kept where others are left out
_PACK = msgspec.msgpack.Encoder()
_JSON = msgspec.json.Encoder()


class _Part:
    """What is drafted of one holding: it is dropped with it, though the same partition may be held again by then."""

    __slots__ = ("deleted", "events", "heard", "hearings", "outbox", "removed", "sources", "touched")

    def __init__(self) -> None:
        self.touched: dict[str, Held] = {}
        self.events: dict[str, list[Event]] = {}
        self.outbox: list[OutboxRow] = []
        self.deleted: dict[str, Held] = {}
        self.heard: dict[SourceName, Instant] = {}
        self.sources: list[SourceRow] = []
        self.hearings: list[HearingRow] = []
        self.removed: list[str] = []


class Draft:
    """Collects touched items, their events and what is to be published; frozen as bytes in one go."""

    def __init__(self, breaches_topic: str) -> None:
        self._breaches_topic = breaches_topic
        self._parts: dict[Holding, _Part] = {}
        self.size = 0  # events, firings and items to be forgotten in it

    @property
    def touched(self) -> Iterator[tuple[Holding, Held]]:
        """Every item in it that is still ours."""
        return (
            (holding, held)
            for holding, part in self._parts.items()
            if not holding.lost
            for held in part.touched.values()
        )

    def touch(self, holding: Holding, held: Held) -> None:
        """Note that the item changed; it stays in memory until the write set is committed."""
        touched = self._part(holding).touched
        if held.key not in touched:
            touched[held.key] = held
            held.pin()

    def advance(self, holding: Holding) -> None:
        """Note that the partition's offset moved, whatever was in the records."""
        self._part(holding)

    def remember(self, holding: Holding, held: Held, events: Sequence[Event]) -> None:
        """Keep events that were folded, for the day on which the item must be folded again."""
        kept = self._part(holding).events
        if held.key in kept:
            kept[held.key] += events
        else:
            kept[held.key] = list(events)
        held.recent[-1].extend(events)

    def delete(self, holding: Holding, held: Held) -> None:
        """Note that the item's attributes must be forgotten, wherever its events are kept."""
        self._part(holding).deleted[held.key] = held

    @property
    def deleted(self) -> list[tuple[Holding, str]]:
        """The items whose attributes must be forgotten, of those that are still ours."""
        return [(holding, key) for holding, part in self._parts.items() if not holding.lost for key in part.deleted]

    def forget(self, holding: Holding, key: str, events: list[Event]) -> None:
        """Keep *events*, without their attributes, in place of all that is kept of an item."""
        part = self._part(holding)
        part.events[key] = [bare(event) for event in events]
        held = part.deleted[key]
        held.recent = tuple([[bare(event) for event in some] for some in held.recent])

    def remove(self, holding: Holding, key: str) -> None:
        """Let an item go as if it had never been. It must be in no other write set whose outcome is not known."""
        self._part(holding).removed.append(key)
        holding.remove(key)

    def hear(self, holding: Holding, arrivals: Iterable[Arrival], now: Instant) -> None:
        """Note of which sources something new arrived, and when, to the second; what Plazo itself writes is no source.

        A record without a time, or with one that has not come yet, arrives *now*. Of more than SOURCES_MOST sources
        the ones that are new are passed over.
        """
        latest: dict[SourceName, int] = {}
        for arrival in arrivals:
            if arrival.event.recount is None:
                name = (arrival.event.tenant, arrival.event.source)
                latest[name] = max(latest.get(name, 0), arrival.record.timestamp)
        for name, at_ms in latest.items():
            second = (at_ms if 0 < at_ms < now // 1000 else now // 1000) // 1000 * SECOND
            before = holding.heard.get(name)
            if second > before if before is not None else len(holding.heard) < SOURCES_MOST:
                holding.heard[name] = self._part(holding).heard[name] = second

    def keep(self, holding: Holding, row: SourceRow | HearingRow) -> None:
        """Store what is known of a source, or of when everything could be heard."""
        part = self._part(holding)
        if isinstance(row, SourceRow):
            part.sources.append(row)
        else:
            part.hearings.append(row)

    def publish(self, holding: Holding, held: Held, output: Output) -> None:
        """Put a breach event into the outbox; where the record would be too large for a topic, with less in it."""
        headers = breach_headers(
            event_id=output.event_id,
            event_type=output.type,
            item=held.key,
            tenant=output.event.tenant,
            time=output.time,
        )
        self.send(holding, self._breaches_topic, held.key.encode(), headers, _fitting(output.event))

    def send(self, holding: Holding, topic: str, key: bytes, headers: Headers, value: bytes | None) -> None:
        """Put any record into the outbox."""
        holding.outbox_position += 1
        self._part(holding).outbox.append(
            OutboxRow(holding.partition, holding.outbox_position, topic, key, pack_headers(headers), value)
        )

    def freeze(self) -> tuple[WriteSet, list[Held]]:
        """The write set as bytes, and the items that stay pinned until its outcome is known."""
        moves: list[Move] = []
        items: list[ItemRow] = []
        history: list[HistoryRow] = []
        rewritten: list[HistoryRow] = []
        outbox: list[OutboxRow] = []
        free: dict[int, int] = {}
        heard: list[HeardRow] = []
        live = [(holding, part) for holding, part in self._parts.items() if not holding.lost]
        for holding, part in sorted(live, key=lambda pair: pair[0].partition):
            number, revision = holding.partition, holding.revision
            moves.append(_move(holding))
            items += [_item_row(number, revision, held) for held in part.touched.values()]
            for key, events in part.events.items():
                row = HistoryRow(number, key, revision, _PACK.encode(events))
                (rewritten if key in part.deleted else history).append(row)
            outbox += part.outbox
            heard += [HeardRow(number, *name, at) for name, at in part.heard.items()]
            free[number] = holding.outbox_position + 1
            # Should the database refuse some of its items, their events become dead letters in their stead.
            holding.outbox_position += sum(map(len, part.events.values()))
            holding.revision += 1
        pinned = [held for part in self._parts.values() for held in part.touched.values()]
        frozen = WriteSet(
            tuple(moves),
            tuple(items),
            tuple(history),
            tuple(outbox),
            free,
            tuple(rewritten),
            tuple(heard),
            tuple(row for _, part in live for row in part.sources),
            tuple(row for _, part in live for row in part.hearings),
            tuple((holding.partition, key) for holding, part in live for key in part.removed),
        )
        return frozen, pinned

    def _part(self, holding: Holding) -> _Part:
        part = self._parts.get(holding)
        if part is None:
            part = self._parts[holding] = _Part()
        return part


def _fitting(event: BreachEvent) -> bytes:
    whole = _JSON.encode(event)
    if len(whole) <= MAX_RECORD_BYTES:
        return whole
    # The explanation goes first, then long attributes, then all of them: a breach must reach its readers in any case.
    short = {name: value for name, value in event.attributes.items() if len(_JSON.encode(value)) <= SHORT_BYTES}
    for attributes in (event.attributes, short, {}):
        value = _JSON.encode(msgspec.structs.replace(event, explanation=[], attributes=attributes))
        if len(value) <= MAX_RECORD_BYTES:
            break
    return value


def _move(holding: Holding) -> Move:
    return Move(
        partition=holding.partition,
        epoch=holding.epoch,
        revision=holding.revision,
        next_offset=holding.next_offset,
        published_through=holding.published_through,
        items=holding.item_count,
        open_clocks=json.dumps(+holding.open_clocks),
    )


def _item_row(partition: int, revision: int, held: Held) -> ItemRow:
    state, ledger = held.packed
    return ItemRow(
        partition,
        held.key,
        state,
        ledger,
        held.next_due,
        held.clock_states,
        held.quarantined,
        held.seen,
        revision,
        " ".join(held.retired),
    )
