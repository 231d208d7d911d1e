"""What `./plazo lint` finds in metrics: promises that nobody can keep, and definitions that do nothing."""

from __future__ import annotations

import pytest

from services.timer.lint.policy_lint import findings
from services.timer.policy_file import load
from shared.events import parse_instant

NOW = parse_instant("2026-06-01T00:00:00Z")


def found(metrics: str, policy: str) -> list[str]:
    text = f"""
calendars: {{c: {{time_zone: UTC, hours: {{mon-fri: '09:00-17:00'}}}}}}
metrics: {{{metrics}}}
policies: [{{name: p, calendar: c, {policy}}}]
"""
    return [str(finding) for finding in findings(load({"f": text}), NOW)]


@pytest.mark.parametrize(
    ("metrics", "policy", "expected"),
    [
        # Used, and all of it can happen.
        ("own: {starts: created, stops: over}", "applies_to: {}, targets: {own: 1h}", []),
        # Nobody measures it.
        (
            "own: {starts: created, stops: over}",
            "applies_to: {}, targets: {resolution: 1h}",
            ["metric own: no policy has a target for it"],
        ),
        # A built-in one that is copied as it is needs no target.
        ("resolution: {starts: created, stops: over, taken_up: true}", "applies_to: {}, targets: {answer: 1h}", []),
        # It never starts in what the policy covers,
        (
            "own: {starts: {event: chat.accepted}, stops: over}",
            "applies_to: {kind: [ticket, call]}, targets: {own: 1h}",
            ["policy p: targets.own: never starts in a call or ticket"],
        ),
        # also because it is of other kinds.
        (
            "own: {kinds: call, starts: created, stops: over}",
            "applies_to: {kind: ticket}, targets: {own: 1h}",
            ["policy p: targets.own: never starts in a ticket"],
        ),
        # It starts in calls, and nothing in a call stops it.
        (
            "own: {starts: created, stops: {event: [ticket.updated, chat.updated]}}",
            "applies_to: {kind: [ticket, call]}, targets: {own: 1h}",
            ["policy p: targets.own: can never be met in a call"],
        ),
        # A state can come to any item.
        (
            "own: {starts: assigned, stops: {becomes: {group: a}}}",
            "applies_to: {kind: [ticket, chat, call]}, targets: {own: 1h}",
            [],
        ),
        # A part of it never happens in its kinds.
        (
            "own: {kinds: [ticket, chat], starts: [created, queued], stops: [over, {event: call.held}]}",
            "applies_to: {}, targets: {own: 1h}",
            [
                "metric own: starts: queued never happens in a ticket or chat",
                "metric own: stops: call.held never happens in a ticket or chat",
            ],
        ),
        # It says itself when it pauses.
        (
            "own: {starts: created, stops: over, pauses: never}",
            "applies_to: {}, targets: {own: {within: 1h, pause_when: {status: pending}}}",
            ["policy p: targets.own.pause_when: never counts, because the metric says itself when it pauses"],
        ),
        # Whatever the policy covers is paused by the metric.
        (
            "own: {starts: created, stops: over, pauses: {group: [a, b]}}",
            "applies_to: {group: a}, targets: {own: 1h}",
            ["policy p: targets.own: the pause never ends: every item that it covers matches it"],
        ),
    ],
)
def test_findings_in_metrics(metrics: str, policy: str, expected: list[str]) -> None:
    assert found(metrics, policy) == expected
