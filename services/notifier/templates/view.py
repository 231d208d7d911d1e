"""What templates are given: a delivery as plain texts, numbers and lists, each text in one line and not too long. PURE.

The names stand in docs/templates.md; a template that was written once must go on working.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import msgspec

from services.notifier.delivery import Delivery
from services.notifier.heartbeat import is_heartbeat
from services.notifier.reader import Reader
from services.notifier.wording import one_line
from shared.breach_records import TYPE_NAMES, BreachRecord, PublishedRecord, SilenceRecord
from shared.events import CountedSpan, instant, parse_instant

TemplateKind = Literal[
    "warning", "breached", "stopped", "cancelled", "retracted", "silent", "digest", "escalation",
    "customer_told", "customer_restored", "heartbeat",
]  # fmt: skip
KINDS: Final[tuple[TemplateKind, ...]] = get_args(TemplateKind)
NAMES: Final = frozenset({"kind", "event", "delivery", "alert", "members", "count", "language", "zone"})
TEXT_CHARACTERS: Final = 200  # of one value; what is longer is cut
SPANS_SHOWN: Final = 20  # of the explanation
ATTRIBUTES_SHOWN: Final = 20


def kind_of(delivery: Delivery) -> TemplateKind:
    """Which templates tell of *delivery*."""
    if delivery.members:
        return "digest"
    if is_heartbeat(delivery.record):
        return "heartbeat"
    name: Any = TYPE_NAMES[delivery.record.type]
    return "escalation" if delivery.step is not None else name


def view(delivery: Delivery, kind: TemplateKind, reader: Reader) -> dict[str, Any]:
    """What the templates for *kind* are given of *delivery*: exactly `NAMES`."""
    return {
        "kind": kind,
        "event": event_view(delivery.record),
        "delivery": _delivery(delivery),
        "alert": _alert(delivery),
        "members": [event_view(each) for each in delivery.members],
        "count": delivery.count,
        "language": reader.language,
        "zone": reader.zone,
    }


def event_view(record: PublishedRecord) -> dict[str, Any]:
    """A published event as templates see it."""
    return _breach(record) if isinstance(record, BreachRecord) else _silence(record)


def _breach(record: BreachRecord) -> dict[str, Any]:
    event = record.data
    fields = {name: _short(getattr(event, name)) for name in event.__struct_fields__ if name not in _MADE}
    return fields | {
        "type": TYPE_NAMES[record.type],
        "late_s": event.elapsed_s - event.target_s,
        "delay_s": (parse_instant(event.detected_at) - instant(record.time)) / 1e6,
        "attributes": _attributes(event.attributes),
        "explanation": [_span(span) for span in event.explanation[:SPANS_SHOWN]],
        "explanation_left": max(len(event.explanation) - SPANS_SHOWN, 0),
    }


_MADE: Final = frozenset({"attributes", "explanation"})


def _silence(record: SilenceRecord) -> dict[str, Any]:
    event = record.data
    fields = {name: _short(getattr(event, name)) for name in event.__struct_fields__}
    return fields | {"type": TYPE_NAMES[record.type]}


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": str(delivery.id),
        "route": _short(delivery.route),
        "receiver": _short(delivery.receiver),
        "reason": _short(delivery.reason),
        "step": _short(delivery.step),
        "listed_at": delivery.listed_at,
    }


def _alert(delivery: Delivery) -> dict[str, Any] | None:
    alert = delivery.alert
    if alert is None:
        return None
    by = _short(alert.acknowledged_by)
    return {"id": str(alert.id), "standing": alert.standing, "acknowledged_by": by, "url": alert.url}


def _span(span: CountedSpan) -> dict[str, Any]:
    return {name: _short(getattr(span, name)) for name in span.__struct_fields__}


def _attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    shown = sorted((name, value) for name, value in attributes.items() if value is not None)
    return {_short(name): _plain(value) for name, value in shown[:ATTRIBUTES_SHOWN]}


def _plain(value: Any) -> Any:
    return _short(value if isinstance(value, str | int | float) else msgspec.json.encode(value).decode())


def _short(value: Any) -> Any:
    # What comes from tickets can hold anything; a line break would make lines that Plazo did not write.
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return text if len(text) <= TEXT_CHARACTERS else text[: TEXT_CHARACTERS - 1] + "…"
