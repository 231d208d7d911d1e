"""A write set in the making: what has been folded or fired since the last one was frozen."""

from __future__ import annotations

import json

import msgspec

from services.timer.holdings import Held, Holding, fingerprint
from services.timer.ledger import Output
from services.timer.view import STATE_BITS
from services.timer.write_set import HistoryRow, ItemRow, Move, OutboxRow, WriteSet, pack_headers
from shared.cloudevents import breach_headers
from shared.events import Event, Headers
from shared.kafka.connection import MAX_RECORD_BYTES

_PACK = msgspec.msgpack.Encoder()
_JSON = msgspec.json.Encoder()


class Draft:
    """Collects touched items, their events and what is to be published; frozen as bytes in one go."""

    def __init__(self, breaches_topic: str) -> None:
        self._breaches_topic = breaches_topic
        self._touched: dict[tuple[int, str], Held] = {}
        self._events: dict[tuple[int, str], list[Event]] = {}
        self._outbox: list[OutboxRow] = []
        self._holdings: dict[int, Holding] = {}
        self.size = 0  # events and firings in it

    @property
    def touched(self) -> list[tuple[int, Held]]:
        """(partition, item) of everything in it."""
        return [(partition, held) for (partition, _), held in self._touched.items()]

    def touch(self, holding: Holding, held: Held) -> None:
        """Note that the item changed; it stays in memory until the write set is committed."""
        place = (holding.partition, held.key)
        if place not in self._touched:
            self._touched[place] = held
            held.pins += 1
        self._holdings[holding.partition] = holding

    def advance(self, holding: Holding) -> None:
        """Note that the partition's offset moved, whatever was in the records."""
        self._holdings[holding.partition] = holding

    def remember(self, holding: Holding, held: Held, event: Event) -> None:
        """Keep an event that was folded, for the day on which the item must be folded again."""
        self._events.setdefault((holding.partition, held.key), []).append(event)
        held.recent.append(event)
        held.seen += fingerprint(event)

    def publish(self, holding: Holding, held: Held, output: Output) -> None:
        """Put a breach event into the outbox; its explanation is cut when the record would be too large."""
        value = _JSON.encode(output.event)
        if len(value) > MAX_RECORD_BYTES:
            value = _JSON.encode(msgspec.structs.replace(output.event, explanation=[]))
        headers = breach_headers(
            event_id=output.event_id,
            event_type=output.type,
            item=held.key,
            tenant=output.event.tenant,
            time=output.time,
        )
        self.send(holding, self._breaches_topic, held.key.encode(), headers, value)

    def send(self, holding: Holding, topic: str, key: bytes, headers: Headers, value: bytes | None) -> None:
        """Put any record into the outbox."""
        holding.outbox_position += 1
        self._holdings[holding.partition] = holding
        self._outbox.append(
            OutboxRow(holding.partition, holding.outbox_position, topic, key, pack_headers(headers), value)
        )

    def freeze(self) -> tuple[WriteSet, list[Held]]:
        """The write set as bytes, and the items that stay pinned until its outcome is known."""
        live = {partition: holding for partition, holding in self._holdings.items() if not holding.lost}
        items = [_item_row(p, held) for (p, _), held in self._touched.items() if p in live]
        history = [
            HistoryRow(p, key, live[p].revision, _PACK.encode(events))
            for (p, key), events in self._events.items()
            if p in live
        ]
        outbox = [row for row in self._outbox if row.partition in live]
        moves = [_move(live[partition]) for partition in sorted(live)]
        for holding in live.values():
            holding.revision += 1
        return WriteSet(tuple(moves), tuple(items), tuple(history), tuple(outbox)), list(self._touched.values())


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


def _item_row(partition: int, held: Held) -> ItemRow:
    states = 0
    for clock in held.state.clocks:
        states |= STATE_BITS[clock.state]
    return ItemRow(
        partition=partition,
        key=held.key,
        state=_PACK.encode(held.state),
        ledger=_PACK.encode(held.ledger),
        next_due=held.next_due,
        clock_states=states,
        quarantined=held.quarantined,
        seen=held.seen,
    )
