"""A help desk's log as canonical events: a real one where it lies beside the project, else one that is made here.

The log has tickets and no replies; replies, chats and calls are added by a fixed recipe, so that every metric occurs.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from shared.events import rfc3339

LOG = Path(__file__).resolve().parents[3] / "shared" / "data" / "helpdesk_italy.csv.gz"
RESOLVING = {"Resolve ticket": "ticket.resolved", "Closed": "ticket.closed"}
STATUS = {
    "Wait": "pending",
    "Require upgrade": "on_hold",
    "Create SW anomaly": "on_hold",
    "Resolve SW anomaly": "open",
    "Schedule intervention": "open",
}
PRIORITIES = ("normal", "high", "urgent", "low")
CUSTOMERS = ("acme", "bolt", "cobalt", "delta", "evergreen")

POLICIES = """
calendars:
  rome:
    time_zone: Europe/Rome
    hours: {mon-thu: ["09:00-13:00", "14:00-18:00"], fri: ["09:00-13:00", "14:00-17:00"]}
    holidays: {country: IT}
    exceptions: {"2012-08-13": [], "2012-12-24": ["09:00-13:00"]}
  always: {time_zone: UTC, hours: {mon-sun: ["00:00-24:00"]}}
policies:
  - name: standard
    applies_to: {kind: ticket}
    calendar: rome
    targets:
      first_response: {within: 4h, warn_at: [50%, 80%]}
      next_response: {within: 8h, warn_at: [80%]}
      periodic_update: {within: 60h}
      assignment: {within: 2h}
      resolution: {within: 80h, warn_at: [75%], by: {priority: {urgent: 16h, high: 40h}}}
    pause_when: {status: [pending, on_hold]}
  - name: acme-gold
    applies_to: {kind: ticket, customer: acme}
    calendar: always
    severity: critical
    targets: {first_response: {within: 2h, warn_at: [30m_left]}, resolution: {within: 48h, severity: high}}
    pause_when: {status: pending}
  - name: chats
    applies_to: {kind: chat}
    calendar: always
    targets: {pickup: {within: 45s, warn_at: [80%]}, next_response: 90s, handling: 10m, first_response: 2m}
  - name: calls
    applies_to: {kind: call}
    calendar: always
    targets: {answer: 20s, handling: 5m}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    case: str
    activity: str
    resource: str
    at: datetime


def read_log() -> list[Line]:
    """The real log; a made one of the same kind where it is absent."""
    if not LOG.exists():
        return list(_made_log(400))
    with gzip.open(LOG, "rt", newline="") as text:
        rows = list(csv.DictReader(text))
    return [Line(r["case"], r["activity"], r["resource"], datetime.fromisoformat(r["time"])) for r in rows]


def events(lines: list[Line]) -> list[dict[str, Any]]:
    """Structured CloudEvents for the log, in the order of their times: tickets with made replies, chats and calls."""
    pick = random.Random(7)
    cases: dict[str, list[Line]] = {}
    for line in lines:
        cases.setdefault(line.case, []).append(line)
    found: list[dict[str, Any]] = []
    for number, (case, story) in enumerate(cases.items()):
        found += _ticket(case, sorted(story, key=lambda line: line.at), pick)
        if number % 5 == 0:
            found += _chat(f"chat-{number}", story[0].at, pick)
        if number % 3 == 0:
            found += _call(f"call-{number}", story[0].at, pick)
    return sorted(found, key=lambda event: (event["time"], event["id"]))


def encoded(found: list[dict[str, Any]]) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of each event, as an upstream system would write it."""
    for event in found:
        kind = event["type"].partition(".")[0]
        yield f"default/{kind}/{event['subject']}".encode(), msgspec.json.encode(event)


class _Story:
    """The events of one item."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.events: list[dict[str, Any]] = []

    def tell(self, at: datetime, kind: str, **attributes: Any) -> None:
        """Add an event."""
        at = at.astimezone(UTC).replace(microsecond=0)
        self.events.append(
            {
                "specversion": "1.0",
                "id": f"{self.subject}-{len(self.events):03d}",
                "source": "/helpdesk",
                "type": kind,
                "subject": self.subject,
                "time": rfc3339(int(at.timestamp()) * 1_000_000),
                "data": {"attributes": attributes},
            }
        )


