"""What `./plazo lint` finds in policies that are allowed and hardly meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.timer.calendar_lint import shown
from services.timer.policy_file import load
from services.timer.policy_lint import findings
from shared.events import SECOND, parse_instant

NOW = parse_instant("2026-06-01T00:00:00Z")
CALENDARS = """
calendars:
  c: {time_zone: UTC, hours: {mon-fri: '09:00-17:00'}}
"""


def found(*policies: str, calendars: str = CALENDARS) -> list[str]:
    text = calendars + "policies:\n" + "".join(f"- {{calendar: c, {fields}}}\n" for fields in policies)
    return [str(finding) for finding in findings(load({"f": text}), NOW)]


def test_the_sample_has_nothing_to_find() -> None:
    sample = Path(__file__).parents[2] / "deploy/local/policies.yaml"
    assert findings(load({"policies.yaml": sample.read_text()}), NOW) == []


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        # The same items, and the first in the file goes first.
        (
            ("name: a, applies_to: {group: [x, y]}, targets: {resolution: 4h}",
             "name: b, applies_to: {group: x}, targets: {resolution: 2h}"),
            ["policy b: never wins: a covers the same items and goes first"],
        ),
        # Two metrics, of which one is always taken.
        (
            ("name: a, applies_to: {}, targets: {resolution: 4h}",
             "name: b, applies_to: {}, targets: {resolution: 2h, first_response: 1h}"),
            ["policy b: targets.resolution: never wins, because a covers the same items and goes first"],
        ),
        # Two policies that take one metric each leave nothing.
        (
            ("name: a, applies_to: {}, targets: {resolution: 4h}",
             "name: b, applies_to: {}, targets: {first_response: 4h}",
             "name: d, applies_to: {}, targets: {resolution: 2h, first_response: 1h}"),
            ["policy d: never wins: a, b cover the same items and go first"],
        ),
        # A target for some items only leaves the others.
        (
            ("name: a, applies_to: {}, targets: {resolution: {by: {priority: {high: 4h}}}}",
             "name: b, applies_to: {kind: ticket}, rank: 1, targets: {resolution: 2h}"),
            [],
        ),
        # One that combines takes nothing from others.
        (
            ("name: a, applies_to: {}, combine: all, targets: {resolution: 4h}",
             "name: b, applies_to: {}, targets: {resolution: 2h}"),
            [],
        ),
        # An item can be high and come by mail: two readers could disagree,
        (
            ("name: a, applies_to: {priority: high}, targets: {resolution: 4h}",
             "name: b, applies_to: {channel: mail}, targets: {resolution: 2h}"),
            ["policy b: only the order decides against a over resolution"],
        ),
        # unless ranks say who goes first,
        (
            ("name: a, applies_to: {priority: high}, rank: 1, targets: {resolution: 4h}",
             "name: b, applies_to: {channel: mail}, rank: 2, targets: {resolution: 2h}"),
            [],
        ),
        # or no item can be both,
        (
            ("name: a, applies_to: {priority: high}, targets: {resolution: 4h}",
             "name: b, applies_to: {priority: low}, targets: {resolution: 2h}"),
            [],
        ),
        # or they promise different things.
        (
            ("name: a, applies_to: {priority: high}, targets: {resolution: 4h}",
             "name: b, applies_to: {channel: mail}, targets: {first_response: 2h}"),
            [],
        ),
        # A list attribute can have both values.
        (
            ("name: a, applies_to: {tags: vip}, targets: {resolution: 4h}",
             "name: b, applies_to: {tags: new}, targets: {resolution: 2h}"),
            ["policy b: only the order decides against a over resolution"],
        ),
        # Whatever it covers is paused.
        (
            ("name: a, applies_to: {status: held}, pause_when: {status: [pending, held]}, targets: {resolution: 4h}",),
            ["policy a: pause_when: the pause never ends: every item that it covers matches it"],
        ),
        # A ticket is not picked up.
        (
            ("name: a, applies_to: {kind: ticket}, targets: {pickup: 4h}",),
            ["policy a: targets.pickup: never starts in a ticket"],
        ),
        # Whoever is called answers, and does not reply; but a call is assigned and resolved like anything else.
        (
            ("name: a, applies_to: {kind: call}, targets: {first_response: 4h, next_response: 4h, assignment: 1h}",
             "name: b, applies_to: {kind: call, group: x}, targets: {answer: 20s, handling: 5m, resolution: 4h}"),
            ["policy a: targets.first_response: can never be met in a call",
             "policy a: targets.next_response: never starts in a call"],
        ),
        # It covers no low priority.
        (
            ("name: a, applies_to: {priority: high}, targets: {resolution: {within: 4h, by: {priority: {low: 2h}}}}",),
            ["policy a: targets.resolution.by.priority.low: never counts, because applies_to names other values"],
        ),
        # The shortest target is shorter than what should be left of it.
        (
            ("name: a, applies_to: {}, targets: {answer: {within: 4h, warn_at: 1h_left, by: {group: {x: 30m}}}}",),
            ["policy a: targets.answer.warn_at: the warning 1h_left is past at the start of 30m"],
        ),
    ],
)  # fmt: skip  # a policy a line reads better
def test_findings_in_policies(policies: tuple[str, ...], expected: list[str]) -> None:
    assert found(*policies) == expected


def test_a_calendar_that_opens_too_little_is_found() -> None:
    once = "calendars: {c: {time_zone: UTC, hours: {}, exceptions: {2026-12-24: '09:00-10:00'}}}\n"
    (finding,) = found("name: a, applies_to: {}, targets: {resolution: 40h}", calendars=once)
    assert finding.startswith("policy a: targets.resolution: 40h are never reached in c: no open time within 400 days")


def test_unused_calendars_and_days_that_run_into_each_other_are_found() -> None:
    more = CALENDARS + "  d: {time_zone: UTC, hours: {mon: '22:00-06:00', tue: '05:00-09:00'}}\n"
    assert found("name: a, applies_to: {}, targets: {resolution: 40h}", calendars=more) == [
        "calendar d: no policy uses it",
        "calendar d: hours.mon: those of mon run into those of tue",
    ]


def test_a_customer_each_makes_no_pairs() -> None:
    assert (
        found(*(f"name: p{n}, applies_to: {{customer: c{n}}}, targets: {{resolution: 4h}}" for n in range(500))) == []
    )


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (45, "45s"), (5400, "1h30m"), (144_000, "40h")])
def test_a_span_is_shown_as_people_write_it(seconds: int, text: str) -> None:
    assert shown(seconds * SECOND) == text
