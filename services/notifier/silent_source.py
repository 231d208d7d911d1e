"""A source that has gone quiet in words: since when, how usual that is, and what it means. PURE."""

from __future__ import annotations

from services.notifier.delivery import Delivery
from services.notifier.wording import clock_time, full_time, one_line, table, words
from shared.breach_records import SilenceRecord
from shared.events import SourceSilence

MEANING = (
    "Plazo computes from what this source tells. While it tells nothing, answers of agents are not seen, and a breach"
    " may be a missing message. Look at the connection from the source to Plazo first."
)


def headline(record: SilenceRecord) -> str:
    """Which source: `Silent: source /helpdesk`."""
    event = record.data
    return one_line(f"Silent: source {event.source}{'' if event.tenant == 'default' else f' of {event.tenant}'}")


def line(record: SilenceRecord) -> str:
    """The silence in one line: source, since when, for how long, how long it may be, severity."""
    event = record.data
    since = f"nothing since {clock_time(event.last_event_at, event.detected_at[:10])}"
    return " · ".join([headline(record), since, f"quiet for {words(event.quiet_s)}", _limit(event), event.severity])


def text(delivery: Delivery, record: SilenceRecord) -> str:
    """The longer text, for a mail: everything that is needed to act, and why it was sent to this receiver."""
    event = record.data
    rows = [
        ("Source", event.source),
        ("Tenant", event.tenant),
        ("Last event", full_time(event.last_event_at)),
        ("Quiet for", words(event.quiet_s)),
        ("Allowed", f"{words(event.allowed_s)}, {_reason(event)}"),
        ("Severity", event.severity),
        ("Detected", full_time(event.detected_at)),
    ]
    return "\n\n".join([headline(record), table(rows), MEANING, f"Sent by {one_line(delivery.reason)}."]) + "\n"


def _limit(event: SourceSilence) -> str:
    if event.usual_gap_s is None:
        return f"{words(event.allowed_s)} allowed"
    return f"usually an event every {words(event.usual_gap_s)}"


def _reason(event: SourceSilence) -> str:
    if event.usual_gap_s is None:
        return "by the policy files"
    return f"ten times its usual gap of {words(event.usual_gap_s)}"
