"""A breach in words: one line, a subject, a longer text, and the body of a webhook. PURE."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.notifier.delivery import Delivery
from services.notifier.routing import TYPE_NAMES
from shared.breach_records import BreachRecord
from shared.events import BreachEvent, instant, parse_instant, rfc3339

SPANS_SHOWN: Final = 20  # of the explanation, in the longer text
ATTRIBUTES_SHOWN: Final = 20
VALUE_CHARACTERS: Final = 200  # of one attribute
_WORDS: Final = {
    "warning": "Warning",
    "breached": "Breached",
    "stopped": "Done late",
    "cancelled": "Cancelled",
    "retracted": "Retracted",
}


class Body(msgspec.Struct, frozen=True):
    """What a webhook carries, as Standard Webhooks lays it out."""

    type: str
    timestamp: str  # when it happened, RFC 3339
    data: BreachEvent


def body(breach: BreachRecord) -> bytes:
    """The JSON of a webhook; the same bytes for every attempt."""
    return msgspec.json.encode(Body(breach.type, rfc3339(instant(breach.time)), breach.data))


def headline(breach: BreachRecord) -> str:
    """What happened to what: `Breached: ticket 42, first response`."""
    event = breach.data
    word = _WORDS[TYPE_NAMES[breach.type]]
    which = f" {event.warning.replace('_', ' ')}" if event.warning else ""
    tenant = "" if event.tenant == "default" else f" of {event.tenant}"
    return _line(f"{word}{which}: {event.kind} {event.id}{tenant}, {_words(event.metric)}")


def line(breach: BreachRecord) -> str:
    """The breach in one line: item, metric, policy, when it was due, how soon it was detected, how late it is."""
    event = breach.data
    parts = [headline(breach), f"{event.policy} ({event.severity})"]
    if event.due_at:
        parts.append(f"due {_clock(event.due_at, event.detected_at[:10])}")
    parts.append(f"detected +{_delay(breach)}")
    parts += [text for text in (_lateness(breach),) if text]
    return _line(" · ".join(parts))


def subject(breach: BreachRecord) -> str:
    """The subject of a mail, in one line."""
    return f"[Plazo] {headline(breach)} ({_line(breach.data.policy)})"


def text(delivery: Delivery) -> str:
    """The longer text, for a mail: everything that is needed to act, and why it was sent to this receiver."""
    breach, event = delivery.breach, delivery.breach.data
    rows = [
        ("Item", event.item),
        ("Promise", f"{_words(event.metric)} within {words(event.target_s)}, cycle {event.cycle}"),
        ("Policy", f"{event.policy} ({event.severity}), hours of {event.calendar}"),
        ("Started", _full(event.started_at)),
        ("Due", _full(event.due_at)),
        ("Breached", _full(event.breached_at)),
        ("Stopped", _full(event.stopped_at)),
        ("Detected", f"{_full(event.detected_at)}, {_delay(breach)} after it happened"),
        ("Used", f"{words(event.elapsed_s)} of business time" + _suffix(_lateness(breach))),
        ("Evidence", "some of it was missing: this may be taken back" if event.late_evidence_possible else ""),
        ("Replaced by", event.replaced_by or ""),
    ]
    table = [f"{name + ':':12} {_line(value)}" for name, value in rows if value]
    sections = [headline(breach), "\n".join(table), _attributes(event), _explanation(event)]
    sections.append(f"Sent by {_line(delivery.reason)}. Breach {event.breach_id or '–'}, clock {event.clock_id}.")
    return "\n\n".join(section for section in sections if section) + "\n"


def words(seconds: float) -> str:
    """A length of time as people say it, in its two largest units: `1 h 30 min`, `45 s`, `3 ms`."""
    if abs(seconds) < 1:
        return f"{round(seconds * 1000)} ms"
    if abs(seconds) < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    left, parts = round(abs(seconds)), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return ("-" if seconds < 0 else "") + " ".join(parts[:2])


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


def _clock(at: str, today: str) -> str:
    # A line is read when it appears: the day stands in front only where it is another one.
    return f"{at[11:19]}Z" if at[:10] == today else f"{at[:10]} {at[11:19]}Z"


def _full(at: str | None) -> str:
    return f"{at[:10]} {at[11:].removesuffix('Z')} UTC" if at else ""


def _attributes(event: BreachEvent) -> str:
    shown = sorted(event.attributes.items())[:ATTRIBUTES_SHOWN]
    return "\n".join(f"{_line(name)}: {_plain(value)}" for name, value in shown if value is not None)


def _explanation(event: BreachEvent) -> str:
    spans = event.explanation[:SPANS_SHOWN]
    rows = [f"{_full(s.start)} – {_full(s.end)}  {s.state}, counted {words(s.business_s)}" for s in spans]
    left = len(event.explanation) - len(spans)
    return "\n".join([*rows, f"and {left} more"] if left else rows)


def _plain(value: Any) -> str:
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return _line(shown)[:VALUE_CHARACTERS]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _suffix(text: str) -> str:
    return f", {text}" if text else ""


def _line(text: str) -> str:
    # What comes from tickets can hold anything; a line break in a subject would be another header.
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
