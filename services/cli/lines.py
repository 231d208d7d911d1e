"""What happened to clocks, and who was told, as lines for a person. PURE."""

from __future__ import annotations

from typing import Any, Final

from rich.text import Text

from services.notifier.delivery import Delivery
from services.notifier.message import headline, line
from services.notifier.wording import words
from shared.breach_records import PublishedRecord, PublishedType
from shared.events import SECOND, Instant, instant, parse_instant, rfc3339

_STYLES: Final[dict[PublishedType, str]] = {
    "sla.clock.warning.v1": "yellow",
    "sla.clock.breached.v1": "bold red",
    "sla.breach.stopped.v1": "cyan",
    "sla.breach.cancelled.v1": "cyan",
    "sla.breach.retracted.v1": "magenta",
    "sla.source.silent.v1": "bold yellow",
}


def published_line(record: PublishedRecord) -> Text:
    """When it was detected, what happened to which item by which policy, when it was due, and how soon that was."""
    return _stamped(parse_instant(record.data.detected_at), Text(line(record), _STYLES[record.type]))


def delivered_line(delivery: Delivery, now: Instant) -> Text:
    """Which alert reached whom, and how long after what it tells of was detected."""
    record = delivery.record
    took = (now - parse_instant(record.data.detected_at)) / SECOND
    to = f"Delivered to {delivery.receiver} ({delivery.channel}) · +{words(max(took, 0.0))} · {headline(record)}"
    return _stamped(now, Text(to, "green"))


def cloud_event(record: PublishedRecord) -> dict[str, Any]:
    """The record as a structured CloudEvent."""
    return {
        "specversion": "1.0",
        "id": record.id,
        "source": "/plazo/timer",
        "type": record.type,
        "subject": record.key,
        "time": rfc3339(instant(record.time)),
        "tenant": record.data.tenant,
        "datacontenttype": "application/json",
        "data": record.data,
    }


def _stamped(at: Instant, text: Text) -> Text:
    return Text.assemble((f"{rfc3339(at)[11:19]}Z  ", "dim"), text)
