"""An explanation as JSON: exact numbers, and pages that together are the whole."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer.explaining.explanation import Explanation, explain
from services.timer.explaining.explanation_view import explanation_view, page
from services.timer.rulebook import Rulebook
from shared.events import Event, parse_instant
from tests.histories import at, history, rulebook
from tests.strategies_events import UNTIL, histories, rulebooks

LAW = settings(max_examples=60, deadline=None)  # a first question to a calendar compiles a year
ITEM = "default/ticket/1"
RULES = rulebook(
    """
- name: plain
  applies_to: {kind: ticket}
  calendar: {default: office, by: {priority: {urgent: always}}}
  targets: {resolution: {within: 16h, by: {priority: {urgent: 90s}}, warn_at: [50%, 4h_left]}}
  pause_when: {status: pending}
- {name: gold, applies_to: {kind: ticket, customer: acme}, calendar: always, targets: {resolution: 1h}}
""".replace("90.5s", "90s")
)


def shown(found: Explanation) -> dict[str, Any]:
    """The whole explanation as a program reads it."""
    read: dict[str, Any] = json.loads(explanation_view(found).model_dump_json())
    return read


def test_a_clock_is_shown_with_all_that_made_it() -> None:
    story = "09:00 created customer=zed priority=low\n10:00 updated status=pending\n12:00 updated status=open"
    found = shown(explain(ITEM, history(story), RULES, at("13:00")))
    (clock,) = found["clocks"]
    assert clock["due"] == {
        "due_at": "2026-01-07T11:00:00Z",
        "target_s": 57600,
        "used_s": 3600,
        "since": "2026-01-05T12:00:00Z",
        "left_s": 54000,
        "excluded_s": 0,
        "calendar": "office",
        "time_zone": "UTC",
        "hypothetical": False,
        "words": "16h allowed − 1h used by Mon 2026-01-05 12:00:00 = 15h left;"
        " 15h of open time in office end at Wed 2026-01-07 11:00:00",
    }
    assert [(each["state"], each["business_s"], each["because"]) for each in clock["spans"]] == [
        ("running", 3600, None),
        ("paused", 7200, "status is pending"),
        ("running", 3600, None),
    ]
    assert (clock["elapsed_s"], clock["paused_s"]) == (7200, 7200)
    assert [(each["label"], each["given"]) for each in clock["warnings"]] == [("50%", False), ("4h_left", False)]
    assert [each["event"]["id"] for each in clock["milestones"]] == ["001", "002", "003"]
    assert [(each["policy"], each["outcome"]) for each in clock["decisions"][0]["verdicts"]] == [
        ("plain", "won"),
        ("gold", "no match"),
    ]
    assert found["arrival_known"] is False


def test_numbers_are_exact() -> None:
    story = history("09:00 created priority=urgent")
    (clock,) = shown(explain(ITEM, story, RULES, parse_instant("2026-01-05T09:00:00.000001Z")))["clocks"]
    assert (clock["elapsed_s"], clock["target_s"]) == (0.000001, 90)


def test_it_is_shown_which_entries_chose_the_target_and_the_calendar() -> None:
    found = shown(explain(ITEM, history("09:00 created priority=urgent"), RULES, at("09:01")))
    (won, _) = found["clocks"][0]["decisions"][0]["verdicts"]
    chosen = {"attribute": "priority", "expected": ["urgent"], "value": "urgent", "holds": True}
    assert (won["target_s"], won["target_by"], won["calendar"], won["calendar_by"]) == (90, chosen, "always", chosen)


def pages(found: Explanation, limit: int) -> list[dict[str, Any]]:
    since: str | None = None
    read = []
    for _ in count():
        begins = None if since is None else parse_instant(since)
        read.append(json.loads(explanation_view(found, page(found, begins, limit)).model_dump_json()))
        since = read[-1]["next_since"]
        if since is None:
            return read
    raise AssertionError("there is no last page")


LISTS = ("spans", "milestones", "decisions")


@LAW
@given(histories(), rulebooks(), st.integers(1, 12))
def test_the_pages_together_are_the_whole(events: list[Event], rules: Rulebook, limit: int) -> None:
    found = explain(ITEM, events, rules, UNTIL)
    whole, parts = shown(found), pages(found, limit)
    assert [event for part in parts for event in part["events"]] == whole["events"]
    for clock in whole["clocks"]:
        mine = [each for part in parts for each in part["clocks"] if each["clock_id"] == clock["clock_id"]]
        mine = [each for each in mine if each["cycle"] == clock["cycle"]]
        for name in LISTS:
            assert [entry for each in mine for entry in each[name]] == clock[name]


def test_a_page_is_bounded() -> None:
    story = history("\n".join(f"{hour:02}:00 updated status=pending" for hour in range(1, 20)))
    found = explain(ITEM, [*history("00:00 created"), *story], RULES, at("+300 00:00"))
    sizes = [
        len(part["events"]) + sum(len(clock[name]) for clock in part["clocks"] for name in LISTS)
        for part in pages(found, 7)
    ]
    assert max(sizes) <= 7 + 4  # what happens at one instant is not parted
