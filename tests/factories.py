"""Values for tests, valid as they stand; a test names only what it is about."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from services.notifier.delivery import Delivery, Notice, delivery_id
from services.timer.write_set import HistoryRow, ItemRow, Move, OutboxRow, WriteSet, pack_headers
from shared.breach_records import BreachRecord, PublishedRecord, SilenceRecord
from shared.events import (
    BreachEvent,
    BreachType,
    Event,
    Headers,
    Instant,
    SourceSilence,
    instant,
    moment,
    parse_instant,
)
from shared.published import breach_headers, silence_headers

DUE = parse_instant("2026-01-05T12:00:00Z")
BREACH_ID = "0d1b4a4e-6c7f-5a55-9d7c-2f0a54a9a001"
CLOCK_ID = "0d1b4a4e-6c7f-5a55-9d7c-2f0a54a9c001"


def breach_event(**changes: Any) -> BreachEvent:
    """A first response that was due at noon and is seen 3 ms later."""
    tenant, kind, name = changes.get("item", "default/ticket/42").split("/")
    fields = {
        "breach_id": BREACH_ID,
        "clock_id": CLOCK_ID,
        "item": "default/ticket/42",
        "tenant": tenant,
        "kind": kind,
        "id": name,
        "metric": "first_response",
        "cycle": 1,
        "policy": "standard-tickets",
        "policy_version": "v1",
        "calendar": "madrid",
        "calendar_data": "tzdata 2026f, holidays 0.109",
        "severity": "high",
        "target_s": 14_400.0,
        "elapsed_s": 14_400.0,
        "started_at": "2026-01-05T08:00:00Z",
        "due_at": "2026-01-05T12:00:00Z",
        "breached_at": "2026-01-05T12:00:00Z",
        "detected_at": "2026-01-05T12:00:00.003Z",
        "evidence_through": "2026-01-05T12:00:00.002Z",
        "sequence": 1,
        "attributes": {"priority": "high", "tags": ["vip", "billing"]},
        **changes,
    }
    return BreachEvent(**fields)


def breach(
    event_id: str = "event-1", event_type: BreachType = "sla.clock.breached.v1", at: Instant = DUE, **changes: Any
) -> BreachRecord:
    """The breach as the notifier knows it, with *changes* of its data."""
    return BreachRecord(event_id, event_type, moment(at), breach_event(**changes))


def silence(event_id: str = "silence-1", at: Instant = DUE, **changes: Any) -> SilenceRecord:
    """A source that usually speaks each minute, and said nothing for the ten minutes before noon."""
    fields = {
        "tenant": "default",
        "source": "/helpdesk",
        "severity": "high",
        "last_event_at": "2026-01-05T11:50:00Z",
        "quiet_s": 600.0,
        "allowed_s": 600.0,
        "usual_gap_s": 60.0,
        "detected_at": "2026-01-05T12:00:01Z",
        "evidence_through": "2026-01-05T12:00:00Z",
        **changes,
    }
    return SilenceRecord(event_id, "sla.source.silent.v1", moment(at), SourceSilence(**fields))


def silence_record(found: SilenceRecord) -> tuple[bytes, bytes, Headers]:
    """(key, value, headers) as the timer publishes *found*."""
    headers = silence_headers(event_id=found.id, silence=found.data, time=instant(found.time))
    return found.key.encode(), msgspec.json.encode(found.data), headers


def breach_record(found: BreachRecord) -> tuple[bytes, bytes, Headers]:
    """(key, value, headers) as the timer publishes *found*."""
    headers = breach_headers(
        event_id=found.id,
        event_type=found.type,
        item=found.data.item,
        tenant=found.data.tenant,
        time=instant(found.time),
    )
    return found.data.item.encode(), msgspec.json.encode(found.data), headers


def delivery(found: PublishedRecord | None = None, **changes: Any) -> Delivery:
    """A delivery of *found* that has not been attempted."""
    found = found or breach()
    notice = Notice("default", "team", "webhook", "route default takes everything")
    fields: dict[str, Any] = {
        "id": delivery_id(found, notice),
        "route": notice.route,
        "receiver": notice.receiver,
        "channel": notice.channel,
        "reason": notice.reason,
        "record": found,
        "created_at": DUE,
        **changes,
    }
    assert isinstance(fields["id"], UUID)
    return Delivery(**fields)


def ticket_event(subject: str = "42", number: int = 0, **changes: Any) -> Event:
    """The creation of a ticket."""
    fields: dict[str, Any] = {
        "time": DUE,
        "id": f"{subject}-{number}",
        "source": "/desk",
        "type": "ticket.created",
        "tenant": "default",
        "kind": "ticket",
        "subject": subject,
        **changes,
    }
    return Event(**fields)


def move(partition: int = 0, **changes: Any) -> Move:
    """A step of a partition from the state in which it was first taken."""
    fields: dict[str, Any] = {
        "partition": partition,
        "epoch": 1,
        "revision": 0,
        "next_offset": 10,
        "published_through": 0,
        "items": 1,
        "open_clocks": '{"running/medium": 1}',
        **changes,
    }
    return Move(**fields)


def item_row(key: str = "default/ticket/42", partition: int = 0, **changes: Any) -> ItemRow:
    """An item of which nothing is due."""
    fields: dict[str, Any] = {
        "partition": partition,
        "key": key,
        "state": b"state",
        "ledger": b"ledger",
        "next_due": None,
        "clock_states": 1,
        "quarantined": False,
        "seen": b"seen",
        "revision": 0,
        "retired": "",
        **changes,
    }
    return ItemRow(**fields)


def outbox_row(position: int, partition: int = 0, **changes: Any) -> OutboxRow:
    """A record that is to be published."""
    fields: dict[str, Any] = {
        "partition": partition,
        "position": position,
        "topic": "sla.breaches.v1",
        "key": b"default/ticket/42",
        "headers": pack_headers([("ce_id", b"%d" % position)]),
        "value": b"%d" % position,
        **changes,
    }
    return OutboxRow(**fields)


def write_set(*keys: str, partition: int = 0, revision: int = 0, epoch: int = 1) -> WriteSet:
    """What one batch wrote: an event, an item and a breach for each key, and the move of their partition."""
    first = 10_000 * revision + 1
    return WriteSet(
        (move(partition, revision=revision, epoch=epoch, next_offset=10 * (revision + 1)),),
        tuple(item_row(key, partition, revision=revision) for key in keys),
        tuple(
            HistoryRow(partition, key, revision, msgspec.msgpack.encode([ticket_event(key.split("/", 2)[2])]))
            for key in keys
        ),
        tuple(outbox_row(first + n, partition, key=key.encode()) for n, key in enumerate(keys)),
        {partition: first + len(keys)},
    )
