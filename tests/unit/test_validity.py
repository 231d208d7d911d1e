"""Policies that hold for a time: the start of a cycle decides, whatever comes later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.timer.explaining.policy_choice import Question, verdicts
from services.timer.lint.event_lint import coverage
from services.timer.lint.policy_lint import findings
from services.timer.lint.recording import recording
from services.timer.policy import ALWAYS, Validity
from services.timer.policy_file import load
from shared.errors import BadDocument
from shared.events import parse_instant
from tests.histories import CALENDARS, MONDAY, at, clocks, event, history, policies, rulebook

TWO = """
- {name: old, applies_to: {}, calendar: always, targets: {resolution: 8h, assignment: 1h},
   valid: {until: "2026-01-05T10:00:00Z"}}
- {name: new, applies_to: {}, calendar: always, targets: {resolution: {within: 2h, by: {priority: {urgent: 1h}}}},
   valid: {from: "2026-01-05T10:00:00Z"}}
"""


def started(start: str, rules: str = TWO) -> list[str]:
    return [line.split()[2] for line in clocks([event(f"{start} created")], rulebook(rules), "+1 00:00")]


class TestTheStartDecides:
    @pytest.mark.parametrize(
        ("start", "taken"),
        [
            # Half-open: the end is the first instant that it does not hold,
            ("09:59:59", ["old", "old"]),
            ("10:00", ["new"]),
            # and where nothing begins, it held from the beginning of time.
            ("00:00", ["old", "old"]),
        ],
    )
    def test_a_cycle_takes_what_is_valid_at_its_start(self, start: str, taken: list[str]) -> None:
        assert started(start) == taken

    def test_a_clock_goes_on_beyond_the_end_of_its_policy(self) -> None:
        events = history("""
            09:00 created
            11:00 updated priority=urgent
        """)
        assert "resolution 1 old running 09:00– due 17:00 elapsed 5:00" in clocks(events, rulebook(TWO), "14:00")

    def test_a_change_of_terms_asks_what_was_valid_at_the_start_of_the_cycle(self) -> None:
        text = (
            TWO
            + """
- {name: gold, applies_to: {customer: acme}, calendar: always, targets: {resolution: 4h},
   valid: {from: "2026-01-05T10:00:00Z"}}
"""
        )
        early = history("""
            09:59 created
            11:00 updated customer=acme
        """)
        late = history("""
            10:00 created
            11:00 updated customer=acme
        """)
        assert "resolution 1 old running 09:59– due 17:59 elapsed 2:01" in clocks(early, rulebook(text), "12:00")
        assert clocks(late, rulebook(text), "12:00") == ["resolution 1 gold running 10:00– due 14:00 elapsed 2:00"]

    def test_the_next_cycle_of_an_item_asks_anew(self) -> None:
        text = """
- {name: old, applies_to: {}, calendar: always, targets: {next_response: 1h}, valid: {until: "2026-01-05T10:00:00Z"}}
- {name: new, applies_to: {}, calendar: always, targets: {next_response: 2h}, valid: {from: "2026-01-05T10:00:00Z"}}
"""
        events = history("""
            08:00 created
            08:10 agent_replied
            09:00 customer_replied
            09:10 agent_replied
            10:00 customer_replied
        """)
        found = clocks(events, rulebook(text), "11:00")
        assert [line.split()[2:4] for line in found] == [["old", "met"], ["new", "running"]]

    def test_a_cycle_without_a_valid_policy_is_not_measured(self) -> None:
        rules = rulebook(
            "- {name: p, applies_to: {}, calendar: always, targets: {resolution: 1h}, valid: {from: 2026-01-06}}"
        )
        assert clocks(history("09:00 created\n+1 09:00 updated priority=low"), rules, "+2 00:00") == []

    def test_dates_begin_at_midnight_in_the_zone_of_the_default_calendar(self) -> None:
        text = """
calendars:
  madrid: {time_zone: Europe/Madrid, hours: {mon-sun: ["00:00-24:00"]}}
  tokyo: {time_zone: Asia/Tokyo, hours: {mon-sun: ["00:00-24:00"]}}
policies:
- {name: p, applies_to: {}, calendar: {default: madrid, by: {priority: {low: tokyo}}}, targets: {resolution: 1h},
   valid: {from: 2026-01-01, until: 2026-07-01}}
