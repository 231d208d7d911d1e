"""Policies of which a breach comes to no escalation."""

from __future__ import annotations

import pytest

from services.cli.unescalated import unescalated
from services.notifier import routes_file
from services.timer.lint.example import Examples
from services.timer.policy_file import load
from tests.factories import DUE
from tests.histories import CALENDARS

POLICIES = f"""{CALENDARS}
policies:
- {{name: calls, applies_to: {{kind: call}}, calendar: always, targets: {{answer: 20s}}}}
- {{name: gold, applies_to: {{customer: acme}}, calendar: always, severity: high, targets: {{resolution: 1h}}}}
- {{name: rest, applies_to: {{}}, calendar: always, targets: {{first_response: 4h, resolution: 8h}}}}
"""
NOTIFY = """
receivers: {{terminal: {{console: {{}}}}}}
escalations: {{up: {{steps: [{{at: +30m, receivers: [terminal]}}]}}}}
routes:
- {{name: some, {0}, receivers: [], escalation: up}}
- {{name: all, receivers: [terminal]}}
"""


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("match: {kind: [ticket, chat, call]}", []),
        ("match: {policy: [calls, gold]}", ["policy rest: targets.first_response"]),
        ("match: {severity: high}", ["policy calls: targets.answer", "policy rest: targets.first_response"]),
        # one target that comes to none is enough
        (
            "match: {metric: [answer, first_response]}",
            ["policy gold: targets.resolution", "policy rest: targets.resolution"],
        ),
        ("match: {customer: acme}", ["policy calls: targets.answer", "policy rest: targets.first_response"]),
    ],
)
def test_are_found_with_an_item_and_the_route_that_it_comes_to(asked: str, expected: list[str]) -> None:
    routes = routes_file.parse(NOTIFY.format(asked), "notify.yaml")
    found = list(unescalated(load({"policies.yaml": POLICIES}), routes, Examples(DUE)))
    assert [str(each).partition(": a breach")[0] for each in found] == expected
    for each in found:
        assert each.message.endswith("comes to route all, which has no escalation")
        assert each.example is not None


def test_are_no_finding_where_nothing_escalates() -> None:
    routes = routes_file.parse("receivers: {a: {console: {}}}\nroutes: [{receivers: [a]}]", "notify.yaml")
    assert list(unescalated(load({"policies.yaml": POLICIES}), routes, Examples(DUE))) == []
