"""What was published in words: one line, a subject, a longer text, and the body of a webhook. PURE."""

from __future__ import annotations

import re
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from services.notifier import silent_source
from services.notifier.delivery import Delivery, alert_id
from services.notifier.heartbeat import is_heartbeat
from services.notifier.wording import clock_time, full_time, one_line, table, words
from shared.breach_records import TYPE_NAMES, BreachRecord, PublishedRecord
from shared.events import BreachEvent, CountedSpan, instant, parse_instant

SPANS_SHOWN: Final = 20  # of the explanation, in the longer text
ATTRIBUTES_SHOWN: Final = 20
VALUE_CHARACTERS: Final = 200  # of one attribute
_NOT_OF_A_NAME: Final = re.compile(r"[^0-9a-zA-Z-]")
_WORDS: Final = {
    "warning": "Warning",
    "breached": "Breached",
    "stopped": "Done late",
    "cancelled": "Cancelled",
    "retracted": "Retracted",
}


def headline(record: PublishedRecord) -> str:
    """What happened to what: `Breached: ticket 42, first response`."""
    if not isinstance(record, BreachRecord):
        return silent_source.headline(record)
    event = record.data
    if is_heartbeat(record):
        return f"Heartbeat of {full_time(event.due_at)}: alerts arrive"
    word = _WORDS[TYPE_NAMES[record.type]]
    which = f" {event.warning.replace('_', ' ')}" if event.warning else ""
    tenant = "" if event.tenant == "default" else f" of {event.tenant}"
    return one_line(f"{word}{which}: {event.kind} {event.id}{tenant}, {_words(event.metric)}")


def line(record: PublishedRecord) -> str:
    """It in one line: item, metric, policy, when it was due, how soon it was detected, how late it is."""
    if not isinstance(record, BreachRecord):
        return silent_source.line(record)
    event = record.data
    parts = [headline(record), f"{event.policy} ({event.severity})"]
    if event.due_at:
        parts.append(f"due {clock_time(event.due_at, event.detected_at[:10])}")
    parts.append(f"detected +{_delay(record)}")
    parts += [text for text in (_lateness(record),) if text]
    return one_line(" · ".join(parts))


def subject(record: PublishedRecord) -> str:
    """The subject of a mail, in one line."""
    about = record.data.policy if isinstance(record, BreachRecord) else record.data.severity
    return f"[Plazo] {headline(record)} ({one_line(about)})"


def thread(record: PublishedRecord) -> list[str]:
    """The names of the threads that it belongs to, the widest first: alert and breach, source, or the heartbeat."""
    if not isinstance(record, BreachRecord):
        return [f"source-{uuid5(NAMESPACE_URL, record.key)}"]
    if is_heartbeat(record):
        return ["heartbeat"]
    names = [f"alert-{alert_id(record)}", *([f"breach-{record.data.breach_id}"] if record.data.breach_id else [])]
    # The timer's are UUIDs; what else somebody writes on the topic must not become another header.
    return [_NOT_OF_A_NAME.sub("", name) for name in names]


def text(delivery: Delivery) -> str:
    """The longer text, for a mail: everything that is needed to act, and why it was sent to this receiver."""
    record = delivery.record
    return _breach_text(delivery, record) if isinstance(record, BreachRecord) else silent_source.text(delivery, record)


def _breach_text(delivery: Delivery, breach: BreachRecord) -> str:
    event = breach.data
    rows = [
        ("Item", event.item),
        ("Promise", f"{_words(event.metric)} within {words(event.target_s)}, cycle {event.cycle}"),
        ("Policy", f"{event.policy} ({event.severity}), hours of {event.calendar}"),
        ("Started", full_time(event.started_at)),
        ("Due", full_time(event.due_at)),
        ("Breached", full_time(event.breached_at)),
        ("Stopped", full_time(event.stopped_at)),
        ("Detected", f"{full_time(event.detected_at)}, {_delay(breach)} after it happened"),
        ("Used", f"{words(event.elapsed_s)} of business time" + _suffix(_lateness(breach))),
        ("Evidence", "some of it was missing: this may be taken back" if event.late_evidence_possible else ""),
        ("Replaced by", event.replaced_by or ""),
    ]
    sections = [headline(breach), table(rows), _attributes(event), _explanation(event)]
    ids = f"Breach {one_line(event.breach_id or '–')}, clock {one_line(event.clock_id)}."
    sections.append(f"Sent by {one_line(delivery.reason)}. {ids}")
    return "\n\n".join(section for section in sections if section) + "\n"


def _lateness(breach: BreachRecord) -> str:
    event = breach.data
    over = event.elapsed_s - event.target_s
    kind = TYPE_NAMES[breach.type]
    if kind == "warning":
        return f"{words(-over)} left" if over < 0 else ""
    if kind == "retracted":
        return "replaced by another breach" if event.replaced_by else "it did not happen"
    return f"{words(over)} late" if over > 0 else ""


def _delay(breach: BreachRecord) -> str:
    # From the instant that the event is about until it was seen: the promise that Plazo itself keeps.
    return words((parse_instant(breach.data.detected_at) - instant(breach.time)) / 1e6)


def _attributes(event: BreachEvent) -> str:
    shown = sorted(event.attributes.items())[:ATTRIBUTES_SHOWN]
    return "\n".join(f"{one_line(name)}: {_plain(value)}" for name, value in shown if value is not None)


def _explanation(event: BreachEvent) -> str:
    spans = event.explanation[:SPANS_SHOWN]
    rows = [f"{full_time(s.start)} – {full_time(s.end)}  {_span(s)}" for s in spans]
    left = len(event.explanation) - len(spans)
    return "\n".join([*rows, f"and {left} more"] if left else rows)


def _span(span: CountedSpan) -> str:
    why = f" by {one_line(span.exclusion)}: {one_line(span.reason or '')}" if span.exclusion else ""
    return f"{span.state}, counted {words(span.business_s)}{why}"


def _plain(value: Any) -> str:
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return one_line(shown)[:VALUE_CHARACTERS]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _suffix(text: str) -> str:
    return f", {text}" if text else ""
