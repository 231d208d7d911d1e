"""Who hears of a breach."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.receivers import Console, Receiver
from services.notifier.routing import Match, Route, Routes, covers, matches, route
from shared.breach_records import PublishedRecord
from tests.factories import breach, silence

CONSOLE = Receiver(console=Console())


def routes(*given_routes: Route) -> Routes:
    names = {name for each in given_routes for name in each.receivers}
    return Routes("notify.yaml", dict.fromkeys(names, CONSOLE), given_routes, dict.fromkeys(names, 1))


def match(**values: str | list[str]) -> Match:
    return {name: frozenset([value] if isinstance(value, str) else value) for name, value in values.items()}


REST = Route("rest", {}, ("all",))


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ({}, breach(), True),  # no condition takes everything
        (match(type="breached"), breach(), True),
        (match(type="warning"), breach(), False),
        (match(type=["warning", "breached"]), breach(), True),  # any of a list
        (match(severity="high", kind="ticket"), breach(), True),  # every key must match
        (match(severity="high", kind="call"), breach(), False),
        (match(priority="high"), breach(), True),  # what is no field is an attribute
        ({"attributes.priority": frozenset({"high"})}, breach(), True),  # the same, written in full
        ({"attributes.id": frozenset({"42"})}, breach(), False),  # an attribute named like a field
        (match(tags="billing"), breach(), True),  # any member of a list attribute
        (match(tags="sales"), breach(), False),
        (match(cycle="1"), breach(), True),  # numbers as they are written
        (match(target_s="14400"), breach(), True),
        (match(late_evidence_possible="false"), breach(), True),  # truth values too
        (match(assignee="null"), breach(), True),  # null is what is absent
        (match(assignee="ana"), breach(), False),
        (match(level="2"), breach(attributes={"level": 2.0}), True),
        (match(tags="null"), breach(attributes={"tags": []}), True),  # an empty list is absent
        (match(customer="acme"), breach(attributes={"customer": {"name": "acme"}}), False),  # nested values are nothing
        (match(breach_id="null"), breach(event_type="sla.clock.warning.v1", breach_id=None), True),
        (match(type="silent"), silence(), True),
        (match(type="silent"), breach(), False),
        (match(type="silent", source="/helpdesk", tenant="default"), silence(), True),
        (match(source="/telephone"), silence(), False),
        (match(severity=["high", "critical"]), silence(), True),  # a field that both have
        (match(kind="ticket"), silence(), False),  # a source is no item
        (match(customer="null"), silence(), True),  # and what is asked of one is absent
        ({"attributes.customer": frozenset({"acme"})}, silence(), False),
    ],
)
def test_a_match_holds_when_every_key_has_one_of_its_values(
    wanted: Match, found: PublishedRecord, expected: bool
) -> None:
    assert matches(wanted, found) is expected


def test_the_first_route_that_matches_decides() -> None:
    table = routes(
        Route("urgent", match(severity="high"), ("pager",)), Route("tickets", match(kind="ticket"), ("mail",)), REST
    )
    assert [notice.receiver for notice in route(table, breach())] == ["pager"]


def test_a_route_that_continues_lets_later_ones_match_too() -> None:
    table = routes(Route("urgent", match(severity="high"), ("pager",), goes_on=True), REST)
    assert [(notice.route, notice.receiver) for notice in route(table, breach())] == [
        ("urgent", "pager"),
        ("rest", "all"),
    ]


def test_a_receiver_that_two_routes_name_hears_of_a_breach_once() -> None:
    table = routes(Route("urgent", match(severity="high"), ("all",), goes_on=True), REST)
    assert [(notice.route, notice.receiver) for notice in route(table, breach())] == [("urgent", "all")]


def test_a_route_without_receivers_alerts_nobody_and_stops_the_search() -> None:
    table = routes(Route("warnings", match(type="warning"), ()), REST)
    assert route(table, breach(event_type="sla.clock.warning.v1", breach_id=None)) == []


def test_the_default_route_takes_what_no_other_took() -> None:
    table = routes(Route("calls", match(kind="call"), ("pager",)), REST)
    assert [notice.reason for notice in route(table, breach())] == ["route rest takes everything"]


def test_an_alert_says_what_of_the_breach_matched() -> None:
    table = routes(Route("urgent", match(severity=["high", "critical"], kind="ticket"), ("pager",)), REST)
    assert route(table, breach())[0].reason == "route urgent: severity is critical or high, kind is ticket"


VALUES = st.sampled_from(["high", "low", "ticket", "vip", "null"])
MATCHES = st.dictionaries(
    st.sampled_from(["severity", "kind", "tags", "priority"]), st.frozensets(VALUES, min_size=1), max_size=3
)


@given(wider=MATCHES, narrower=MATCHES, severity=st.sampled_from(["high", "low"]), tags=st.lists(VALUES, max_size=3))
def test_what_a_match_covers_it_matches(wider: Match, narrower: Match, severity: str, tags: list[str]) -> None:
    found = breach(severity=severity, attributes={"tags": tags, "priority": "high"})
    if covers(wider, narrower) and matches(narrower, found):
        assert matches(wider, found)
