"""What the doctor finds, and what it then advises."""

from __future__ import annotations

from datetime import date

import pytest

from services.cli.checks import (
    Finding,
    clock_finding,
    document_finding,
    partitions_finding,
    revision_finding,
    time_zones_finding,
    topic_findings,
    upstream_findings,
)
from services.cli.topics_file import Topic
from shared.errors import BadDocument, Problem
from shared.events import SECOND

EVENTS = "sla.events.v1"
WANTED = {EVENTS: Topic.model_validate({"partitions": 32, "retention": "7d"})}
TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("found", "ok"),
    [
        (topic_findings(WANTED, {EVENTS: 32}, {})[0], True),
        (topic_findings(WANTED, {EVENTS: 8}, {})[0], True),  # another number is no mistake; that it changes would be
        (topic_findings(WANTED, {}, {})[0], False),
        (topic_findings(WANTED, {EVENTS: 32}, {EVENTS: {"retention.ms": "1000"}})[0], False),
        (upstream_findings(["tickets"], {"tickets": 1})[0], True),
        (upstream_findings(["tickets"], {})[0], False),
        (partitions_finding(EVENTS, 32, 32), True),
        (partitions_finding(EVENTS, 33, 32), False),
        (partitions_finding(EVENTS, 32, 0), False),  # never migrated
        (clock_finding(0), True),
        (clock_finding(SECOND // 2), True),  # the limit itself
        (clock_finding(SECOND // 2 + 1), False),
        (clock_finding(-SECOND), False),  # behind is as bad as ahead
        (time_zones_finding("2026b", TODAY), True),
        (time_zones_finding("2025c", TODAY), True),  # a year may be new
        (time_zones_finding("2024a", TODAY), False),
        (time_zones_finding("2027a", TODAY), True),
        (revision_finding("0002", "0002"), True),
        (revision_finding("0001", "0002"), False),
        (revision_finding(None, "0002"), False),  # an empty database
    ],
)
def test_a_finding_is_well_or_says_what_to_do(found: Finding, ok: bool) -> None:
    assert found.ok is ok
    assert bool(found.advice) is not ok
    assert found.found


def test_each_topic_is_looked_at() -> None:
    wanted = {**WANTED, "sla.breaches.v1": WANTED[EVENTS]}
    assert [each.ok for each in topic_findings(wanted, {EVENTS: 32}, {})] == [True, False]


def test_a_clock_that_is_wrong_is_told_by_how_much_and_in_which_direction() -> None:
    assert clock_finding(-1_500_000).found == "1.500 s behind the database's"
    assert clock_finding(1_500_000).found == "1.500 s ahead of the database's"


def test_a_file_with_mistakes_is_told_with_its_first_one() -> None:
    refused = BadDocument([Problem("p.yaml", 3, "policies[0].name", "is required"), Problem("p.yaml", 4, "", "odd")])
    found = document_finding("policies", refused)
    assert found.found == "p.yaml:3: policies[0].name: is required, and 1 more"
    assert not found.ok
