"""What happened to clocks, and who was told, as lines for a person. PURE."""

from __future__ import annotations

from typing import Any, Final

from rich.text import Text

from services.notifier.delivery import Delivery
from services.notifier.message import headline, line, words
from shared.breach_records import BreachRecord
from shared.events import SECOND, BreachType, Instant, instant, parse_instant, rfc3339

_STYLES: Final[dict[BreachType, str]] = {
    "sla.clock.warning.v1": "yellow",
    "sla.clock.breached.v1": "bold red",
    "sla.breach.stopped.v1": "cyan",
    "sla.breach.cancelled.v1": "cyan",
    "sla.breach.retracted.v1": "magenta",
}


def breach_line(breach: BreachRecord) -> Text:
    """When it was detected, what happened to which item by which policy, when it was due, and how soon that was."""
    return _stamped(parse_instant(breach.data.detected_at), Text(line(breach), _STYLES[breach.type]))


def delivered_line(delivery: Delivery, now: Instant) -> Text:
    """Which alert reached whom, and how long after its breach was detected."""
    breach = delivery.breach
    took = (now - parse_instant(breach.data.detected_at)) / SECOND
    to = f"Delivered to {delivery.receiver} ({delivery.channel}) · +{words(max(took, 0.0))} · {headline(breach)}"
    return _stamped(now, Text(to, "green"))


def cloud_event(breach: BreachRecord) -> dict[str, Any]:
    """The breach as a structured CloudEvent."""
    return {
        "specversion": "1.0",
        "id": breach.id,
        "source": "/plazo/timer",
        "type": breach.type,
        "subject": breach.data.item,
        "time": rfc3339(instant(breach.time)),
        "tenant": breach.data.tenant,
        "datacontenttype": "application/json",
        "data": breach.data,
    }


def _stamped(at: Instant, text: Text) -> Text:
    return Text.assemble((f"{rfc3339(at)[11:19]}Z  ", "dim"), text)
