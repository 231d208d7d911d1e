"""Why this policy: every rule of precedence in the words that name it."""

from __future__ import annotations

import pytest

from services.timer.explaining.policy_choice import Question, shown, verdicts
from tests.histories import at, policies


def reasons(text: str, **attributes: object) -> list[str]:
    """What became of each policy for the resolution of a ticket."""
    found = verdicts(policies(text), Question("ticket", attributes, "resolution", at("09:00")))
    return [f"{each.policy} {each.outcome}: {each.because}" for each in found]


TARGETS = "calendar: always, targets: {resolution: 1h}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The more specific attribute comes before any number of others.
        (
            f"- {{name: a, applies_to: {{kind: ticket, group: g, priority: p}}, {TARGETS}}}\n"
            f"- {{name: b, applies_to: {{customer: c}}, {TARGETS}}}",
            [
                "b won: a policy by customer, 1 condition",
                "a outranked: matches, but b is before it: a policy by customer comes before a policy by group",
            ],
        ),
        # On one level the number of conditions decides.
        (
            f"- {{name: a, applies_to: {{group: g}}, {TARGETS}}}\n"
            f"- {{name: b, applies_to: {{group: g, priority: p}}, {TARGETS}}}",
            [
                "b won: a policy by group, 2 conditions",
                "a outranked: matches, but b is before it: 2 conditions are more than 1",
            ],
        ),
        # Then a rank comes before none, and a lower one before a higher one.
        (
            f"- {{name: a, applies_to: {{}}, {TARGETS}}}\n"
            f"- {{name: b, applies_to: {{}}, rank: 2, {TARGETS}}}\n"
            f"- {{name: c, applies_to: {{}}, rank: 1, {TARGETS}}}",
            [
                "c won: a policy for all items, 0 conditions",
                "b outranked: matches, but c is before it: rank 1 comes before rank 2",
                "a outranked: matches, but c is before it: rank 1 comes before no rank",
            ],
        ),
        # Last the place in the files.
        (
            f"- {{name: a, applies_to: {{kind: ticket}}, {TARGETS}}}\n"
            f"- {{name: b, applies_to: {{kind: ticket}}, {TARGETS}}}",
            [
                "a won: a policy by kind only, 1 condition",
                "b outranked: matches, but a is before it: equally specific, and earlier in the files",
            ],
        ),
        # A policy beside the winner takes no part in it.
        (
            f"- {{name: a, applies_to: {{customer: c}}, combine: all, {TARGETS}}}\n"
            f"- {{name: b, applies_to: {{}}, {TARGETS}}}",
            ["b won: a policy for all items, 0 conditions", "a beside: combine: all applies beside the winner"],
        ),
        # A policy counts for what starts while it is valid.
        (
            f"- {{name: a, applies_to: {{customer: c}}, valid: {{until: 2026-01-05}}, {TARGETS}}}\n"
            f"- {{name: b, applies_to: {{}}, {TARGETS}}}",
            [
                "b won: a policy for all items, 0 conditions",
                "a no match: the cycle did not start in it: valid until 2026-01-05T00:00:00Z",
            ],
        ),
        # Matching is not enough: it needs a target.
        (
            "- {name: a, applies_to: {customer: c}, calendar: always, targets: {first_response: 1h}}\n"
            "- {name: b, applies_to: {}, calendar: always, targets: {resolution: {by: {priority: {urgent: 1h}}}}}",
            [
                "a no target: matches, and has no target for resolution",
                "b no target: matches, and its target for resolution has no entry for priority p",
            ],
        ),
        # Of those that do not match the nearest comes first.
        (
            f"- {{name: a, applies_to: {{group: x, priority: [y, z]}}, {TARGETS}}}\n"
            f"- {{name: b, applies_to: {{group: g, contact: x}}, {TARGETS}}}",
            [
                "b no match: contact is not set, and must be x",
                "a no match: group is g, and must be x; priority is p, and must be y or z",
            ],
        ),
    ],
)
def test_every_policy_gets_its_reason(text: str, expected: list[str]) -> None:
    assert reasons(text, customer="c", group="g", priority="p") == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"amount": 1500}, "won: when item.amount > 1000 is true (amount: 1500)"),
        ({"amount": 500}, "no match: when item.amount > 1000 is false (amount: 500)"),
        # What cannot be evaluated does not match, and says why.
        ({}, "no match: when item.amount > 1000 fails: the item has no 'amount' (amount: –)"),
    ],
)
def test_an_expression_shows_what_it_said_of_which_values(attributes: dict[str, object], expected: str) -> None:
    text = f"- {{name: a, applies_to: {{}}, when: item.amount > 1000, {TARGETS}}}"
    (found,) = verdicts(policies(text), Question("ticket", attributes, "resolution", at("09:00")))
    assert f"{found.outcome}: {found.when}" == expected


def test_a_condition_with_many_values_names_a_few() -> None:
    text = f"- {{name: a, applies_to: {{customer: [a, b, c, d, e, f, g]}}, {TARGETS}}}"
    assert reasons(text) == ["a no match: customer is not set, and must be a or b or c or d or e or one of 2 more"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (1.0, "1"),
        (True, "true"),
        (["vip", 2], "[vip, 2]"),
        ({"a": 1}, "{'a': 1}"),
        ("a\x1b[31m\nb", r"a\x1b[31m\nb"),  # nothing that an item carries reaches the terminal's controls
        ("x" * 100, "x" * 80 + "…"),
    ],
)
def test_values_are_shown_for_a_person(value: object, expected: str) -> None:
    assert shown(value) == expected
