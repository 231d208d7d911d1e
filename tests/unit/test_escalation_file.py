"""`escalations:` of `notify.yaml`, and what is wrong with them."""

from __future__ import annotations

import pytest

from services.notifier.routes_file import findings, parse
from services.notifier.routing import escalation_of
from shared.errors import BadDocument
from shared.events import SECOND
from tests.factories import breach

ROUTES = """
receivers: {team: {console: {}}, boss: {console: {}}}
routes:
  - {name: urgent, match: {severity: high}, receivers: [team], escalation: standard}
  - {name: rest, receivers: [team]}
"""
STANDARD = """
escalations:
  standard:
    steps:
      - {at: 80 %, receivers: [team]}
      - {at: 15m_left, receivers: [team]}
      - {at: breach, receivers: [team]}
      - {at: +1h30m, receivers: [boss], unless: ended}
    repeat_every: 2h
"""


def test_an_escalation_is_read_and_chosen_by_its_route() -> None:
    routes = parse(ROUTES + STANDARD, "notify.yaml")
    escalation = routes.escalations["standard"]
    assert [(step.at, step.after, step.unless) for step in escalation.steps] == [
        ("80%", None, "acknowledged"),
        ("15m_left", None, "acknowledged"),
        ("breach", 0, "acknowledged"),
        ("+1h30m", 5400 * SECOND, "ended"),
    ]
    assert escalation.repeat_every == 7200 * SECOND
    chosen = escalation_of(routes, breach(severity="high"))
    assert chosen is not None
    assert (chosen.route, chosen.escalation) == ("urgent", "standard")
    assert escalation_of(routes, breach(severity="low")) is None
    assert findings(routes) == []


def test_routes_within_a_route_have_its_escalation() -> None:
    nested = ROUTES.replace("escalation: standard}", "escalation: standard, routes: [{match: {kind: ticket}}]}")
    chosen = escalation_of(parse(nested + STANDARD, "notify.yaml"), breach(severity="high"))
    assert chosen is not None
    assert chosen.route == "urgent/number 1"


STEP = "[{at: breach, receivers: [team]}]"


@pytest.mark.parametrize(
    ("escalations", "problem"),
    [
        # the one that the route names is not there
        ("", "notify.yaml:4: routes[0].escalation: expected one of the escalations which there are none of"),
        ("escalations: {other: {steps: " + STEP + "}}", "expected one of the escalations other, got 'standard'"),
        # times
        ("escalations: {standard: {steps: [{at: 30m, receivers: [team]}]}}", "expected a share like 80%"),
        ("escalations: {standard: {steps: [{at: +0m, receivers: [team]}]}}", "expected a share like 80%"),
        ("escalations: {standard: {steps: [{at: 5, receivers: [team]}]}}", "expected a share like 80%"),
        # nobody, or nobody known
        ("escalations: {standard: {steps: [{at: breach, receivers: []}]}}", "expected receivers, an audience, or both"),
        ("escalations: {standard: {steps: [{at: breach, receivers: [ops]}]}}", "receivers[0]: expected one of the rec"),
        ("escalations: {standard: {steps: [{at: breach, audience: manager}]}}", "expected a `directory` in this file"),
        ("escalations: {standard: {steps: []}}", "expected at least one entry"),
        # the same time twice, and out of order
        ("escalations: {standard: {steps: " + STEP[:-1] + ", " + STEP[1:] + "}}", "expected each `at` once"),
        (
            "escalations: {standard: {steps: [{at: +1h, receivers: [team]}, {at: breach, receivers: [team]}]}}",
            "expected the steps in order",
        ),
        ("escalations: {standard: {repeat_every: 10s, steps: " + STEP + "}}", "expected at least 1m"),
    ],
)
def test_what_is_wrong_with_an_escalation_is_named(escalations: str, problem: str) -> None:
    with pytest.raises(BadDocument) as caught:
        parse(ROUTES + escalations, "notify.yaml")
    assert problem in str(caught.value)


def test_an_escalation_that_no_route_names_is_found() -> None:
    routes = parse(ROUTES + STANDARD + "  spare: {steps: " + STEP + "}\n", "notify.yaml")
    assert [str(each) for each in findings(routes)] == [
        "notify.yaml:15: escalations.spare: no route names this escalation"
    ]
