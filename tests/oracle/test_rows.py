"""Every clock of generated histories, by the services and by the second opinion."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given

from tests.oracle import real
from tests.oracle.effort import effort
from tests.oracle.rows import comparable, rows
from tests.oracle.strategies import Case, cases


@effort(300)
@given(cases())
def test_every_clock_is_what_the_documentation_says(case: Case) -> None:
    policies, events, until = case
    found = comparable(policies, real.rows(policies, events, until))
    assert found == comparable(policies, rows(policies, events, until))


@effort(100)
@given(cases())
def test_a_policy_beside_the_winner_changes_no_clock_of_another(case: Case) -> None:
    policies, events, until = case
    document = json.loads(policies)
    winners = [policy for policy in document["policies"] if "combine" not in policy]
    names = {policy["name"] for policy in winners}
    alone = json.dumps({**document, "policies": winners}) if winners else policies
    beside = [unnumbered(row) for row in real.rows(policies, events, until) if row["policy"] in names]
    assert beside == [unnumbered(row) for row in real.rows(alone, events, until) if row["policy"] in names]


def unnumbered(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its number among the clocks of all policies."""
    return {name: value for name, value in row.items() if name != "cycle"}