def _ticket(case: str, story: list[Line], pick: random.Random) -> list[dict[str, Any]]:
    told = _Story(case)
    told.tell(story[0].at, "ticket.created", priority=pick.choice(PRIORITIES), customer=pick.choice(CUSTOMERS))
    over = False
    for line in story[1:]:
        if over and line.activity not in RESOLVING:
            told.tell(line.at, "ticket.reopened", status="open")
            over = False
        over = _activity(told, line, pick) or over
    return told.events


def _activity(told: _Story, line: Line, pick: random.Random) -> bool:
    """Tell one line of the log; whether the ticket is over by it."""
    if line.activity in RESOLVING:
        if pick.random() < 0.8:
            told.tell(line.at - timedelta(seconds=pick.randrange(1, 600)), "ticket.agent_replied")
        told.tell(line.at, RESOLVING[line.activity])
        return True
    if line.activity == "Take in charge ticket":
        told.tell(line.at, "ticket.updated", assignee=line.resource, status="open")
        if pick.random() < 0.6:
            told.tell(line.at + timedelta(minutes=pick.randrange(1, 400)), "ticket.agent_replied")
            if pick.random() < 0.5:
                told.tell(line.at + timedelta(hours=pick.randrange(7, 60)), "ticket.customer_replied", status="open")
        return False
    attributes = {"status": STATUS[line.activity]} if line.activity in STATUS else {"seriousness": line.resource}
    told.tell(line.at, "ticket.updated", **attributes)
    return False


def _chat(subject: str, at: datetime, pick: random.Random) -> list[dict[str, Any]]:
    told = _Story(subject)
    told.tell(at, "chat.started", customer=pick.choice(CUSTOMERS))
    if pick.random() < 0.2:
        told.tell(at + timedelta(seconds=pick.randrange(10, 120)), "chat.missed")
        return told.events
    at += timedelta(seconds=pick.randrange(5, 90))
    told.tell(at, "chat.accepted", assignee=f"agent-{pick.randrange(9)}")
    for _ in range(pick.randrange(1, 5)):
        at += timedelta(seconds=pick.randrange(5, 150))
        told.tell(at, "chat.agent_replied")
        at += timedelta(seconds=pick.randrange(5, 100))
        told.tell(at, "chat.customer_replied")
    told.tell(at + timedelta(seconds=pick.randrange(5, 400)), "chat.ended")
    return told.events


def _call(subject: str, at: datetime, pick: random.Random) -> list[dict[str, Any]]:
    told = _Story(subject)
    told.tell(at, "call.queued", group=f"group-{pick.randrange(4)}")
    waited = at + timedelta(seconds=pick.randrange(1, 60))
    if pick.random() < 0.15:
        told.tell(waited, "call.abandoned")
        return told.events
    told.tell(waited, "call.answered", assignee=f"agent-{pick.randrange(9)}")
    if pick.random() < 0.2:  # transferred: queued and answered once more
        waited += timedelta(seconds=pick.randrange(30, 200))
        told.tell(waited, "call.queued")
        waited += timedelta(seconds=pick.randrange(1, 60))
        told.tell(waited, "call.answered")
    told.tell(waited + timedelta(seconds=pick.randrange(30, 600)), "call.ended")
    return told.events


def _made_log(cases: int) -> Iterator[Line]:
    pick = random.Random(11)
    begin = datetime(2012, 3, 1, 8, tzinfo=UTC)
    for number in range(cases):
        at = begin + timedelta(minutes=37 * number)
        activities = ["Insert ticket", "Assign seriousness", "Take in charge ticket"]
        activities += pick.choices(["Wait", "Require upgrade", "Take in charge ticket"], k=pick.randrange(3))
        activities += ["Resolve ticket", "Closed"] * pick.choice((1, 1, 1, 2))
        for activity in activities:
            yield Line(f"Made{number}", activity, f"Value {pick.randrange(9)}", at)
            at += timedelta(minutes=pick.randrange(3, 9000))
