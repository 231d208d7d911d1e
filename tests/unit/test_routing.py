"""Who hears of a breach."""

from __future__ import annotations

import pytest

from services.notifier.matching import Conditions
from services.notifier.receivers import Console, Receiver
from services.notifier.routing import Route, Routes, route
from tests.factories import DUE, breach

CONSOLE = Receiver(console=Console())


def routes(*given_routes: Route) -> Routes:
    names = ("all", "pager", "mail", "acme-desk", "switchboard")
    return Routes("notify.yaml", dict.fromkeys(names, CONSOLE), given_routes, dict.fromkeys(names, 1))


def taking(**values: str | list[str]) -> Conditions:
    return Conditions({name: frozenset([value] if isinstance(value, str) else value) for name, value in values.items()})


REST = Route("rest", Conditions(), ("all",))


def test_the_first_route_that_matches_decides() -> None:
    table = routes(
        Route("urgent", taking(severity="high"), ("pager",)), Route("tickets", taking(kind="ticket"), ("mail",)), REST
    )
    assert [notice.receiver for notice in route(table, breach(), DUE)] == ["pager"]


def test_a_route_that_continues_lets_later_ones_match_too() -> None:
    table = routes(Route("urgent", taking(severity="high"), ("pager",), goes_on=True), REST)
    assert [(notice.route, notice.receiver) for notice in route(table, breach(), DUE)] == [
        ("urgent", "pager"),
        ("rest", "all"),
    ]


def test_a_receiver_that_two_routes_name_hears_of_a_breach_once() -> None:
    table = routes(Route("urgent", taking(severity="high"), ("all",), goes_on=True), REST)
    assert [(notice.route, notice.receiver) for notice in route(table, breach(), DUE)] == [("urgent", "all")]


def test_a_route_without_receivers_alerts_nobody_and_stops_the_search() -> None:
    table = routes(Route("warnings", taking(type="warning"), ()), REST)
    assert route(table, breach(event_type="sla.clock.warning.v1", breach_id=None), DUE) == []


def test_the_default_route_takes_what_no_other_took() -> None:
    table = routes(Route("calls", taking(kind="call"), ("pager",)), REST)
    assert [notice.reason for notice in route(table, breach(), DUE)] == ["route rest takes everything"]


def test_an_alert_says_what_of_the_breach_matched() -> None:
    table = routes(Route("urgent", taking(severity=["high", "critical"], kind="ticket"), ("pager",)), REST)
    assert route(table, breach(), DUE)[0].reason == "route urgent: severity is critical or high, kind is ticket"


ACME = taking(customer="acme")
WITHIN_ACME = (
    Route("acme/urgent", taking(severity="high"), ("pager",), goes_on=True, around=(ACME,)),
    Route("acme/calls", taking(kind="call"), ("switchboard",), around=(ACME,)),
)
TREE = routes(Route("acme", ACME, ("acme-desk",), routes=WITHIN_ACME), REST)


@pytest.mark.parametrize(
    ("severity", "item", "customer", "told"),
    [
        # What no route around it takes, the routes within never see,
        ("high", "default/call/7", "other", ["rest: all"]),
        # what none of those within takes, the route around them takes itself,
        ("low", "default/ticket/7", "acme", ["acme: acme-desk"]),
        # and what one of them takes, it does not.
        ("low", "default/call/7", "acme", ["acme/calls: switchboard"]),
        # One that goes on lets those beside it in the same route try, and no others.
        ("high", "default/ticket/7", "acme", ["acme/urgent: pager"]),
        ("high", "default/call/7", "acme", ["acme/urgent: pager", "acme/calls: switchboard"]),
    ],
)
def test_routes_within_a_route_come_first(severity: str, item: str, customer: str, told: list[str]) -> None:
    found = breach(severity=severity, item=item, attributes={"customer": customer})
    assert [f"{notice.route}: {notice.receiver}" for notice in route(TREE, found, DUE)] == told


def test_an_alert_says_what_the_routes_around_its_route_took_too() -> None:
    (notice,) = route(TREE, breach(severity="high", attributes={"customer": "acme"}), DUE)
    assert notice.reason == "route acme/urgent: customer is acme, severity is high"


def test_every_route_of_the_tree_is_named_in_the_order_of_the_file() -> None:
    assert [each.name for each in TREE.each()] == ["acme", "acme/urgent", "acme/calls", "rest"]
