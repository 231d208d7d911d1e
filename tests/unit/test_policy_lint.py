"""What `./plazo lint` finds in policies that are allowed and hardly meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.timer.lint.example import Example
from services.timer.lint.places import Places
from services.timer.lint.policy_lint import findings
from services.timer.policy_file import load
from services.timer.policy_values import written
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
        # Two that share its items between them leave nothing.
        (
            ("name: a, applies_to: {kind: ticket, group: x}, targets: {resolution: 4h}",
             "name: b, applies_to: {kind: [chat, call], group: x}, targets: {resolution: 4h}",
             "name: d, applies_to: {group: x}, targets: {resolution: 2h}"),
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
        # It covers no item that pauses,
        (
            ("name: a, applies_to: {status: open}, pause_when: {status: pending}, targets: {resolution: 4h}",),
            ["policy a: pause_when: never pauses: applies_to names other values"],
        ),
        # and one that is spam is over.
        (
            ("name: a, applies_to: {}, pause_when: {status: spam}, targets: {resolution: 4h}",),
            ["policy a: pause_when: never pauses: an item with the status spam is over for good, "
             "and its clocks are cancelled"],
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


def test_a_target_that_no_item_has_in_a_calendar_is_not_asked_for_there() -> None:
    once = CALENDARS + "  d: {time_zone: UTC, hours: {}, exceptions: {2026-12-24: '09:00-10:00'}}\n"
    chosen = "name: a, applies_to: {priority: %s}, targets: {resolution: {within: 40h, %s}}"
    by = "calendar: {default: c, by: {priority: {low: d}}}"
    assert not any("never reached" in each for each in found(chosen % ("high", by), calendars=once))
    assert any("never reached in d" in each for each in found(chosen % ("low", by), calendars=once))
    short = by + ", by: {priority: {low: 1h}}"
    assert not any("never reached" in each for each in found(chosen % ("[low, high]", short), calendars=once))


def test_examples_are_items_of_which_it_is_true() -> None:
    text = """
policies:
- name: a
  applies_to: {customer: [x, y]}
  calendar: c
  targets: {resolution: {within: 4h, by: {priority: {low: 1h}}, warn_at: 2h_left}}
- {name: b, applies_to: {customer: x}, calendar: c, targets: {resolution: 4h}}
- {name: d, applies_to: {tags: [v]}, calendar: c, targets: {resolution: 4h}, valid: {from: 2027-01-01}}
- {name: e, applies_to: {tags: w}, calendar: c, targets: {resolution: 4h}}
"""
    examples = [str(finding.example) for finding in findings(load({"f": CALENDARS + text}), NOW)]
    assert examples == [
        "ticket with customer=x, priority=low",
        "ticket with customer=x",
        "ticket with tags=[v, w], begun at 2027-01-01T00:00:00Z",
    ]


def test_an_example_that_an_expression_decides_is_a_recorded_item() -> None:
    shadow = "- {name: %s, applies_to: {group: g}, calendar: c, targets: {resolution: 1h}, when: item.amount > 5}\n"
    policies = load({"f": CALENDARS + "policies:\n" + shadow % "a" + shadow % "b"})
    (none,) = findings(policies, NOW)
    assert none.example is None
    seen = [Example("ticket", {"group": "g", "amount": amount}, NOW, f"t/ticket/{amount}") for amount in (1, 9)]
    (finding,) = findings(policies, NOW, recorded=seen)
    assert finding.example == seen[1]


def test_calendars_of_heirs_and_of_sources_are_in_use() -> None:
    more = CALENDARS + "  d: {extends: c}\n  e: {extends: c}\nsources: {'*': {calendar: d}}\n"
    text = more + "policies: [{name: a, applies_to: {}, calendar: e, targets: {resolution: 4h}}]\n"
    assert findings(load({"f": text}), NOW, inherited=Places({"f": text}).inherited) == []


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


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (45, "45s"), (5400, "1h30m"), (144_000, "40h"), (26.5, "26.5s")]
)
def test_a_span_is_shown_as_people_write_it(seconds: float, text: str) -> None:
    assert written(round(seconds * SECOND)) == text