"""
        (policy,) = load({"p.yaml": text}).policies
        since, until = parse_instant("2025-12-31T23:00:00Z"), parse_instant("2026-06-30T22:00:00Z")
        assert policy.valid == Validity(since, until)

    def test_the_version_covers_it(self) -> None:
        assert policies(TWO).version != policies(TWO.replace("10:00:00Z", "10:00:01Z")).version


SPANS = st.builds(Validity, st.none() | st.integers(0, 5), st.none() | st.integers(0, 5))


class TestSpans:
    @given(SPANS, SPANS)
    def test_spans_compare_as_their_instants_do(self, one: Validity, other: Validity) -> None:
        here, there = ({at for at in range(-1, 8) if each.holds(at)} for each in (one, other))
        assert one.meets(other) == bool(here & there) or not (here and there)
        if here and there:
            assert one.covers(other) == (there <= here)

    def test_all_that_is_not_limited_holds_always(self) -> None:
        assert ALWAYS.holds(-(2**62))
        assert str(ALWAYS) == "valid always"


class TestMistakes:
    @pytest.mark.parametrize(
        ("valid", "expected"),
        [
            ("{}", "valid: expected `from`, `until`, or both"),
            ("{from: soon}", "valid.from: expected a date like 2026-01-01 or an instant like 2026-01-05T08:00:00Z"),
            ("{from: 2026-02-30}", "valid.from: expected a date like"),
            ("{from: 2026-01-05T08:00:00}", "valid.from: expected a date like"),
            ("{from: 2026-01-05, until: 2026-01-05}", "valid: expected `from` before `until`"),
            ("{from: 2026-01-05, until: 2026-02-05T00:00:00Z}", "valid: expected two dates or two instants"),
            ("{since: 2026-01-05}", "valid.since: is not known here"),
        ],
    )
    def test_a_mistake_is_named_with_its_place(self, valid: str, expected: str) -> None:
        policy = f"- {{name: p, applies_to: {{}}, calendar: office, targets: {{resolution: 1h}}, valid: {valid}}}"
        with pytest.raises(BadDocument) as caught:
            load({"f.yaml": f"{CALENDARS}policies:\n{policy}"})
        (problem,) = caught.value.problems
        assert str(problem).startswith(f"f.yaml:7: policies[0].{expected}")


class TestFindings:
    def test_a_policy_that_ended_is_found(self) -> None:
        found = [str(finding) for finding in findings(policies(TWO), at("10:00"))]
        assert "policy old: valid: it ended at 2026-01-05T10:00:00Z, so no new clock takes it" in found
        assert not [each for each in findings(policies(TWO), at("09:00")) if "ended" in each.message]

    def test_policies_that_follow_each_other_are_no_rivals(self) -> None:
        found = [finding for finding in findings(policies(TWO), MONDAY) if finding.subject.startswith("policy")]
        assert found == []

    def test_a_policy_in_the_shadow_of_one_that_ends_can_win(self) -> None:
        shadow = "- {name: %s, applies_to: {group: g}, calendar: always, targets: {resolution: 1h}%s}\n"
        ends = shadow % ("first", ", valid: {until: 2026-03-01}") + shadow % ("second", "")
        messages = [str(each) for each in findings(policies(ends), MONDAY)]
        assert not any("never wins" in message for message in messages)
        assert any("only the order decides" in message for message in messages)

    def test_an_item_is_covered_as_of_its_start(self) -> None:
        rules = policies(TWO.split("- {name: new", maxsplit=1)[0])
        assert coverage(rules, recording(rules, [event("09:00 created")])) == []
        finding = coverage(rules, recording(rules, [event("10:00 created")]))[0]
        assert "no policy covers 1 of 1 tickets" in finding.message


def test_an_explanation_says_that_a_policy_was_not_valid() -> None:
    old, new = policies(TWO), Question("ticket", {}, "resolution", at("10:00"))
    by_name = {verdict.policy: verdict for verdict in verdicts(old, new)}
    assert by_name["new"].outcome == "won"
    assert by_name["old"].outcome == "no match"
    assert by_name["old"].because == "the cycle did not start in it: valid until 2026-01-05T10:00:00Z"
