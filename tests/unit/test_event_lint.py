"""What `./plazo lint --events` finds in recorded events."""

from __future__ import annotations

from msgspec.structs import replace

from services.timer.event_lint import coverage
from services.timer.finding import Finding
from services.timer.recording import recording
from shared.events import Event, Kind
from tests.histories import event, policies

TARGET = "calendar: always, targets: {resolution: 4h}"


def found(text: str, *events: Event) -> list[Finding]:
    rules = policies(text)
    return coverage(rules, recording(rules, events))


def told(text: str, *events: Event) -> list[str]:
    return [str(each) for each in found(text, *events)]


def ticket(subject: str, *texts: str, kind: Kind = "ticket") -> list[Event]:
    events = [event(text, kind, number) for number, text in enumerate(texts)]
    return [replace(each, id=f"{subject}-{each.id}", subject=subject) for each in events]


def one(subject: str, attributes: str = "", kind: Kind = "ticket") -> Event:
    begin = {"ticket": "created", "chat": "started", "call": "queued"}[kind]
    return ticket(subject, f"09:00 {begin} {attributes}", kind=kind)[0]


class TestUncovered:
    POLICY = f"- {{name: a, applies_to: {{group: x}}, {TARGET}}}"

    def test_items_are_counted_by_kind(self) -> None:
        events = [one("1", "group=x"), one("2", "group=y"), one("3"), one("4", kind="call")]
        assert told(self.POLICY, *events) == [
            "policies: no policy covers 2 of 3 tickets",
            "policies: no policy covers 1 of 1 calls",
        ]

    def test_the_first_three_are_shown(self) -> None:
        events = [one(str(number), "group=y") for number in range(5)]
        assert [str(each) for each in found(self.POLICY, *events)[0].examples] == [
            f"default/ticket/{number}, a ticket with group=y" for number in range(3)
        ]

    def test_one_that_was_covered_for_a_time_is_covered(self) -> None:
        events = ticket("1", "09:00 created", "10:00 updated group=x", "11:00 updated group=none")
        assert not any("no policy covers" in message for message in told(self.POLICY, *events[:2]))

    def test_no_events_say_nothing(self) -> None:
        assert told(self.POLICY) == []
