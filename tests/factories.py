"""Values for tests, valid as they stand; a test names only what it is about."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from services.notifier.delivery import Alert, Delivery, delivery_id
from shared.cloudevents import BreachRecord
from shared.events import BreachEvent, BreachType, Headers, Instant, instant, moment, parse_instant
from shared.published import breach_headers

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


def delivery(found: BreachRecord | None = None, **changes: Any) -> Delivery:
    """A delivery of *found* that has not been attempted."""
    found = found or breach()
    alert = Alert("default", "team", "webhook", "route default takes everything")
    fields: dict[str, Any] = {
        "id": delivery_id(found, alert),
        "route": alert.route,
        "receiver": alert.receiver,
        "channel": alert.channel,
        "reason": alert.reason,
        "breach": found,
        "created_at": DUE,
        **changes,
    }
    assert isinstance(fields["id"], UUID)
    return Delivery(**fields)
