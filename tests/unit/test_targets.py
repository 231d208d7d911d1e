"""Targets with a calendar and pauses of their own, and calendars chosen by attributes."""

from __future__ import annotations

import pytest

from services.timer.conditions import entry
from services.timer.lint.policy_lint import findings
from services.timer.policy import CalendarChoice
from services.timer.policy_file import load
from shared.errors import BadDocument
from tests.histories import CALENDARS, MONDAY, clocks, history, policies, rulebook

POLICY = """
- name: p
  applies_to: {}
  calendar: %s
  targets: {first_response: 2h, resolution: {within: 4h%s}}
  pause_when: {status: pending}
"""


class TestPauses:
    HISTORY = history("""
        09:00 created
        10:00 updated status=pending
        12:00 updated status=on_hold
        13:00 updated status=open
    """)

    @pytest.mark.parametrize(
        ("own", "expected"),
        [
            # Without pauses of its own a target takes the policy's,
            ("", "resolution 1 p breached 09:00– due 15:00 elapsed 4:30 paused 2:00"),
            # with some it takes only those,
            (", pause_when: {status: on_hold}", "resolution 1 p breached 09:00– due 14:00 elapsed 5:30 paused 1:00"),
            # and `{}` is never.
            (", pause_when: {}", "resolution 1 p breached 09:00– due 13:00 elapsed 6:30"),
        ],
    )
    def test_a_target_can_have_pauses_of_its_own(self, own: str, expected: str) -> None:
        assert clocks(self.HISTORY, rulebook(POLICY % ("always", own)), "15:30")[1] == expected

    def test_the_other_targets_keep_those_of_the_policy(self) -> None:
        first, _ = clocks(self.HISTORY, rulebook(POLICY % ("always", ", pause_when: {}")), "12:30")
        assert first == "first_response 1 p running 09:00– due 13:00 elapsed 1:30 paused 2:00"


class TestCalendars:
    BY_PRIORITY = "{default: office, by: {priority: {urgent: always}}}"

    @pytest.mark.parametrize(
        ("attributes", "calendar"),
        [
            # The first attribute whose value has an entry counts,
            ({"priority": "urgent", "group": "g1"}, "a"),
            # the next one where the first has none,
            ({"priority": "low", "group": "g1"}, "b"),
            # any member of a list, in the order of the file,
            ({"group": ["g1", "g2"]}, "c"),
            # and the default where none has one.
            ({"group": "g3"}, "d"),
        ],
    )
    def test_a_calendar_is_chosen_by_attributes(self, attributes: dict[str, object], calendar: str) -> None:
        choice = CalendarChoice("d", (("priority", {"urgent": "a"}), ("group", {"g2": "c", "g1": "b"})))
        assert choice.name(attributes) == calendar
        assert choice.names == ("d", "a", "c", "b")

    def test_nothing_is_chosen_where_nothing_is_named(self) -> None:
        assert entry((), {"priority": "urgent"}) is None

    @pytest.mark.parametrize(
        ("calendar", "own", "expected"),
        [
            # Of the policy, by an attribute,
            (BY_PRIORITY, "", ["due 18:00", "due 20:00"]),
            # of a target alone,
            ("office", f", calendar: {BY_PRIORITY}", ["due +1 10:00", "due 20:00"]),
            # and of a target against the policy's.
            (BY_PRIORITY, ", calendar: office", ["due 18:00", "due +1 12:00"]),
        ],
    )
    def test_a_target_runs_in_the_calendar_that_is_chosen(self, calendar: str, own: str, expected: list[str]) -> None:
        events = history("16:00 created priority=urgent")
        found = clocks(events, rulebook(POLICY % (calendar, own)), "16:30")
        assert [line.split(" elapsed")[0].split("– ")[1] for line in found] == expected

    def test_another_calendar_is_a_change_of_terms(self) -> None:
        events = history("""
            08:00 created
            10:30 updated priority=urgent
        """)
        first, resolution = clocks(events, rulebook(POLICY % (self.BY_PRIORITY, "")), "11:00")
        # As if the clock had run around the clock since its start: the first one is past by now.
        assert first == "first_response 1 p breached 08:00– due 10:00 breached 10:30 elapsed 3:00"
        assert resolution == "resolution 1 p running 08:00– due 12:00 elapsed 3:00"

    def test_a_policy_that_keeps_its_terms_keeps_its_calendar(self) -> None:
        events = history("""
            08:00 created
            10:30 updated priority=urgent
        """)
        kept = rulebook(POLICY % (self.BY_PRIORITY, "") + "  on_change: keep\n")
        assert clocks(events, kept, "11:00")[1] == "resolution 1 p running 08:00– due 13:00 elapsed 2:00"


class TestMistakes:
    @pytest.mark.parametrize(
        ("calendar", "own", "expected"),
        [
            # The name of a calendar is checked wherever it stands,
            ("{default: offfice}", "", "policies[0].calendar.default: expected the name of a calendar"),
            ("{default: office, by: {priority: {urgent: x}}}", "", "calendar.by.priority.urgent: expected the name"),
            ("office", ", calendar: x", "policies[0].targets.resolution.calendar: expected the name of a calendar"),
            # a choice says what holds for all others,
            ("{by: {priority: {urgent: office}}}", "", "policies[0].calendar.default: is required"),
            # and what does not change, or is no attribute, is no attribute.
            ("{default: office, by: {kind: {call: always}}}", "", "policies[0].calendar.by: expected attributes; give"),
            ("office", ", by: {kind: {call: 1h}}", "policies[0].targets.resolution.by: expected attributes; give each"),
            ("office", ", pause_when: {kind: call}", "targets.resolution.pause_when: expected attributes that can"),
            ("[office]", "", "policies[0].calendar: expected a text, got ["),
        ],
    )
    def test_a_mistake_is_named_with_its_place(self, calendar: str, own: str, expected: str) -> None:
        with pytest.raises(BadDocument) as caught:
            load({"f.yaml": f"{CALENDARS}policies:{POLICY % (calendar, own)}"})
        (problem,) = caught.value.problems
        assert expected in str(problem)


class TestFindings:
    @pytest.mark.parametrize(
        ("calendar", "own", "expected"),
        [
            # A calendar by a value that no covered item has,
            ("{default: office, by: {group: {g2: always}}}", "", "policy p: calendar.by.group.g2: never counts"),
            ("office", ", calendar: {default: office, by: {group: {g2: always}}}", "resolution.calendar.by.group.g2"),
            # a pause of a target that every covered item matches,
            ("office", ", pause_when: {group: g1}", "policy p: targets.resolution.pause_when: the pause never ends"),
            # and a calendar of a target in which its time never passes.
            ("office", ", calendar: {default: office, by: {priority: {low: never}}}", "never reached in never"),
        ],
    )
    def test_what_cannot_be_meant_is_found(self, calendar: str, own: str, expected: str) -> None:
        found = findings(policies(POLICY.replace("{}", "{group: g1}", 1) % (calendar, own)), MONDAY)
        assert [str(finding) for finding in found if expected in str(finding)]

    def test_a_calendar_that_only_a_target_names_is_in_use(self) -> None:
        found = findings(policies(POLICY % ("office", ", calendar: always")), MONDAY)
        assert [finding.subject for finding in found] == ["calendar never"]
